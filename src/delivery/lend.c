/* lend.c - events that are lent come into their stream's queue, and leave it for good when their owner has recorded
 * why
 */
#include <errno.h>

#include "delivery/delivery_private.h"

void delivery_set_lender(struct delivery *d, const struct lender *lender)
{
	queues_set_lender(d->queues, lender);
}

void delivery_set_lent_clock(struct delivery *d, int64_t base_us)
{
	expiry_set_lent_clock(d->expiry, base_us);
}

uint32_t delivery_stream_sid(const struct delivery *d, struct slice name)
{
	for (size_t i = 0; i < d->n_streams; i++)
		if (!d->streams[i]->removed && slice_eq(name, slice_of(d->streams[i]->name)))
			return d->streams[i]->sid;
	return 0;
}

int delivery_lend(struct delivery *d, struct submission *sub, const struct lent_past *past, const struct now *now)
{
	struct stream *s = sub->sid < STORE_STREAMS_MAX ? d->by_sid[sub->sid] : NULL;

	if (!s || s->removed)
		return -ENOENT;
	return queue_lend(&s->queue, sub, past, now->mono_us);
}

void delivery_lent_settled(struct delivery *d, uint64_t id)
{
	queues_settled(d->queues, id);
}
