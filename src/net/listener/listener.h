/* listener.h - Unix stream sockets to lines and back; knows no JSON
 *
 * Serves the event socket and, with smaller limits, the control socket. Replies are appended to a connection's
 * buffer and written once a turn. */
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
	const char *path; /* bound here when inherited_fd < 0 */
	mode_t mode;
	const char *group; /* "": unchanged */
	int inherited_fd;  /* from systemd, or -1; taken */
	unsigned max_connections;
	size_t max_line, max_unread, max_memory; /* bytes */
	int64_t idle_timeout_us;
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
	LINE_LONG, /* answered LINE_TOO_LONG; text is its first bytes: more than max_line of them, or, when memory was
	            * short and the line stood still for 30 s, fewer */
	LINE_CUT,  /* the last bytes, without LF, of a connection whose reading side we shut down: a line, or, when
	            * the writer was interrupted, the beginning of one */
	LINE_NO_MEMORY /* no memory to gather it; text is its first bytes; the rest is skipped */
};

struct listener_ops {
	/* One line, in order, without LF; text is valid only during the call. Every line must get exactly one
	 * listener_reply(), in the order of the lines of that connection; it may come later. */
	void (*on_line)(void *arg, uint64_t conn, enum line_kind kind, struct slice text, const struct peer *peer);
	/* The connection is gone (or quiet and gone); replies to it are no longer needed but allowed. May be NULL. */
	void (*on_close)(void *arg, uint64_t conn);
	/* Replies that were queued could not be written: the peer is gone. text: what of them is left, the first one
	 * perhaps cut. Comes at most once a connection, before on_close. May be NULL. */
	void (*on_unsent)(void *arg, uint64_t conn, struct slice text);
	/* A descriptor came with the data (SCM_RIGHTS; control socket only); taken by the callee. May be NULL:
	 * closed. */
	void (*on_fd)(void *arg, uint64_t conn, int fd);
	void *arg;
};

int listener_open(struct listener **ret, struct loop *loop, const struct listener_config *config,
                  const struct listener_ops *ops, struct err *err) MUST_CHECK;
/* Takes NULL. Closes every connection; unlinks an own socket's path when it is still ours. */
struct listener *listener_free(struct listener *l);

/* Enough for one line of conn. False: it could not be queued or will never be read (gone, or quiet): nobody will see
 * it. */
bool listener_reply(struct listener *l, uint64_t conn, struct slice text);
/* Instead of a reply that cannot be made: the line counts as answered and the connection is quiet from now on. */
void listener_quiet(struct listener *l, uint64_t conn);
/* Writes what replies were appended in this turn: call once in the tail. */
void listener_flush(struct listener *l);
/* A streaming answer (ctl list): bytes waiting to be written to conn; SIZE_MAX when it is gone. */
size_t listener_unwritten(const struct listener *l, uint64_t conn);
/* Called once, from listener_flush() or the loop, when conn's unwritten bytes have fallen to low or less; never when
 * it is gone first. One at a time a connection; while one is asked for, a half-closed connection stays open. */
void listener_when_drained(struct listener *l, uint64_t conn, size_t low, void (*fn)(void *arg, uint64_t conn),
                           void *arg);
/* The client has closed, and reads no more either; true too of one that is gone. */
bool listener_client_left(const struct listener *l, uint64_t conn);
/* Closes after what waits was written. */
void listener_close_conn(struct listener *l, uint64_t conn);

/* Back-pressure: stop and resume reading from every connection. Nothing is lost: the writers block. */
void listener_pause(struct listener *l, bool pause);
bool listener_paused(const struct listener *l);
/* SIGTERM: accept what an own socket's backlog holds, stop accepting, shut down the reading sides, read on to the
 * end. */
void listener_drain(struct listener *l);
/* After listener_drain(): every line was handed over, every reply that can be written was written. */
bool listener_drained(const struct listener *l);
unsigned listener_connections(const struct listener *l);
size_t listener_memory(const struct listener *l);
void listener_set_limits(struct listener *l, const struct listener_config *config);

#endif
