/* status.c - what status, list and the metrics show of delivery */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/delivery/private.h"

int delivery_in_flight_ids(const struct delivery *d, uint64_t **ret, size_t *ret_n)
{
	return scheduler_in_flight_ids(&d->scheduler, ret, ret_n);
}

bool delivery_is_in_flight(const struct delivery *d, uint64_t id)
{
	const struct due *due = scheduler_find(&d->scheduler, id);
	return due && due_is_out(due);
}

int64_t delivery_next_attempt_ms(const struct delivery *d, uint64_t id, int64_t mono_us)
{
	const struct due *due = scheduler_find(&d->scheduler, id);
	if (!due || due_is_out(due))
		return -1;
	const struct outlet *o = d->by_sid[due_load(due)->lane->sid];
	int64_t next = due_next_us(due), wait = o ? destination_wait_us(&o->destination, mono_us) : 0;
	if (next > mono_us + wait)
		wait = next - mono_us;
	return wait / US_PER_MS;
}

static void stream_status(const struct outlet *o, int64_t mono_us, struct delivery_stream_status *ret)
{
	*ret = (struct delivery_stream_status){
	        .sid = o->sid,
	        .name = o->name,
	        .state = outlet_paused(o) ? DESTINATION_PAUSED : o->destination.state,
	        .paused = outlet_paused(o),
	        .retry_in_us = destination_wait_us(&o->destination, mono_us),
	        .window = o->destination.window.size,
	        .in_flight = o->in_flight,
	        .in_flight_events = o->in_flight_events,
	        .in_memory = o->lane->n_events,
	        .down_since_wall_us = o->down_since_wall_us,
	};
	snprintf(ret->last_error, sizeof(ret->last_error), "%s", o->last_error);
}

static void age_status(const struct delivery *d, const struct now *now, struct delivery_status *ret)
{
	struct expiry_oldest oldest = expiry_get_oldest(&d->expiry);
	int64_t now_us = expiry_now_us(&d->expiry, now);
	ret->oldest_time_us = oldest.any_us;
	ret->first_expiry_us = -1;
	if (oldest.any_us != INT64_MAX && oldest.any_us < now_us)
		ret->oldest_age_us = now_us - oldest.any_us;
	if (oldest.expirable_us == INT64_MAX)
		return;
	int64_t left = oldest.expirable_us + d->expiry.max_age_us - now_us;
	ret->first_expiry_us = left > 0 ? left : 0;
}

void delivery_get_status(const struct delivery *d, const struct now *now, struct delivery_status *ret)
{
	*ret = (struct delivery_status){
	        .in_flight_events = d->dispatch.in_flight_events,
	        .expiry_suspended = d->expiry.mode == EXPIRY_SUSPENDED,
	};
	age_status(d, now, ret);
	for (size_t i = 0; i < d->n_outlets; i++)
		if (!d->outlets[i]->removed)
			stream_status(d->outlets[i], now->mono_us, &ret->streams[ret->n_streams++]);
}
