/* listener_private.h - a connection and its listener, for the listener's own files only */
#ifndef NET_LISTENER_LISTENER_PRIVATE_H
#define NET_LISTENER_LISTENER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/collections/idmap.h"
#include "base/log.h"
#include "net/listener/listener.h"

enum {
	READ_MAX =
	        64 * 1024, /* bytes of one connection in one turn: what one recv() takes (src/README.md, trap 18) */
	READ_FIRST = 16 * 1024, /* the same of a connection that was idle: most have a line or two */
	LINE_SMALL =
	        16 * 1024,  /* longer lines are not read on while memory is short (ga4relay-protocol(7), Pressure) */
	REPLY_TYPICAL = 48, /* bytes of an ok: what an unanswered line will need */
	REPLY_HEADROOM = 4096,  /* room kept for the reply that was not foreseen */
	LOOK_BYTES = 16 * 1024, /* read or handed over between two looks at the clock … */
	COST_BYTES = 512, /* … where each recv() and each line, blank or not, counts as this many bytes more */
	/* Bytes, counted in the same way, after which a connection gives way to others that wait. */
	QUANTUM_FIRST = 4 * 1024,
	QUANTUM = 256 * 1024,
	ACCEPTS_PER_TURN = 64
};
/* How long a turn reads from connections that were idle, and then from those that always have more. What is left is
 * read in the next turn. */
#define READ_US (500)
#define STALL_US (30 * US_PER_S)      /* a long partial line without progress while memory is short */
#define PATIENCE_US (250 * US_PER_MS) /* how long replies wait for a reader before its connection may turn quiet */
#define LAST_WORDS_US (1 * US_PER_S)  /* how long a drain waits for a client that does not read its replies */
#define TICK_US (100 * US_PER_MS)
#define ACCEPT_RETRY_US (100 * US_PER_MS) /* after EMFILE, and at the limit of connections */

/* Why a connection is not read from; a set. */
enum hold {
	HOLD_PAUSE = 1,  /* listener_pause() */
	HOLD_MEMORY = 2, /* memory is short and its partial line is long */
	HOLD_REPLIES = 4 /* too many lines unanswered, or replies unread, to take more for now */
};

struct conn {
	TAILQ_ENTRY(conn) by_activity; /* l->conns: least recently active first */
	TAILQ_ENTRY(conn) by_hold;     /* l->held, while holds != 0 */
	TAILQ_ENTRY(conn) by_progress; /* l->big, while is_big */
	TAILQ_ENTRY(conn) by_dirt;     /* l->dirty, while is_dirty */
	TAILQ_ENTRY(conn) by_turn;     /* l->fresh or l->busy, while is_waiting: in line to be read */
	struct listener *l;
	uint64_t id;
	struct loop_watch *watch;
	struct peer peer;
	struct buf in;   /* a line whose LF has not come; memory only while there is one */
	struct buf rest; /* input that was read and not looked at yet; the first `seen` bytes were */
	struct buf out;  /* replies; the first `sent` bytes are written already */
	size_t seen, sent, accounted /* this one's part of l->memory */;
	uint64_t unanswered;                               /* lines handed over and not replied to yet */
	int64_t active_us, progress_us, write_progress_us; /* monotonic; progress: of the partial line */
	void (*drained_fn)(void *arg, uint64_t conn);
	void *drained_arg;
	size_t drained_low;
	int fd;
	unsigned holds, interest;
	bool is_big : 1, is_dirty : 1, is_waiting : 1;
	bool is_busy : 1;   /* had more to read than one turn took, and has not been read to its end since */
	bool begun : 1;     /* its first line has ended, or been given up */
	bool skipping : 1;  /* the rest of a line that was answered already, up to its LF */
	bool eof : 1;       /* nothing more will be read */
	bool shut : 1;      /* the reading side was shut down by us */
	bool blocked : 1;   /* the socket takes no more replies for now */
	bool impatient : 1; /* has been waited for once and did not read: no more waiting */
	bool quiet : 1;     /* answered no more, for ever */
	bool dead : 1;      /* the peer reads no more: writing failed */
	bool closing : 1;   /* closed once `out` is written, answered or not */
	bool gone : 1;      /* closed; the struct lives to the end of the turn */
};
TAILQ_HEAD(conn_list, conn);

struct listener {
	struct loop *loop;
	struct listener_config config; /* path and group are copies of our own */
	struct listener_ops ops;
	int fd; /* listening; -1 once closed by a drain */
	bool own;
	dev_t dev; /* of an own socket's path */
	ino_t ino;
	struct loop_watch *watch;
	struct loop_timer *accept_timer, *tick, *resume;
	struct idmap by_id;
	struct conn_list conns, held, big, dirty;
	/* Connections with input that wait for their turn. Those that were idle come first: a crowd that writes
	 * without end holds up each other, and not a client that writes a line now and then. */
	struct conn_list fresh, busy;
	unsigned n_conns;
	uint64_t last_id;
	bool turn_began,
	        turn_is_full; /* of reading; a turn ends with a flush. Full: as of the last look at the clock */
	int64_t turn_ends_us; /* monotonic */
	size_t unlooked;      /* counted since the last look at the clock */
	size_t quantum;       /* what the connection that is being read may still take */
	size_t memory;        /* bytes in all partial lines and unread replies */
	char *chunk;          /* READ_MAX bytes that every connection reads into */
	uint64_t exempt;      /* the connection that reads to its near end although memory is short; 0: none */
	bool paused, draining, accepting, out_of_files /* an episode of EMFILE that was logged */;
	struct log_limit shortage_log;
};

/* listener_bind.c */
int listener_bind(const struct listener_config *config, int *ret_fd, dev_t *ret_dev, ino_t *ret_ino,
                  struct err *err) MUST_CHECK;

/* listener_accept.c */
int listener_start_accepting(struct listener *l) MUST_CHECK;
void listener_drain_backlog(struct listener *l);
void listener_room_again(struct listener *l);
/* Stops the writer of c; what it wrote is read to its end, then comes EOF. */
void conn_shut(struct conn *c);

/* listener_read.c */
void conn_read(struct conn *c);
/* A time of its own for what is read next. */
void listener_begin_turn(struct listener *l);
/* Too much unanswered or unread to take more; light: little enough to go on. */
bool conn_is_congested(const struct conn *c);
bool conn_is_light(const struct conn *c);
/* Answers a partial line of c as LINE_LONG and skips its rest. */
void conn_give_up_line(struct conn *c);

/* listener_write.c */
static inline size_t conn_unwritten(const struct conn *c)
{
	return c->out.len - c->sent;
}
bool conn_reply(struct conn *c, struct slice text);
void conn_write(struct conn *c);
void conn_mark_dirty(struct conn *c);
void conn_turn_quiet(struct conn *c);
void conn_write_failed(struct conn *c);
void conn_call_drained(struct conn *c);

/* listener.c */
/* In line to be read, without waiting for an event: c has input, here or in the kernel. */
void conn_wait_turn(struct conn *c);
struct conn *conn_new(struct listener *l, int fd, const struct peer *peer);
void conn_hold(struct conn *c, enum hold why);
void conn_release(struct conn *c, enum hold why);
/* Brings the watch in line with what c waits for. */
void conn_update(struct conn *c);
/* c did something: it goes to the end of the queue of those that may be closed as idle. */
void conn_touch(struct conn *c);
/* Corrects l->memory after a buffer changed. */
void conn_account(struct conn *c);
/* If c was the one exempt from the shortage of memory: it needs it no more, the next one's turn. */
void conn_exempt_next(struct conn *c);
/* Closes c when everything is read, answered and written. */
void conn_settle(struct conn *c);
void conn_close(struct conn *c);
static inline bool listener_somebody_waits(const struct listener *l)
{
	return !TAILQ_EMPTY(&l->fresh) || !TAILQ_EMPTY(&l->busy);
}
/* The turn has had its share, or reading is paused. */
static inline bool listener_has_enough(const struct listener *l)
{
	return l->paused || l->turn_is_full;
}
static inline bool listener_memory_short(const struct listener *l)
{
	return l->memory >= l->config.max_memory;
}

#endif
