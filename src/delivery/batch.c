/* batch.c - batches that were tried: they go again, wait for their own backoff, or are let go */
#include <stdlib.h>

#include "delivery/queue/queue_private.h"

static void set_events(struct batch *b, enum queued_state state)
{
	for (unsigned i = 0; i < b->n; i++) {
		b->events[i]->state = (uint8_t)state;
		b->events[i]->batch = b;
		b->events[i]->lingered = true;
	}
}

void batch_unlist(struct batch *b)
{
	struct stream_queue *q = b->queue;
	switch (b->state) {
	case BATCH_AGAIN:
		TAILQ_REMOVE(&q->again, b, link);
		break;
	case BATCH_PARKED:
		heap_remove(&q->parked[b->suspect], &b->by_time);
		q->n_parked -= b->n;
		break;
	case BATCH_IN_FLIGHT:
		if (b->suspect)
			q->suspects_in_flight--;
		break;
	case BATCH_NOWHERE:
		break;
	}
	b->state = BATCH_NOWHERE;
}

void batch_start(struct batch *b)
{
	batch_unlist(b);
	b->state = BATCH_IN_FLIGHT;
	if (b->suspect)
		b->queue->suspects_in_flight++;
	set_events(b, EVENT_IN_FLIGHT);
}

/* Oldest first. */
static void insert_again(struct stream_queue *q, struct batch *b)
{
	struct batch *at;
	TAILQ_FOREACH_REVERSE(at, &q->again, batch_list, link)
	if (at->events[0]->id < b->events[0]->id) {
		TAILQ_INSERT_AFTER(&q->again, at, b, link);
		return;
	}
	TAILQ_INSERT_HEAD(&q->again, b, link);
}

void batch_again(struct batch *b)
{
	batch_unlist(b);
	b->suspect = batch_past_is_suspect(&b->past);
	b->state = BATCH_AGAIN;
	set_events(b, EVENT_BATCHED);
	insert_again(b->queue, b);
}

/* Too many wait for a try of their own: until later this one is known to the outbox alone. */
static void evict(struct batch *b, int64_t until_us)
{
	struct stream_queue *q = b->queue;
	uint64_t low = b->events[0]->id;
	if (q->evicted_until_us == 0 || low < q->evicted_low)
		q->evicted_low = low;
	if (q->evicted_until_us == 0)
		q->evicted_until_us = until_us > 0 ? until_us : 1; /* 0: none is evicted */
	batch_abandon(b);
}

static void insert_parked(struct batch *b, int64_t until_us)
{
	b->not_before_us = until_us;
	heap_insert(&b->queue->parked[b->suspect], &b->by_time, until_us < 0 ? 0 : (uint64_t)until_us);
}

void batch_park(struct batch *b, int64_t until_us)
{
	struct stream_queue *q = b->queue;
	batch_unlist(b);
	b->suspect = batch_past_is_suspect(&b->past);
	if (q->n_parked + b->n > QUEUE_PARKED_EVENTS) {
		evict(b, until_us);
		return;
	}
	b->state = BATCH_PARKED;
	set_events(b, EVENT_BATCHED);
	insert_parked(b, until_us);
	q->n_parked += b->n;
}

void batch_drop_event(struct batch *b, unsigned i)
{
	struct queued_event *e = b->events[i];
	cut_leave(b); /* it may have been the culprit */
	e->batch = NULL;
	e->state = EVENT_TAKEN;
	if (b->state == BATCH_PARKED)
		b->queue->n_parked--;
	for (; i + 1 < b->n; i++)
		b->events[i] = b->events[i + 1];
	b->n--;
	if (b->n == 0 && b->state != BATCH_IN_FLIGHT)
		batch_free(b);
}

void batch_free(struct batch *b)
{
	batch_unlist(b);
	cut_leave(b);
	free(b);
}

void batch_abandon(struct batch *b)
{
	batch_unlist(b);
	for (unsigned i = 0; i < b->n; i++) {
		b->events[i]->batch = NULL;
		queued_event_release(b->events[i]);
	}
	cut_leave(b);
	free(b);
}

struct batch *queue_first_parked(const struct stream_queue *q)
{
	struct batch *a = queue_first_parked_of(q, false), *b = queue_first_parked_of(q, true);
	return !b || (a && a->not_before_us <= b->not_before_us) ? a : b;
}

static void forget(struct batch *b)
{
	b->past = (struct batch_past){0};
	b->suspect = false;
	cut_leave(b);
}

/* Those that end later than until_us end then. */
static void end_backoffs(struct stream_queue *q, int64_t until_us, bool forget_past)
{
	struct batch_list parked = TAILQ_HEAD_INITIALIZER(parked);
	struct batch *b;
	while ((b = queue_first_parked(q)) != NULL) {
		heap_remove(&q->parked[b->suspect], &b->by_time);
		TAILQ_INSERT_TAIL(&parked, b, link);
	}
	while ((b = TAILQ_FIRST(&parked)) != NULL) {
		TAILQ_REMOVE(&parked, b, link);
		if (forget_past)
			forget(b);
		insert_parked(b, b->not_before_us < until_us ? b->not_before_us : until_us);
	}
}

void queue_flush(struct stream_queue *q, int64_t mono_us)
{
	end_backoffs(q, mono_us, false);
}

void queue_forget_past(struct stream_queue *q)
{
	struct batch *b;
	TAILQ_FOREACH(b, &q->again, link)
	forget(b);
	end_backoffs(q, 0, true);
}
