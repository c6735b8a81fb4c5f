/* scheduler.h - which events go next: a bounded window of the backlog in memory, in batches of one envelope
 *
 * Disk holds truth, memory holds when. Each stream has a lane: its queued events in groups of one envelope, a cursor
 * into the outbox for what is not in memory, and batches that were tried and wait for another turn. All on the loop's
 * thread; nothing here sends or settles. */
#ifndef DAEMON_DELIVERY_SCHEDULER_H
#define DAEMON_DELIVERY_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/idmap.h"
#include "base/macros.h"
#include "codec/payload_out.h"
#include "model/destination.h"
#include "model/event.h"
#include "store/jobs.h"

enum {
	SCHEDULER_BATCH_MAX = 25,          /* events of a request; GA4's limit */
	SCHEDULER_LANE_EVENTS = 65536,     /* events of a stream in memory */
	SCHEDULER_SHARED_BYTES = 16 << 20, /* of all streams together … */
	SCHEDULER_OWN_BYTES =
	        8 << 20, /* … but an even part of this is every stream's own, whatever the others hold */
	SCHEDULER_PARKED_EVENTS = 16384, /* in batches that wait for their own next try */
	REQUEST_BYTES = 130000,          /* a body is smaller than this */
};

struct lane;
struct group;

enum due_state {
	DUE_WAITING, /* in a group */
	DUE_BATCHED, /* in a batch that waits */
	DUE_IN_FLIGHT,
	DUE_TAKEN,   /* in nothing: whoever took it lets it go in the same breath */
	DUE_SETTLING /* its outcome is on the way into the outbox: a lane's mark stands for all such */
};

/* One queued event in memory. Lies in a struct load, beside the other events of its line. */
struct due {
	TAILQ_ENTRY(due) link; /* in its group */
	uint64_t id;
	int64_t since_us;    /* monotonic: when it came into memory */
	struct group *group; /* while waiting */
	struct batch *batch; /* while in one */
	uint32_t index;      /* of its submission's events, and of its load's */
	uint32_t size;       /* bytes it adds to a body */
	uint32_t attempts;
	uint8_t state;     /* enum due_state */
	bool lingered : 1; /* comes from the backlog, or was tried: waits for no company */
	bool has_note : 1; /* an attempt is noted in the outbox */
	bool maybe_sent : 1;
	bool no_expiry : 1;
	bool forgotten : 1; /* held or dropped while in flight: not tried again */
};
TAILQ_HEAD(due_list, due);

/* What is in memory of one submission. */
struct load {
	struct submission *sub;
	struct lane *lane;
	uint32_t left;  /* events still here */
	uint32_t bytes; /* charged to the lane */
	bool lodger;    /* lies in the submission's own block */
	struct due due[];
};

static inline struct load *due_load(const struct due *d)
{
	return CONTAINER_OF(d - d->index, struct load, due);
}
static inline struct submission *due_sub(const struct due *d)
{
	return due_load(d)->sub;
}
static inline const struct event *due_event(const struct due *d)
{
	return &due_sub(d)->events[d->index];
}

enum batch_state {
	BATCH_IN_FLIGHT,
	BATCH_AGAIN,   /* when the destination allows */
	BATCH_PARKED,  /* own backoff */
	BATCH_NOWHERE, /* between two of the others */
};

/* Events that go, or went, in one request; once tried they stay together. */
struct batch {
	TAILQ_ENTRY(batch) link;  /* BATCH_AGAIN: the lane's list */
	struct heap_node by_time; /* BATCH_PARKED: key is when, monotonic us */
	struct lane *lane;
	enum batch_state state;
	bool suspect; /* failed before: may be its own trouble, so it never takes every place */
	bool fresh;   /* next on a new connection */
	unsigned attempts;
	struct batch_past past;
	int64_t not_before_us; /* while parked */
	uint64_t envelope_hash;
	unsigned n;
	struct due *events[SCHEDULER_BATCH_MAX]; /* ids ascending */
};
TAILQ_HEAD(batch_list, batch);

TAILQ_HEAD(group_list, group);

/* One stream's part. Fields are the scheduler's; dispatch and status may read them. */
struct lane {
	struct scheduler *scheduler;
	uint32_t sid;
	bool removed;           /* not configured any more: takes nothing in */
	struct heap groups;     /* by the id of their first event: oldest first */
	struct group_list full; /* groups with a full batch that are their client's oldest */
	struct batch_list again;
	struct heap parked;
	size_t n_parked;             /* events in parked batches */
	unsigned suspects_in_flight; /* batches */
	size_t n_waiting, n_events, bytes;
	/* Of an event whose outcome is on its way only the id is still known: this mark stands for it in by_id, so
	 * that it is not read again from the outbox, which has it until the commit. */
	struct due settling;
	size_t n_settling;
	unsigned picks;       /* for the share of the oldest */
	unsigned passed_over; /* picks of others while a parked batch was due */
	/* what is not in memory */
	uint64_t cursor; /* queued events with higher ids are on disk only */
	bool disk_more, filling, refilling, rewound;
	bool thin;          /* filling, and so little is here that what is not full waits */
	uint64_t rewind_to; /* while a refill is on its way and rewound */
	int64_t refill_not_before_us;
	struct submission **pending; /* committed while a refill was on its way, in id order */
	size_t n_pending;
	bool pending_overflow;
	int64_t evicted_until_us; /* parked batches were put back to disk: look again then; 0: none */
	uint64_t evicted_low;
};

struct scheduler_config {
	unsigned max_batch;
	int64_t linger_us;
};

struct scheduler {
	struct scheduler_config config;
	struct idmap by_id;
	struct hash_key key;
	struct bucket_table *envelopes, *clients;
	size_t bytes;
	unsigned n_lanes;
	bool draining;          /* nothing lingers */
	int64_t flush_until_us; /* what came into memory before it lingers no more */
	struct job_list jobs;   /* refills to submit: taken by whoever pumps */
	unsigned jobs_out;      /* refills at the writer */
	void (*on_time)(void *arg, int64_t event_time_us,
	                uint64_t id); /* each event that comes into memory; may be NULL */
	void *arg;
};

int scheduler_init(struct scheduler *s, const struct scheduler_config *config) MUST_CHECK;
/* All lanes must be freed. */
void scheduler_free(struct scheduler *s);

/* from_disk: the outbox may hold older events of this stream. */
struct lane *scheduler_lane_new(struct scheduler *s, uint32_t sid, bool from_disk) MUST_CHECK;
/* Forgets what waits in it: on disk only. */
void lane_clear(struct lane *l);
/* Nothing of it may be in flight or settling. Takes NULL. The memory lives on until a refill on its way is back. */
struct lane *scheduler_lane_free(struct lane *l);

/* Just committed. Takes references. */
void lane_accept(struct lane *l, struct submission *sub, int64_t mono_us);
/* What was committed while a refill is on its way was changed since: it is read again from the outbox. */
void lane_forget_pending(struct lane *l);
/* Something at or above the id became queued again. */
void lane_rewind(struct lane *l, uint64_t lowest_id);
/* Puts a refill into scheduler.jobs when one is due. nothing_queued: the outbox holds no queued event of it. */
void lane_refill(struct lane *l, int64_t mono_us, bool nothing_queued);

/* What may be picked. */
struct pick_choice {
	bool clean;    /* a batch that never failed */
	bool suspects; /* one that did */
	bool probe;    /* prefer what did not fail last, and another envelope than that; linger does not count */
	const struct batch *failed_last; /* compared, never looked into */
	uint64_t failed_envelope;
	uint64_t crowding; /* nothing but this envelope is in flight, and it hangs: one of another goes first,
	                    * whatever else may be picked; 0: none */
};
/* The next batch, BATCH_IN_FLIGHT and the caller's, or NULL. */
struct batch *lane_pick(struct lane *l, const struct pick_choice *choice, int64_t mono_us);
/* Something may be ready at that time without any other event; INT64_MAX: no. */
int64_t lane_next_us(const struct lane *l, int64_t mono_us);

/* What becomes of a batch in flight. */
void batch_again(struct batch *b);                  /* when the destination allows */
void batch_park(struct batch *b, int64_t until_us); /* its own backoff */
/* Two halves that go next; the batch is gone. -ENOMEM: it stays whole, to be parked. */
int batch_split(struct batch *b) MUST_CHECK;
/* The events of b, in flight, whose bits are set (not all) become a batch of their own, in flight too. NULL: no
 * memory. */
struct batch *batch_cut(struct batch *b, uint32_t which) MUST_CHECK;
/* The batch is gone, its events are settling: due_settle() of each. */
void batch_settling(struct batch *b);
/* Takes one event out of a batch in flight or waiting: due_settle() or due_release() must follow. */
void batch_drop_event(struct batch *b, unsigned i);
struct batch *batch_free_empty(struct batch *b);
/* Its events are on disk only from here on, and it is gone. */
void batch_abandon(struct batch *b);

/* Out of memory: on disk only, or gone from there. */
void due_release(struct scheduler *s, struct due *d);
/* Its outcome is decided and on its way: out of memory but for its id, until scheduler_settled(). */
void due_settle(struct scheduler *s, struct due *d);
void scheduler_settled(struct scheduler *s, uint64_t id);
/* Held or dropped by an operator. */
void scheduler_forget(struct scheduler *s, uint64_t id);
/* What is DUE_SETTLING is a mark, with nothing in it but that. */
struct due *scheduler_find(const struct scheduler *s, uint64_t id);
/* In flight, also while the outcome is on its way into the outbox. */
bool due_is_out(const struct due *d);
/* Ids in flight now, ascending; malloc'd into *ret. 0 or -ENOMEM. */
int scheduler_in_flight_ids(const struct scheduler *s, uint64_t **ret, size_t *ret_n) MUST_CHECK;
/* An operator's flush: linger, and the own waiting of parked batches, end now. */
void lane_flush(struct lane *l, int64_t mono_us);
/* Another endpoint: what its batches went through counts no more, and their own waiting ends. */
void lane_forget_past(struct lane *l);
void scheduler_flush(struct scheduler *s, int64_t mono_us);
/* Monotonic time of the next try; INT64_MIN: now; INT64_MAX: in flight or settling. */
int64_t due_next_us(const struct due *d);

#endif
