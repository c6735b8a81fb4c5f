/* bisect.c - one batch becomes two */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "delivery/queue/queue_private.h"

/* The parts of a batch that was cut. When all of them are taken, refusing the whole was the server's fault. */
struct cut {
	unsigned parts;
	bool suspected; /* there seemed to be a culprit in it */
	bool refused;   /* … because the whole was refused */
	bool in_doubt;  /* one of the parts, or an event of it, left otherwise */
};

/* b is going to be two parts; refused: because it was refused. */
static void cut_join(struct batch *b, bool suspected, bool refused)
{
	if (!b->cut) {
		b->cut = calloc(1, sizeof(*b->cut)); /* without memory it is only not known later */
		if (!b->cut)
			return;
		b->cut->parts = 1;
	}
	b->cut->suspected |= suspected;
	b->cut->refused |= refused;
	b->cut->parts++;
}

static void cut_part_gone(struct batch *b)
{
	if (--b->cut->parts == 0)
		free(b->cut);
	b->cut = NULL;
}

void cut_leave(struct batch *b)
{
	if (!b->cut)
		return;
	b->cut->in_doubt = true;
	cut_part_gone(b);
}

struct batch_taken batch_taken(struct batch *b)
{
	struct batch_taken taken = {.part = b->past.cut, .refused = b->past.accused, .tries = b->past.tries};
	if (!b->cut)
		return taken;
	bool whole = b->cut->parts == 1 && !b->cut->in_doubt;
	taken.refused |= whole && b->cut->refused;
	taken.innocent = whole && b->cut->suspected;
	cut_part_gone(b);
	return taken;
}

/* Suspects are the first of those whose own backoff is over, of which only a few go at once. */
static void part_goes_next(struct batch *b)
{
	if (batch_past_is_suspect(&b->past))
		batch_park(b, 0);
	else
		batch_again(b);
}

int batch_bisect(struct batch *b, bool by_suspicion, bool by_chance)
{
	struct batch *second = malloc(sizeof(*second));
	if (!second)
		return -ENOMEM;
	batch_unlist(b);
	cut_join(b, by_suspicion, by_suspicion && b->past.accused);
	batch_past_cut(&b->past, by_suspicion, by_chance);
	*second = *b;
	unsigned half = (b->n + 1) / 2;
	second->n = b->n - half;
	for (unsigned i = 0; i < second->n; i++)
		second->events[i] = b->events[half + i];
	b->n = half;
	part_goes_next(b);
	part_goes_next(second);
	return 0;
}

static_assert(LIMIT_EVENTS_PER_REQUEST <= 32, "a bit for each event of a batch");

struct batch *batch_cut(struct batch *b, uint32_t which)
{
	struct batch *out = malloc(sizeof(*out));
	if (!out)
		return NULL;
	cut_join(b, false, b->past.accused);
	b->past.accused = false;
	*out = *b;
	unsigned n = b->n;
	b->n = out->n = 0;
	if (out->suspect)
		b->queue->suspects_in_flight++;
	for (unsigned i = 0; i < n; i++) {
		struct batch *to = which >> i & 1 ? out : b;
		struct queued_event *e = b->events[i];
		e->batch = to;
		to->events[to->n++] = e;
	}
	return out;
}
