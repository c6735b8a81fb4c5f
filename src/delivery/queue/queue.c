/* queue.c - what of the stream queues is in memory: events come in, are found by id, and leave */
#include <errno.h>
#include <stdlib.h>

#include "base/collections/id_list.h"
#include "delivery/queue/queue_private.h"
#include "event/payload.h"

struct queues *queues_new(struct outbox_jobs *jobs, const enum phase *phase)
{
	struct queues *qs = calloc(1, sizeof(*qs));
	if (!qs)
		return NULL;
	qs->jobs = jobs;
	qs->phase = phase;
	qs->flush_until_us = INT64_MIN;
	idmap_init(&qs->by_id);
	qs->groups = envelope_groups_new();
	return qs->groups ? qs : queues_free(qs);
}

struct queues *queues_free(struct queues *qs)
{
	if (!qs)
		return NULL;
	idmap_free(&qs->by_id);
	envelope_groups_free(qs->groups);
	free(qs);
	return NULL;
}

void queues_set_config(struct queues *qs, const struct queue_config *config)
{
	qs->config = *config;
}

void queues_set_lender(struct queues *qs, const struct lender *lender)
{
	qs->lender = lender;
}

const struct lender *queues_lender(const struct queues *qs)
{
	return qs->lender;
}

void queues_flush(struct queues *qs, int64_t mono_us)
{
	qs->flush_until_us = mono_us;
}

struct queued_event *queues_find(const struct queues *qs, uint64_t id)
{
	return id ? idmap_get(&qs->by_id, id) : NULL;
}

struct queued_event *queues_next(const struct queues *qs, size_t *at, uint64_t *ret_id)
{
	return idmap_next(&qs->by_id, at, ret_id);
}

int queues_in_flight_ids(const struct queues *qs, uint64_t **ret, size_t *ret_n)
{
	size_t n = 0, at = 0;
	uint64_t id, *ids = malloc((qs->by_id.len + 1) * sizeof(*ids));
	const struct queued_event *e;
	if (!ids)
		return -ENOMEM;
	while ((e = queues_next(qs, &at, &id)) != NULL)
		if (queued_event_is_out(e))
			ids[n++] = id;
	id_list_sort(ids, n);
	*ret = ids;
	*ret_n = n;
	return 0;
}

/* ---- one stream's queue ---- */

void queue_open(struct stream_queue *q, struct queues *qs, uint32_t sid)
{
	*q = (struct stream_queue){.queues = qs, .sid = sid, .disk_more = true};
	q->settling.state = EVENT_SETTLING;
	TAILQ_INIT(&q->full);
	TAILQ_INIT(&q->again);
	qs->n_open++;
}

void queue_close(struct stream_queue *q)
{
	queue_clear(q);
	free(q->pending);
	q->queues->n_open--;
}

void queue_stop(struct stream_queue *q)
{
	q->stopped = true;
	queue_clear(q);
}

void queue_restart(struct stream_queue *q)
{
	if (q->stopped)
		queue_rewind(q, 1);
	q->stopped = false;
}

void queue_clear(struct stream_queue *q)
{
	struct envelope_group *g;
	struct batch *b;
	while ((g = envelope_group_oldest(q)) != NULL)
		queued_event_release(envelope_group_first(g));
	while ((b = TAILQ_FIRST(&q->again)) != NULL || (b = queue_first_parked(q)) != NULL)
		batch_abandon(b);
}

/* The bytes a queue may still take: of the shared part as long as there is any, else of its own. */
static size_t room_bytes(const struct stream_queue *q)
{
	const struct queues *qs = q->queues;
	size_t own = QUEUES_RESERVED_BYTES / (qs->n_open ? qs->n_open : 1);
	size_t shared = qs->bytes < QUEUES_SHARED_BYTES ? QUEUES_SHARED_BYTES - qs->bytes : 0;
	size_t mine = q->bytes < own ? own - q->bytes : 0;
	return shared > mine ? shared : mine;
}

struct queue_room queue_room(const struct stream_queue *q)
{
	return (struct queue_room){
	        .events = q->n_events < QUEUE_EVENTS ? QUEUE_EVENTS - q->n_events : 0,
	        .bytes = room_bytes(q),
	};
}

/* ---- events come and go ---- */

/* With what malloc takes, and each id's place in the map. */
static size_t memory_of(const struct submission *sub)
{
	size_t n = sizeof(struct loaded_events) + sizeof(*sub) + 48;
	n += sub->envelope.n + sub->client.n + sub->dedup_key.n;
	for (uint32_t i = 0; i < sub->n_events; i++)
		n += sub->events[i].body.n + sizeof(struct event) + sizeof(struct queued_event) + 4 * sizeof(void *);
	return n;
}

static void loaded_events_put(struct loaded_events *loaded)
{
	if (--loaded->left > 0)
		return;
	queue_discharge(loaded->queue, loaded->bytes);
	submission_unref(loaded->sub);
	free(loaded);
}

/* 1: in; 0: it is here already; -ENOMEM. */
static int enter(struct stream_queue *q, struct queued_event *e, const struct queued_event *near)
{
	struct queues *qs = q->queues;
	int r = idmap_add(&qs->by_id, e->id, e);
	if (r <= 0)
		return r;
	r = envelope_group_add(q, e, near);
	if (r < 0) {
		idmap_remove(&qs->by_id, e->id);
		return r;
	}
	q->n_events++;
	return 1;
}

int queue_load(struct stream_queue *q, struct submission *sub, const struct load_past *past, int64_t mono_us)
{
	struct loaded_events *loaded = malloc(sizeof(*loaded) + sub->n_events * sizeof(loaded->events[0]));
	if (!loaded)
		return -ENOMEM;
	*loaded = (struct loaded_events){.sub = submission_ref(sub),
	                                 .queue = q,
	                                 .left = 1, /* this function's own, until all are in */
	                                 .bytes = (uint32_t)memory_of(sub)};
	queue_charge(q, loaded->bytes);
	const struct queued_event *near = NULL;
	int r = 0;
	for (uint32_t i = 0; i < sub->n_events && r >= 0; i++) {
		struct queued_event *e = &loaded->events[i];
		*e = (struct queued_event){.id = sub->first_id + i,
		                           .index = i,
		                           .since_us = mono_us,
		                           .size = (uint32_t)payload_event_size(&sub->events[i]),
		                           .attempts = past->attempts,
		                           .lingered = past->lingered,
		                           .has_note = past->has_note,
		                           .maybe_sent = past->maybe_sent,
		                           .no_expiry = past->no_expiry};
		r = enter(q, e, near);
		loaded->left += r > 0;
		near = r > 0 ? e : near;
	}
	loaded_events_put(loaded);
	return r < 0 ? r : 0;
}

int queue_lend(struct stream_queue *q, struct submission *sub, const struct lent_past *past, int64_t mono_us)
{
	struct load_past load = {
	        .attempts = past->attempts,
	        .lingered = true,
	        .maybe_sent = past->maybe_sent,
	        .no_expiry = past->no_expiry,
	};
	return queue_load(q, sub, &load, mono_us);
}

void queued_event_release(struct queued_event *e)
{
	struct loaded_events *loaded = queued_event_loaded(e);
	const struct lender *lender = loaded->queue->queues->lender;
	uint64_t id = e->id;
	if (e->group)
		envelope_group_remove(e);
	idmap_remove(&loaded->queue->queues->by_id, id);
	loaded->queue->n_events--;
	loaded_events_put(loaded);
	if (id_is_lent(id) && lender)
		lender->returned(lender->arg, id);
}

void queued_event_settle(struct queued_event *e)
{
	struct loaded_events *loaded = queued_event_loaded(e);
	struct stream_queue *q = loaded->queue;
	idmap_replace(&q->queues->by_id, e->id, &q->settling);
	q->n_settling++;
	q->n_events--;
	loaded_events_put(loaded);
}

void queues_settled(struct queues *qs, uint64_t id)
{
	struct queued_event *e = queues_find(qs, id);
	if (!e || e->state != EVENT_SETTLING)
		return;
	idmap_remove(&qs->by_id, id);
	CONTAINER_OF(e, struct stream_queue, settling)->n_settling--;
}

static void remove_from_batch(const struct queued_event *e)
{
	for (unsigned i = 0; i < e->batch->n; i++)
		if (e->batch->events[i] == e) {
			batch_drop_event(e->batch, i);
			return;
		}
}

void queued_event_forget(struct queued_event *e)
{
	switch ((enum queued_state)e->state) {
	case EVENT_IN_FLIGHT:
		e->forgotten = true;
		return;
	case EVENT_SETTLING: /* leaves by itself */
		return;
	case EVENT_BATCHED:
		remove_from_batch(e);
		break;
	case EVENT_WAITING:
	case EVENT_TAKEN:
		break;
	}
	queued_event_release(e);
}

/* ---- what is known of one ---- */

bool queued_event_is_out(const struct queued_event *e)
{
	return e->state == EVENT_IN_FLIGHT || e->state == EVENT_SETTLING;
}

bool queued_event_lingered(const struct queued_event *e, int64_t mono_us)
{
	const struct queues *qs = queued_event_loaded(e)->queue->queues;
	return e->lingered || *qs->phase != PHASE_RUNNING || e->since_us <= qs->flush_until_us ||
	       mono_us - e->since_us >= qs->config.linger_us;
}

int64_t queued_event_next_us(const struct queued_event *e)
{
	switch ((enum queued_state)e->state) {
	case EVENT_WAITING:
		if (queued_event_lingered(e, INT64_MIN / 2))
			return INT64_MIN;
		return e->since_us + queued_event_loaded(e)->queue->queues->config.linger_us;
	case EVENT_BATCHED:
		return e->batch->state == BATCH_PARKED ? e->batch->not_before_us : INT64_MIN;
	case EVENT_IN_FLIGHT:
	case EVENT_TAKEN:
	case EVENT_SETTLING:
		break;
	}
	return INT64_MAX;
}
