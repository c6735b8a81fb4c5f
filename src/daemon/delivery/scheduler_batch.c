/* scheduler_batch.c - batches that were tried: whole, parked for their own backoff, cut in two, or let go */
#include <errno.h>
#include <stdlib.h>

#include "daemon/delivery/scheduler.h"
#include "daemon/delivery/scheduler_private.h"

static void set_events(struct batch *b, enum due_state state)
{
	for (unsigned i = 0; i < b->n; i++) {
		b->events[i]->state = (uint8_t)state;
		b->events[i]->batch = b;
		b->events[i]->lingered = true;
	}
}

void batch_unlist(struct batch *b)
{
	struct lane *l = b->lane;
	switch (b->state) {
	case BATCH_AGAIN:
		TAILQ_REMOVE(&l->again, b, link);
		break;
	case BATCH_PARKED:
		heap_remove(&l->parked, &b->by_time);
		l->n_parked -= b->n;
		break;
	case BATCH_IN_FLIGHT:
		if (b->suspect)
			l->suspects_in_flight--;
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
		b->lane->suspects_in_flight++;
	set_events(b, DUE_IN_FLIGHT);
}

/* Oldest first. */
static void insert_again(struct lane *l, struct batch *b)
{
	struct batch *at;
	TAILQ_FOREACH_REVERSE(at, &l->again, batch_list, link)
	if (at->events[0]->id < b->events[0]->id) {
		TAILQ_INSERT_AFTER(&l->again, at, b, link);
		return;
	}
	TAILQ_INSERT_HEAD(&l->again, b, link);
}

void batch_again(struct batch *b)
{
	batch_unlist(b);
	b->suspect = b->past.failed;
	b->state = BATCH_AGAIN;
	set_events(b, DUE_BATCHED);
	insert_again(b->lane, b);
}

/* Too many wait for a try of their own: this one is known to the outbox alone until later. */
static void evict(struct batch *b, int64_t until_us)
{
	struct lane *l = b->lane;
	uint64_t low = b->events[0]->id;
	if (l->evicted_until_us == 0 || low < l->evicted_low)
		l->evicted_low = low;
	if (l->evicted_until_us == 0)
		l->evicted_until_us = until_us;
	batch_abandon(b);
}

void batch_park(struct batch *b, int64_t until_us)
{
	struct lane *l = b->lane;
	batch_unlist(b);
	b->suspect = true;
	if (l->n_parked + b->n > SCHEDULER_PARKED_EVENTS) {
		evict(b, until_us);
		return;
	}
	b->state = BATCH_PARKED;
	b->not_before_us = until_us;
	set_events(b, DUE_BATCHED);
	heap_insert(&l->parked, &b->by_time, until_us < 0 ? 0 : (uint64_t)until_us);
	l->n_parked += b->n;
}

int batch_split(struct batch *b)
{
	struct batch *second = malloc(sizeof(*second));
	if (!second)
		return -ENOMEM;
	batch_unlist(b);
	*second = *b;
	unsigned half = (b->n + 1) / 2;
	second->n = b->n - half;
	for (unsigned i = 0; i < second->n; i++)
		second->events[i] = b->events[half + i];
	b->n = half;
	batch_again(b);
	batch_again(second);
	return 0;
}

struct batch *batch_cut(struct batch *b, uint32_t which)
{
	struct batch *out = malloc(sizeof(*out));
	if (!out)
		return NULL;
	*out = *b;
	unsigned n = b->n;
	b->n = out->n = 0;
	if (out->suspect)
		b->lane->suspects_in_flight++;
	for (unsigned i = 0; i < n; i++) {
		struct batch *to = which >> i & 1 ? out : b;
		struct due *d = b->events[i];
		d->batch = to;
		to->events[to->n++] = d;
	}
	return out;
}

void batch_settling(struct batch *b)
{
	batch_unlist(b);
	for (unsigned i = 0; i < b->n; i++)
		due_settle(b->lane->scheduler, b->events[i]);
	free(b);
}

void batch_drop_event(struct batch *b, unsigned i)
{
	struct due *d = b->events[i];
	d->batch = NULL;
	d->state = DUE_TAKEN;
	if (b->state == BATCH_PARKED)
		b->lane->n_parked--;
	for (; i + 1 < b->n; i++)
		b->events[i] = b->events[i + 1];
	b->n--;
	if (b->n == 0 && b->state != BATCH_IN_FLIGHT) {
		batch_unlist(b);
		free(b);
	}
}

struct batch *batch_free_empty(struct batch *b)
{
	if (b) {
		batch_unlist(b);
		free(b);
	}
	return NULL;
}

void batch_abandon(struct batch *b)
{
	struct scheduler *s = b->lane->scheduler;
	batch_unlist(b);
	for (unsigned i = 0; i < b->n; i++) {
		b->events[i]->batch = NULL;
		due_release(s, b->events[i]);
	}
	free(b);
}

void lane_forget_past(struct lane *l)
{
	struct batch_list due;
	struct batch *b;
	TAILQ_FOREACH(b, &l->again, link)
	{
		b->past = (struct batch_past){0};
		b->suspect = false;
	}
	TAILQ_INIT(&due);
	while (l->parked.top) {
		b = CONTAINER_OF(l->parked.top, struct batch, by_time);
		heap_remove(&l->parked, &b->by_time);
		TAILQ_INSERT_TAIL(&due, b, link);
	}
	while ((b = TAILQ_FIRST(&due)) != NULL) {
		TAILQ_REMOVE(&due, b, link);
		b->past = (struct batch_past){0};
		b->not_before_us = 0;
		heap_insert(&l->parked, &b->by_time, 0);
	}
}

void lane_flush(struct lane *l, int64_t mono_us)
{
	struct batch_list due = TAILQ_HEAD_INITIALIZER(due);
	struct batch *b;
	while (l->parked.top) {
		b = CONTAINER_OF(l->parked.top, struct batch, by_time);
		if (b->not_before_us <= mono_us)
			break;
		heap_remove(&l->parked, &b->by_time);
		TAILQ_INSERT_TAIL(&due, b, link);
	}
	while ((b = TAILQ_FIRST(&due)) != NULL) {
		TAILQ_REMOVE(&due, b, link);
		b->not_before_us = mono_us;
		heap_insert(&l->parked, &b->by_time, (uint64_t)mono_us);
	}
}
