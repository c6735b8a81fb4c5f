/* listener_private.h - the internal state of a listener and its connections; for net/listener/
 * only */
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
	READ_MAX = 64 * 1024, /* bytes per connection and turn: what one recv() reads (src/README.md, trap 18) */
	/* The same for a connection that was idle: most have a line or two */
	READ_FIRST = 16 * 1024,
	LINE_SMALL =
	        16 * 1024,  /* longer partial lines are held while memory is short (ga4relay-protocol(7), Pressure) */
	REPLY_TYPICAL = 48, /* bytes of an ok reply, reserved for each unanswered line */
	REPLY_HEADROOM = 4096,  /* room reserved for a longer reply */
	LOOK_BYTES = 16 * 1024, /* bytes read or handed over between two checks of the clock … */
	/* … where each recv() and each line, even a blank one, adds this many bytes */
	COST_BYTES = 512,
	/* Bytes, counted in the same way, after which a connection yields to others that wait. */
	QUANTUM_FIRST = 4 * 1024,
	QUANTUM = 256 * 1024,
	ACCEPTS_PER_TURN = 64
};
/* Time budget per turn for reading: first for connections that were idle, then for busy ones.
 * The rest is read in the next turn. */
#define READ_US (500)
#define STALL_US (30 * US_PER_S) /* time limit for a long partial line without progress while memory is short */
/* How long a drain waits for a client that does not read its replies */
#define LAST_WORDS_US (1 * US_PER_S)
#define TICK_US (100 * US_PER_MS)
#define UNENDED_US US_PER_MIN             /* when a line that was begun and not ended is reported */
#define ACCEPT_RETRY_US (100 * US_PER_MS) /* after EMFILE, and at the limit of connections */

/* Reasons not to read from a connection; a bit set. */
enum hold {
	HOLD_PAUSE = 1,  /* listener_pause() */
	HOLD_MEMORY = 2, /* memory is short and its partial line is long */
	HOLD_REPLIES = 4 /* too many unanswered lines or unread replies */
};

struct conn {
	TAILQ_ENTRY(conn) by_activity; /* l->conns: least recently active first */
	TAILQ_ENTRY(conn) by_hold;     /* l->held, while holds != 0 */
	TAILQ_ENTRY(conn) by_progress; /* l->big, while is_big */
	TAILQ_ENTRY(conn) by_dirt;     /* l->dirty, while is_dirty */
	/* l->fresh or l->busy, while is_waiting: queued to be read */
	TAILQ_ENTRY(conn) by_turn;
	struct listener *l;
	uint64_t id;
	struct loop_watch *watch;
	struct peer peer;
	struct buf in;   /* an incomplete line; allocated only while there is one */
	struct buf rest; /* input that was read but not processed; the first `seen` bytes were */
	struct buf out;  /* replies; the first `sent` bytes were already written */
	size_t seen, sent, accounted /* its share of l->memory */;
	/* Lines handed over that have no reply yet */
	uint64_t unanswered;
	/* Bytes by which their replies will be longer than REPLY_TYPICAL each, as far as known */
	size_t expected;
	int64_t active_us, progress_us, partial_us; /* monotonic; of the partial line: progress, begin */
	/* When the client last took replies, or when we began to wait for it to take some */
	int64_t write_progress_us;
	void (*drained_fn)(void *arg, uint64_t conn);
	void *drained_arg;
	size_t drained_low;
	int fd;
	unsigned holds, interest;
	bool is_big : 1, is_dirty : 1, is_waiting : 1;
	/* Had more input than one turn reads, and was not read to its end since */
	bool is_busy : 1;
	bool begun : 1;    /* its first line has ended or was given up */
	bool skipping : 1; /* skips the rest of a line that was already answered, up to its LF */
	bool eof : 1;      /* no more input will be read */
	bool shut : 1;     /* we shut down the reading side */
	bool blocked : 1;  /* the socket accepts no more replies for now */
	bool quiet : 1;    /* gets no more replies */
	bool dead : 1;     /* the peer no longer reads: a write failed */
	/* Will be closed once `out` is written, whether or not all lines are answered */
	bool closing : 1;
	bool told_stalled : 1; /* on_stalled() was called */
	bool gone : 1;         /* closed; the struct stays valid until the end of the turn */
};
TAILQ_HEAD(conn_list, conn);

struct listener {
	struct loop *loop;
	struct listener_config config; /* path and group are copies */
	struct listener_ops ops;
	int fd; /* listening; -1 once closed by a drain */
	bool own;
	dev_t dev; /* device of the path of an own socket */
	ino_t ino;
	struct loop_watch *watch;
	struct loop_timer *accept_timer, *tick, *resume, *stalled;
	struct idmap by_id;
	struct conn_list conns, held, big, dirty;
	/* Connections with input that wait for their turn. Those that were idle (fresh) come
	 * first, so that clients that write continuously (busy) delay each other but not a
	 * client that writes an occasional line. */
	struct conn_list fresh, busy;
	unsigned n_conns;
	uint64_t last_id;
	bool turn_began,
	        /* These concern reading; a turn ends with a flush. turn_is_full is as of the
	         * last check of the clock */
	        turn_is_full;
	int64_t turn_ends_us; /* monotonic */
	size_t unlooked;      /* counted since the last check of the clock */
	size_t quantum;       /* bytes that the connection being read may still take */
	size_t memory;        /* bytes in all partial lines and unread replies */
	char *chunk;          /* buffer of READ_MAX bytes, shared by all connections */
	/* Id of the connection that may read to its end although memory is short; 0: none */
	uint64_t exempt;
	bool paused, draining, accepting, out_of_files /* an episode of EMFILE was logged */;
	struct log_limit shortage_log;
};

/* listener_bind.c */
int listener_bind(const struct listener_config *config, int *ret_fd, dev_t *ret_dev, ino_t *ret_ino,
                  struct err *err) MUST_CHECK;

/* listener_accept.c */
int listener_start_accepting(struct listener *l) MUST_CHECK;
void listener_drain_backlog(struct listener *l);
void listener_room_again(struct listener *l);
/* Shuts down the client's sending side. What it has written is read to the end, then comes EOF. */
void conn_shut(struct conn *c);

/* listener_read.c */
void conn_read(struct conn *c);
/* Starts the time budget for the next reads. */
void listener_begin_turn(struct listener *l);
/* Congested: too many unanswered lines or unread replies to read more. Light: few enough to
 * resume. */
bool conn_is_congested(const struct conn *c);
bool conn_is_light(const struct conn *c);
/* Reports lines that were begun a minute ago, as the listener's timer `stalled`. */
void listener_report_stalled(void *listener);
/* Answers a partial line of c as LINE_LONG and skips the rest of it. */
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
/* Queues c to be read without waiting for an event, because it has input here or in the kernel. */
void conn_wait_turn(struct conn *c);
struct conn *conn_new(struct listener *l, int fd, const struct peer *peer);
void conn_hold(struct conn *c, enum hold why);
void conn_release(struct conn *c, enum hold why);
/* Updates the events that are watched for c. */
void conn_update(struct conn *c);
/* Marks c as active: moves it to the end of the list of connections that may be closed as idle. */
void conn_touch(struct conn *c);
/* Updates l->memory after a buffer of c changed. */
void conn_account(struct conn *c);
/* If c was exempt from the memory limit, ends the exemption and gives it to the next connection. */
void conn_exempt_next(struct conn *c);
/* Closes c once all its input is read, all lines are answered and all replies written. */
void conn_settle(struct conn *c);
void conn_close(struct conn *c);
static inline bool listener_somebody_waits(const struct listener *l)
{
	return !TAILQ_EMPTY(&l->fresh) || !TAILQ_EMPTY(&l->busy);
}
/* True if the turn's budget is used up, or reading is paused. */
static inline bool listener_has_enough(const struct listener *l)
{
	return l->paused || l->turn_is_full;
}
static inline bool listener_memory_short(const struct listener *l)
{
	return l->memory >= l->config.max_memory;
}

#endif
