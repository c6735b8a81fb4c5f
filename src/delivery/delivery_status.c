/* delivery_status.c - what status, list and the metrics show of delivery */
#include <stdio.h>

#include "delivery/delivery_private.h"

int delivery_in_flight_ids(const struct delivery *d, uint64_t **ret, size_t *ret_n)
{
	return queues_in_flight_ids(d->queues, ret, ret_n);
}

bool delivery_is_in_flight(const struct delivery *d, uint64_t id)
{
	const struct queued_event *e = queues_find(d->queues, id);
	return e && queued_event_is_out(e);
}

bool delivery_find_delivered(const struct delivery *d, uint64_t id, struct delivered_event *ret)
{
	return delivered_log_find(d->delivered, id, ret);
}

int64_t delivery_next_attempt_ms(const struct delivery *d, uint64_t id, int64_t mono_us)
{
	const struct queued_event *e = queues_find(d->queues, id);
	if (!e || queued_event_is_out(e))
		return -1;
	const struct stream *s = d->by_sid[queued_event_sub(e)->sid];
	int64_t next = queued_event_next_us(e), wait = s ? destination_wait_us(&s->destination, mono_us) : 0;
	if (next > mono_us + wait)
		wait = next - mono_us;
	return wait / US_PER_MS;
}

static void stream_status(const struct stream *s, int64_t mono_us, struct delivery_stream_status *ret)
{
	*ret = (struct delivery_stream_status){
	        .sid = s->sid,
	        .name = s->name,
	        .state = stream_is_paused(s) ? DESTINATION_PAUSED : s->destination.state,
	        .retry_in_us = destination_wait_us(&s->destination, mono_us),
	        .window = s->destination.window.size,
	        .in_flight = s->in_flight,
	        .in_flight_events = s->in_flight_events,
	        .in_memory = s->queue.n_events,
	        .down_since_wall_us = s->down_since_wall_us,
	};
	snprintf(ret->last_error, sizeof(ret->last_error), "%s", s->last_error);
}

void delivery_get_status(const struct delivery *d, const struct now *now, struct delivery_status *ret)
{
	struct expiry_of_stream of_streams[STORE_STREAMS_MAX];
	*ret = (struct delivery_status){.in_flight_events = d->in_flight_events};
	expiry_get_status(d->expiry, now, &ret->expiry, of_streams);
	for (size_t i = 0; i < d->n_streams; i++) {
		struct delivery_stream_status *of = &ret->streams[ret->n_streams];
		if (d->streams[i]->removed)
			continue;
		stream_status(d->streams[i], now->mono_us, of);
		of->oldest_age_us = of_streams[of->sid].oldest_age_us;
		ret->n_streams++;
	}
}
