/* bisect.c - one batch becomes two */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "delivery/queue/queue_private.h"

int batch_bisect(struct batch *b)
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

static_assert(LIMIT_EVENTS_PER_REQUEST <= 32, "a bit for each event of a batch");

struct batch *batch_cut(struct batch *b, uint32_t which)
{
	struct batch *out = malloc(sizeof(*out));
	if (!out)
		return NULL;
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
