/* listener.h - Unix stream sockets to lines and back; knows no JSON
 *
 * Serves the event socket and, with smaller limits, the control socket. Replies are appended to a connection's
 * buffer and written once a turn. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

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
	const char *path;        /* bound here when inherited_fd < 0 */
	mode_t mode;
	const char *group;       /* "": unchanged */
	int inherited_fd;        /* from systemd, or -1; taken */
	unsigned max_connections;
	size_t max_line, max_unread, max_memory; /* bytes */
	int64_t idle_timeout_us;
};

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

enum line_kind { LINE_OK, LINE_LONG /* over max_line or stalled beyond max_memory: answered LINE_TOO_LONG; text is its first bytes */ };

struct listener_ops {
	/* One line, in order, without LF; text is valid only during the call. Every line must get exactly one
	 * listener_reply(), in the order of the lines of that connection; it may come later. */
	void (*on_line)(void *arg, uint64_t conn, enum line_kind kind, struct slice text, const struct peer *peer);
	/* The connection is gone (or quiet and gone); replies to it are no longer needed but allowed. May be NULL. */
	void (*on_close)(void *arg, uint64_t conn);
	/* A descriptor came with the data (SCM_RIGHTS; control socket only); taken by the callee. May be NULL: closed. */
	void (*on_fd)(void *arg, uint64_t conn, int fd);
	void *arg;
};

int listener_open(struct listener **ret, struct loop *loop, const struct listener_config *config,
                  const struct listener_ops *ops, struct err *err) MUST_CHECK;
/* Takes NULL. Closes every connection; unlinks an own socket's path when it is still ours. */
struct listener *listener_free(struct listener *l);

/* Enough for one line of conn. False: it could not be queued or will never be read (gone, or quiet): nobody will see it. */
bool listener_reply(struct listener *l, uint64_t conn, struct slice text);
/* Writes what replies were appended in this turn: call once in the tail. */
void listener_flush(struct listener *l);
/* A streaming answer (ctl list): bytes waiting to be written to conn; SIZE_MAX when it is gone. */
size_t listener_unwritten(const struct listener *l, uint64_t conn);
/* Called once when conn's unwritten bytes have fallen to low or less. One at a time a connection. */
void listener_when_drained(struct listener *l, uint64_t conn, size_t low, void (*fn)(void *arg, uint64_t conn), void *arg);
/* Closes after what waits was written. */
void listener_close_conn(struct listener *l, uint64_t conn);

/* Back-pressure: stop and resume reading from every connection. Nothing is lost: the writers block. */
void listener_pause(struct listener *l, bool pause);
bool listener_paused(const struct listener *l);
/* SIGTERM: accept what an own socket's backlog holds, stop accepting, shut down the reading sides, read on to the end. */
void listener_drain(struct listener *l);
/* After listener_drain(): every line was handed over, every reply that can be written was written. */
bool listener_drained(const struct listener *l);
/* Some connection has input that was not handed over yet. */
unsigned listener_connections(const struct listener *l);
size_t listener_memory(const struct listener *l);
void listener_set_limits(struct listener *l, const struct listener_config *config);

#endif
