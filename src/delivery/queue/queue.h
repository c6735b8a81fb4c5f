/* queue.h - the stream queues: which events go next, in batches of one envelope
 *
 * The outbox holds the truth, memory holds when. Of each stream's backlog a bounded part is in memory: waiting events
 * grouped by envelope, batches that were tried and wait for another try, and a cursor into the outbox for the rest.
 * All on the loop's thread; nothing here sends or settles. */
#ifndef DELIVERY_QUEUE_QUEUE_H
#define DELIVERY_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/collections/heap.h"
#include "base/macros.h"
#include "base/phase.h"
#include "delivery/queue/outbox_jobs.h"
#include "event/event.h"
#include "event/lent.h"
#include "ga4/limits.h"
#include "policy/destination.h"

enum {
	QUEUE_EVENTS = 65536,            /* events of a stream in memory */
	QUEUES_SHARED_BYTES = 16 << 20,  /* for all streams together, … */
	QUEUES_RESERVED_BYTES = 8 << 20, /* … and an even part of this for each, whatever the others hold */
	QUEUE_PARKED_EVENTS = 16384,     /* events of a stream in batches with a backoff of their own */
};

struct queues; /* what all stream queues share */
struct envelope_group;

enum queued_state {
	EVENT_WAITING, /* in an envelope group */
	EVENT_BATCHED, /* in a batch that waits for another try */
	EVENT_IN_FLIGHT,
	EVENT_TAKEN,   /* in nothing: whoever took it out lets it go in the same breath */
	EVENT_SETTLING /* its outcome is on the way into the outbox; the queue's mark stands for all of these */
};

/* One queued event in memory, beside the other events of its line in struct loaded_events. */
struct queued_event {
	TAILQ_ENTRY(queued_event) link; /* in its group */
	uint64_t id;                    /* the outbox's, or a lent one (lent.h) */
	int64_t since_us;               /* monotonic: when it came into memory */
	struct envelope_group *group;   /* while waiting */
	struct batch *batch;            /* while in one */
	uint32_t index;                 /* of its submission's events, and of the loaded ones */
	uint32_t size;                  /* bytes it adds to a body */
	uint32_t attempts;
	uint8_t state;     /* enum queued_state */
	bool lingered : 1; /* comes from the backlog or was tried: waits for no company */
	bool has_note : 1; /* the outbox has an attempt record of it */
	bool maybe_sent : 1;
	bool no_expiry : 1;
	bool forgotten : 1; /* held or dropped while in flight: not tried again */
};
TAILQ_HEAD(queued_event_list, queued_event);

/* What is in memory of one submission; freed with its last event. */
struct loaded_events {
	struct submission *sub; /* a reference */
	struct stream_queue *queue;
	uint32_t left;  /* events still here */
	uint32_t bytes; /* charged to the queue */
	struct queued_event events[];
};

static inline struct loaded_events *queued_event_loaded(const struct queued_event *e)
{
	return CONTAINER_OF(e - e->index, struct loaded_events, events);
}
static inline struct submission *queued_event_sub(const struct queued_event *e)
{
	return queued_event_loaded(e)->sub;
}
static inline const struct event *queued_event_get(const struct queued_event *e)
{
	return &queued_event_sub(e)->events[e->index];
}

enum batch_state {
	BATCH_IN_FLIGHT,
	BATCH_AGAIN,   /* waits until its destination allows */
	BATCH_PARKED,  /* waits for its own backoff */
	BATCH_NOWHERE, /* between two of the others */
};

/* Events that go, or went, in one request; once tried they stay together. In flight it belongs to whoever picked it,
 * who writes `fresh`, `attempts` and `past`, and its events' `attempts`, `has_note` and `maybe_sent`. */
struct batch {
	TAILQ_ENTRY(batch) link;  /* BATCH_AGAIN: the queue's list */
	struct heap_node by_time; /* BATCH_PARKED: by not_before_us */
	struct stream_queue *queue;
	enum batch_state state;
	bool suspect; /* what it went through makes it so (batch_past.h): it never takes every place */
	bool fresh;   /* next on a new connection */
	unsigned attempts;
	struct batch_past past;
	struct cut *cut;       /* what it is a part of, or NULL */
	int64_t not_before_us; /* while parked; monotonic */
	uint64_t envelope_hash;
	unsigned n;
	struct queued_event *events[LIMIT_EVENTS_PER_REQUEST]; /* ids ascending */
};
TAILQ_HEAD(batch_list, batch);
TAILQ_HEAD(envelope_group_list, envelope_group);

/* One stream's queue. The queue's files write it, others only read. */
struct stream_queue {
	struct queues *queues;
	uint32_t sid;
	bool stopped;                    /* its stream is not configured any more: takes nothing in */
	struct heap groups;              /* by the id of their first event: oldest first */
	struct envelope_group_list full; /* groups with a full batch that are their client's oldest */
	struct batch_list again;
	struct heap parked[2];       /* [1]: suspects */
	size_t n_parked;             /* events in parked batches */
	unsigned suspects_in_flight; /* batches */
	size_t n_waiting, n_events, bytes;
	/* Stands in the map of ids for every event whose outcome is on its way: the outbox still has such an event,
	 * and must not bring it back before the commit. */
	struct queued_event settling;
	size_t n_settling;
	unsigned picks;       /* counts towards the turn of the oldest event */
	unsigned passed_over; /* picks of others while a parked batch was due */
	/* what is not in memory (refill.c) */
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

struct queue_config {
	unsigned max_batch; /* 1 to LIMIT_EVENTS_PER_REQUEST */
	int64_t linger_us;
};

/* jobs and phase outlive it. NULL: no memory. */
struct queues *queues_new(struct outbox_jobs *jobs, const enum phase *phase) MUST_CHECK;
/* All queues must be closed. Takes NULL. */
struct queues *queues_free(struct queues *qs);
void queues_set_config(struct queues *qs, const struct queue_config *config);
/* NULL: nothing is lent. It outlives the queues, or is replaced. */
void queues_set_lender(struct queues *qs, const struct lender *lender);
const struct lender *queues_lender(const struct queues *qs);
/* NULL: not in memory. An event that is settling is the queue's mark, with nothing in it but its state. */
struct queued_event *queues_find(const struct queues *qs, uint64_t id);
/* Walks over all of them, marks included, as idmap_next(). */
struct queued_event *queues_next(const struct queues *qs, size_t *at, uint64_t *ret_id);
/* Ids in flight now, ascending; malloc'd into *ret. 0 or -ENOMEM. */
int queues_in_flight_ids(const struct queues *qs, uint64_t **ret, size_t *ret_n) MUST_CHECK;
/* An operator's flush: what is in memory now lingers no more. */
void queues_flush(struct queues *qs, int64_t mono_us);
/* The outcome of an event that was settling is committed. */
void queues_settled(struct queues *qs, uint64_t id);

/* Begins with the outbox's backlog, all of it on disk. */
void queue_open(struct stream_queue *q, struct queues *qs, uint32_t sid);
/* Nothing of it may be in flight, settling, or asked for from the outbox. */
void queue_close(struct stream_queue *q);
/* Its stream is no longer configured: nothing comes in, what waits is on disk only. */
void queue_stop(struct stream_queue *q);
/* … and is configured again. */
void queue_restart(struct stream_queue *q);
/* Forgets what waits: on disk only. */
void queue_clear(struct stream_queue *q);

/* Just committed. Takes a reference. */
void queue_accept(struct stream_queue *q, struct submission *sub, int64_t mono_us);
/* One event of the lender's. Takes a reference. 0 or -ENOMEM. */
int queue_lend(struct stream_queue *q, struct submission *sub, const struct lent_past *past,
               int64_t mono_us) MUST_CHECK;
/* What was committed while a refill is on its way was changed since: it is read again from the outbox. */
void queue_forget_pending(struct stream_queue *q);
/* Something at or above the id became queued again. */
void queue_rewind(struct stream_queue *q, uint64_t lowest_id);
/* Asks the outbox for more when it is time. */
void queue_refill(struct stream_queue *q, int64_t mono_us);

/* What may be picked. */
struct pick_choice {
	bool clean;         /* a batch that is no suspect */
	bool suspects;      /* one that is, before others */
	bool idle_suspects; /* one that is, when nothing else is ready */
	bool probe;         /* prefer what did not fail last, and another envelope than that; linger does not count */
	bool parts;         /* a part of what was cut, or what may be cut next, before anything else */
	const struct batch *failed_last; /* compared, never looked into */
	uint64_t failed_envelope;
	uint64_t crowding; /* this envelope alone is in flight, and hangs: one of another goes first, whatever else
	                    * may be picked; 0: none */
};
/* The next batch, BATCH_IN_FLIGHT and the caller's, or NULL. */
struct batch *queue_pick(struct stream_queue *q, const struct pick_choice *choice, int64_t mono_us);
/* Whether something that never failed may go now. */
bool queue_has_ready(const struct stream_queue *q, int64_t mono_us);
/* Monotonic time at which something may be ready without any other event; INT64_MAX: none. */
int64_t queue_next_us(const struct stream_queue *q, int64_t mono_us);
/* An operator's flush: the backoffs of parked batches end now. */
void queue_flush(struct stream_queue *q, int64_t mono_us);
/* Another endpoint: what its batches went through counts no more, and their own backoffs end. */
void queue_forget_past(struct stream_queue *q);

/* A batch in flight: waits until its destination allows. */
void batch_again(struct batch *b);
/* … waits for its own backoff. */
void batch_park(struct batch *b, int64_t until_us);
/* … becomes two halves that go next. by_suspicion, by_chance: as batch_past_cut(). -ENOMEM: it stays whole and in
 * flight. */
int batch_bisect(struct batch *b, bool by_suspicion, bool by_chance) MUST_CHECK;
/* A batch in flight was taken. */
struct batch_taken batch_taken(struct batch *b);
/* … gives up the events whose bits are set (not all) to a batch of their own, in flight too. NULL: no memory. */
struct batch *batch_cut(struct batch *b, uint32_t which) MUST_CHECK;
/* Its events have left. */
void batch_free(struct batch *b);
/* Its events are on disk only from here on, and it is gone; in flight or waiting. */
void batch_abandon(struct batch *b);
/* Takes one event out, in flight or waiting: queued_event_settle() or queued_event_release() must follow. A batch
 * that becomes empty is freed unless it is in flight. */
void batch_drop_event(struct batch *b, unsigned i);

/* Out of memory: on disk only, or gone from there too, or the lender's again. */
void queued_event_release(struct queued_event *e);
/* Its outcome is decided and on its way: out of memory but for its id, until queues_settled(). */
void queued_event_settle(struct queued_event *e);
/* Held, dropped or dead by the outbox's word: leaves memory, now or when its request ends. */
void queued_event_forget(struct queued_event *e);
/* In flight, also while the outcome is on its way into the outbox. */
bool queued_event_is_out(const struct queued_event *e);
/* Monotonic time of the next try; INT64_MIN: now; INT64_MAX: in flight or settling. */
int64_t queued_event_next_us(const struct queued_event *e);

#endif
