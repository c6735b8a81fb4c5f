/* queue_private.h - what the files of the stream queues share: queue.c, queue_pick.c, refill.c, envelope_groups.c,
 * batch.c, bisect.c */
#ifndef DELIVERY_QUEUE_QUEUE_PRIVATE_H
#define DELIVERY_QUEUE_QUEUE_PRIVATE_H

#include "base/collections/idmap.h"
#include "delivery/queue/queue.h"

struct queues {
	struct outbox_jobs *jobs;
	const enum phase *phase;
	struct queue_config config;
	struct idmap by_id;
	struct envelope_groups *groups;
	const struct lender *lender; /* NULL: nothing is lent */
	size_t bytes;                /* of all streams */
	unsigned n_open;
	int64_t flush_until_us; /* what came into memory before it lingers no more; monotonic */
};

/* ---- queue.c ---- */

struct queue_room {
	size_t events, bytes;
};
struct queue_room queue_room(const struct stream_queue *q);
static inline void queue_charge(struct stream_queue *q, size_t bytes)
{
	q->bytes += bytes;
	q->queues->bytes += bytes;
}
static inline void queue_discharge(struct stream_queue *q, size_t bytes)
{
	q->bytes -= bytes;
	q->queues->bytes -= bytes;
}

/* What is known of events that come into memory. */
struct load_past {
	uint32_t attempts;
	bool lingered, has_note, maybe_sent, no_expiry;
};
/* All events of a submission that are not here yet. -ENOMEM: some are in, some not. Takes a reference. */
int queue_load(struct stream_queue *q, struct submission *sub, const struct load_past *past,
               int64_t mono_us) MUST_CHECK;
bool queued_event_lingered(const struct queued_event *e, int64_t mono_us);

/* ---- refill.c ---- */

/* When the outbox is to be looked into again though nothing else happens; INT64_MAX: not known yet, or never. */
int64_t queue_refill_at_us(const struct stream_queue *q);

/* ---- batch.c ---- */

static inline struct batch *queue_first_parked_of(const struct stream_queue *q, bool suspect)
{
	struct heap_node *top = q->parked[suspect].top;
	return top ? CONTAINER_OF(top, struct batch, by_time) : NULL;
}
/* The one whose backoff ends first, or NULL. */
struct batch *queue_first_parked(const struct stream_queue *q);
/* Its batch leaves the cut that it is a part of, if it is of one, untaken. */
void cut_leave(struct batch *b);
/* A waiting batch is in flight from here on. */
void batch_start(struct batch *b);
/* A batch leaves the queue's lists, or is in flight no more; its events are untouched. */
void batch_unlist(struct batch *b);

/* ---- envelope_groups.c: waiting events by envelope, and the order of a client's envelopes ---- */

/* Of all queues. NULL: no memory. */
struct envelope_groups *envelope_groups_new(void);
struct envelope_groups *envelope_groups_free(struct envelope_groups *g);

/* Puts an event into its group. near: an event of the same submission that is in a group already, or NULL; with it
 * the envelope is neither hashed nor compared again. 0 or -ENOMEM. */
int envelope_group_add(struct stream_queue *q, struct queued_event *e, const struct queued_event *near) MUST_CHECK;
/* Takes an event out; a group that becomes empty is freed. */
void envelope_group_remove(struct queued_event *e);
/* Takes up to a batch of events from its front into b, in flight; the group may be freed. */
void envelope_group_take(struct envelope_group *g, struct batch *b);
bool envelope_group_is_full(const struct envelope_group *g);
uint64_t envelope_group_hash(const struct envelope_group *g);
struct queued_event *envelope_group_first(const struct envelope_group *g);
/* No other group of its client has an older event. */
bool envelope_group_is_clients_oldest(const struct envelope_group *g);
/* The group with the oldest event, or NULL; and one beside it, or NULL. */
struct envelope_group *envelope_group_oldest(const struct stream_queue *q);
struct envelope_group *envelope_group_another(const struct stream_queue *q);

#endif
