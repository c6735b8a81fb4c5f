/* listener.h - lines over Unix stream sockets, and replies to them; loop thread only
 *
 * Serves the event socket and, with smaller limits, the control socket. Replies are appended to
 * the connection's buffer and written once per turn. */
#ifndef NET_LISTENER_LISTENER_H
#define NET_LISTENER_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "net/loop.h"

struct listener;

struct listener_config {
	const char *path; /* bound here if inherited_fd < 0 */
	mode_t mode;
	const char *group; /* "": unchanged */
	int inherited_fd;  /* from systemd, or -1; the listener takes ownership */
	unsigned max_connections;
	size_t max_line, max_unread, max_memory; /* bytes */
	int64_t idle_timeout_us;
	/* A connection with max_unread waiting that takes no reply for this long turns quiet */
	int64_t reply_patience_us;
};

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	const char
	        *address; /* of a TCP client of the HTTP door, which has none of the above; NULL: a local process */
};

enum line_kind {
	LINE_OK,
	/* Answered with LINE_TOO_LONG; text holds its first bytes: more than max_line of them,
	 * or fewer if memory was short and the line made no progress for 30 s */
	LINE_LONG,
	/* The last bytes, without LF, of a connection that we shut down for reading: a whole
	 * line, or the start of one if the client was interrupted */
	LINE_CUT,
	LINE_NO_MEMORY /* out of memory; text holds its first bytes, and the rest is skipped */
};

struct listener_ops {
	/* Passes one line, in order, without LF; text is valid only during the call. Every line
	 * needs exactly one listener_reply(), now or later, in the order of the connection's
	 * lines. */
	void (*on_line)(void *arg, uint64_t conn, enum line_kind kind, struct slice text, const struct peer *peer);
	/* The connection is closed (possibly after it was quiet); later replies to it are
	 * allowed and ignored. May be NULL. */
	void (*on_close)(void *arg, uint64_t conn);
	/* Queued replies could not be written because the peer is gone. text is their remainder;
	 * the first one may be incomplete. Called at most once per connection, before on_close.
	 * May be NULL. */
	void (*on_unsent)(void *arg, uint64_t conn, struct slice text);
	/* For a minute a line has been begun and not ended, although it was read on. n: its bytes so
	 * far. Called once per connection. May be NULL. */
	void (*on_stalled)(void *arg, uint64_t conn, size_t n, const struct peer *peer);
	/* A descriptor arrived with the data (SCM_RIGHTS; control socket only); the callee takes
	 * ownership. If NULL, descriptors are closed. */
	void (*on_fd)(void *arg, uint64_t conn, int fd);
	void *arg;
};

int listener_open(struct listener **ret, struct loop *loop, const struct listener_config *config,
                  const struct listener_ops *ops, struct err *err) MUST_CHECK;
/* Closes every connection; unlinks the socket's path if it still is our socket. Accepts NULL. */
struct listener *listener_free(struct listener *l);

/* Announces that the reply to the line just passed to on_line() will be this many bytes longer
 * than a typical ok, or, with a negative number and before that reply, takes the announcement
 * back. It counts as waiting meanwhile, so that no more lines are read than can be answered. */
void listener_expect(struct listener *l, uint64_t conn, ptrdiff_t bytes);
/* Appends the reply to one line of conn. Returns false if it could not be queued or will never
 * be read (the connection is gone or quiet). */
bool listener_reply(struct listener *l, uint64_t conn, struct slice text);
/* Replaces a reply that cannot be made: the line counts as answered, and the connection gets no
 * further replies. */
void listener_quiet(struct listener *l, uint64_t conn);
/* Writes the replies that were appended in this turn. Call once in the loop's tail. */
void listener_flush(struct listener *l);
/* Returns the number of bytes waiting to be written to conn, for streaming answers (ctl list);
 * SIZE_MAX if it is gone. */
size_t listener_unwritten(const struct listener *l, uint64_t conn);
/* Calls fn once, from listener_flush() or the loop, when conn's unwritten bytes have fallen to
 * `low` or less; never if the connection is gone before. One request at a time per connection;
 * meanwhile a half-closed connection stays open. */
void listener_when_drained(struct listener *l, uint64_t conn, size_t low, void (*fn)(void *arg, uint64_t conn),
                           void *arg);
/* True if the client has closed both directions, or its connection is gone. */
bool listener_client_left(const struct listener *l, uint64_t conn);
/* Closes the connection after the pending replies were written. */
void listener_close_conn(struct listener *l, uint64_t conn);

/* Back-pressure: stops or resumes reading from every connection. Nothing is lost, because the
 * clients' writes block. */
void listener_pause(struct listener *l, bool pause);
bool listener_paused(const struct listener *l);
/* Starts the drain on SIGTERM: accepts what is in the backlog of an own socket, stops accepting,
 * shuts down the reading sides and reads on to their ends. */
void listener_drain(struct listener *l);
/* After listener_drain(): true once every line was handed over and every reply that can be
 * written was written. */
bool listener_drained(const struct listener *l);
unsigned listener_connections(const struct listener *l);
size_t listener_memory(const struct listener *l);
void listener_set_limits(struct listener *l, const struct listener_config *config);

#endif
