/* queue_pick.c - which batch of a stream goes next */
#include <stdlib.h>

#include "delivery/queue/queue_private.h"

enum {
	OLDEST_EVERY = 16,                 /* one pick in this many goes to the oldest event, full or not, … */
	OLDEST_AFTER_US = 5 * 1000 * 1000, /* … if it has been in memory for so long: nothing starves */
	PARKED_EVERY = 8,                  /* one pick in this many goes to a batch whose own backoff is over */
};

static struct batch *take_group(struct stream_queue *q, struct envelope_group *g)
{
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->queue = q;
	b->state = BATCH_IN_FLIGHT;
	envelope_group_take(g, b);
	for (unsigned i = 0; i < b->n; i++)
		if (b->events[i]->attempts > b->attempts)
			b->attempts = b->events[i]->attempts;
	return b;
}

static bool group_lingered(const struct envelope_group *g, int64_t mono_us)
{
	return queued_event_lingered(envelope_group_first(g), mono_us);
}

/* Full groups first; then the oldest that has waited long enough, unless the queue is still filling with what would
 * make it fuller. Now and then the oldest goes before full ones, when it has waited very long. */
static struct envelope_group *pick_group(struct stream_queue *q, int64_t mono_us)
{
	struct envelope_group *oldest = envelope_group_oldest(q), *full = TAILQ_FIRST(&q->full);
	if (!oldest)
		return NULL;
	int64_t since_us = envelope_group_first(oldest)->since_us;
	if (full && (q->picks++ % OLDEST_EVERY || mono_us - since_us < OLDEST_AFTER_US))
		return full;
	if (!full && q->thin && *q->queues->phase == PHASE_RUNNING)
		return NULL;
	return full || group_lingered(oldest, mono_us) ? oldest : NULL;
}

static struct batch *pick_again(struct stream_queue *q, bool clean, bool suspects)
{
	struct batch *b;
	TAILQ_FOREACH(b, &q->again, link)
	if (b->suspect ? suspects : clean) {
		batch_start(b);
		return b;
	}
	return NULL;
}

static struct batch *due(struct batch *b, int64_t mono_us)
{
	return b && b->not_before_us <= mono_us ? b : NULL;
}

/* The first one whose backoff is over, of those that may be picked. */
static struct batch *parked_due(const struct stream_queue *q, bool clean, bool suspects, int64_t mono_us)
{
	struct batch *a = clean ? due(queue_first_parked_of(q, false), mono_us) : NULL;
	struct batch *b = suspects ? due(queue_first_parked_of(q, true), mono_us) : NULL;
	return !b || (a && a->not_before_us <= b->not_before_us) ? a : b;
}

static struct batch *pick_parked(struct stream_queue *q, bool clean, bool suspects, int64_t mono_us)
{
	struct batch *b = parked_due(q, clean, suspects, mono_us);
	if (!b)
		return NULL;
	q->passed_over = 0;
	batch_start(b);
	return b;
}

/* A waiting batch that did not fail last, of another envelope where there is one. */
static struct batch *other_batch(struct stream_queue *q, const struct pick_choice *choice)
{
	struct batch *b, *same_envelope = NULL;
	TAILQ_FOREACH(b, &q->again, link)
	{
		if (b == choice->failed_last)
			continue;
		if (b->envelope_hash != choice->failed_envelope)
			return b;
		if (!same_envelope)
			same_envelope = b;
	}
	return same_envelope;
}

/* Any group, of another envelope than this one where there is one. */
static struct envelope_group *other_group(struct stream_queue *q, uint64_t envelope)
{
	struct envelope_group *full = TAILQ_FIRST(&q->full), *oldest = envelope_group_oldest(q), *another;
	if (full && envelope_group_hash(full) != envelope)
		return full;
	if (!oldest || envelope_group_hash(oldest) != envelope)
		return oldest;
	another = envelope_group_another(q);
	return another ? another : oldest;
}

/* A probe carries what did not fail last, of another envelope where there is one; what never failed goes before what
 * did, and then a part of what was cut. Otherwise two batches that the endpoint cannot take would be tried in turn
 * for ever. */
static struct batch *pick_probe(struct stream_queue *q, const struct pick_choice *choice, int64_t mono_us)
{
	uint64_t failed = choice->failed_envelope;
	struct batch *b = other_batch(q, choice);
	struct envelope_group *g = other_group(q, failed);
	if (g && (!b || envelope_group_hash(g) != failed || b->envelope_hash == failed))
		return take_group(q, g);
	struct batch *part = parked_due(q, false, true, mono_us);
	if (part && part->past.cut)
		b = part;
	if (!b)
		b = parked_due(q, true, true, mono_us);
	if (!b)
		b = TAILQ_FIRST(&q->again);
	if (b)
		batch_start(b);
	return b;
}

/* Of the batches that failed while nothing passed the one that did most often: what is in it may be the reason, and
 * its next failure cuts it. */
static struct batch *pick_deepest(struct stream_queue *q)
{
	struct batch *b, *deepest = NULL;
	TAILQ_FOREACH(b, &q->again, link)
	if (b->n > 1 && b->past.failures > (deepest ? deepest->past.failures : 0))
		deepest = b;
	if (deepest)
		batch_start(deepest);
	return deepest;
}

/* Past an envelope that hangs: a group of another one that is ready and its client's oldest. */
static struct envelope_group *pick_past(struct stream_queue *q, uint64_t crowding, int64_t mono_us)
{
	struct envelope_group *g = other_group(q, crowding);
	if (!g || envelope_group_hash(g) == crowding || !envelope_group_is_clients_oldest(g))
		return NULL;
	return envelope_group_is_full(g) || group_lingered(g, mono_us) ? g : NULL;
}

/* A part of what was cut; of a destination that is down, else what may be cut next. */
static struct batch *pick_part(struct stream_queue *q, bool probe, int64_t mono_us)
{
	struct batch *part = parked_due(q, false, true, mono_us), *b = NULL;
	if (probe && !(part && part->past.cut))
		b = pick_deepest(q);
	return b ? b : pick_parked(q, false, true, mono_us);
}

struct batch *queue_pick(struct stream_queue *q, const struct pick_choice *choice, int64_t mono_us)
{
	struct batch *b = choice->parts ? pick_part(q, choice->probe, mono_us) : NULL;
	if (b)
		return b;
	if (choice->probe)
		return pick_probe(q, choice, mono_us);
	struct envelope_group *g = choice->crowding ? pick_past(q, choice->crowding, mono_us) : NULL;
	if (g)
		return take_group(q, g);
	b = pick_again(q, choice->clean, choice->suspects);
	if (b)
		return b;
	/* whatever else there is: behind a backlog that never ends it would wait until it expires */
	if (parked_due(q, choice->clean, choice->suspects, mono_us) && ++q->passed_over >= PARKED_EVERY)
		return pick_parked(q, choice->clean, choice->suspects, mono_us);
	g = choice->clean ? pick_group(q, mono_us) : NULL;
	if (g)
		return take_group(q, g);
	b = pick_again(q, false, choice->idle_suspects);
	return b ? b : pick_parked(q, choice->clean, choice->idle_suspects, mono_us);
}

bool queue_has_ready(const struct stream_queue *q, int64_t mono_us)
{
	const struct envelope_group *oldest = envelope_group_oldest(q);
	return !TAILQ_EMPTY(&q->full) || (oldest && !q->thin && group_lingered(oldest, mono_us));
}

int64_t queue_next_us(const struct stream_queue *q, int64_t mono_us)
{
	int64_t next = INT64_MAX;
	const struct envelope_group *oldest = envelope_group_oldest(q);
	const struct batch *parked = queue_first_parked(q);
	if (oldest && !q->thin)
		next = group_lingered(oldest, mono_us)
		               ? mono_us
		               : envelope_group_first(oldest)->since_us + q->queues->config.linger_us;
	if (parked && parked->not_before_us < next)
		next = parked->not_before_us;
	int64_t look = queue_refill_at_us(q);
	return look > mono_us && look < next ? look : next;
}
