/* leave.c - the one way out of delivery: delivered, forwarded, dead, expired, held or dropped */
#include "delivery/delivery_private.h"

static void count(struct delivery *d, uint32_t sid, unsigned n, const struct departure *how)
{
	switch (how->as) {
	case LEAVE_DELIVERED:
		d->counters->by_sid[sid].delivered += n;
		d->counters->by_sid[sid].last_delivered_us = d->now.wall_us;
		hour_add(&d->counters->delivered_lately, n, d->now.mono_us);
		rate_add(&d->counters->out, n);
		return;
	case LEAVE_FORWARDED:
		d->counters->by_sid[sid].forwarded += n;
		rate_add(&d->counters->out, n);
		return;
	case LEAVE_DEAD:
		d->counters->dead[how->reason] += n;
		d->counters->by_sid[sid].dead[how->reason] += n;
		if (how->reason == DEAD_EXPIRED && !how->batch) /* else its request is logged */
			expiry_report(d->expiry, n);
		return;
	case LEAVE_DROPPED: /* the operator's command counts and logs it */
		return;
	}
}

static void tap_one(const struct delivery *d, enum tap_what what, const struct queued_event *e, const struct batch *b,
                    enum dead_reason reason, const struct attempt *a)
{
	struct tap_event shown = {
	        .what = what,
	        .sub = queued_event_sub(e),
	        .index = e->index,
	        .id = e->id,
	        .reason = reason,
	        .attempts = e->attempts,
	        .request_events = b ? b->n : 0,
	        .last_status = a ? a->status : 0,
	        .last_error = a ? a->error : "",
	        .next_attempt_ms = -1,
	        .maybe_sent = e->maybe_sent,
	};
	tap_event(d->tap, &shown);
}

void tap_batch(const struct delivery *d, enum tap_what what, const struct batch *b, const struct attempt *a)
{
	for (unsigned i = 0; tap_wanted(d->tap) && i < b->n; i++)
		tap_one(d, what, b->events[i], b, DEAD_NONE, a);
}

static const enum tap_what taps[] = {
        [LEAVE_DELIVERED] = TAP_DELIVERED, [LEAVE_FORWARDED] = TAP_FORWARDED, [LEAVE_DEAD] = TAP_DEAD};

static void tap_departure(const struct delivery *d, const struct queued_event *e, const struct departure *how)
{
	if (!tap_wanted(d->tap) || how->as == LEAVE_DROPPED)
		return;
	tap_one(d, taps[how->as], e, how->batch, how->reason, how->attempt);
}

static void record(struct delivery *d, struct queued_event *const events[], unsigned n, const struct departure *how)
{
	struct settlement what = {
	        .kind = how->as == LEAVE_DEAD ? SETTLE_DEAD : SETTLE_DELIVERED,
	        .reason = how->reason,
	        .alone = d->keep_delivered,
	        .attempt = {.when_us = d->now.wall_us},
	};
	if (how->attempt)
		what.attempt = attempt_record(how->attempt, how->outcome);
	settle(d->settler, events, n, &what);
	for (unsigned i = 0; i < n; i++)
		queued_event_settle(events[i]);
}

static void remember(struct delivery *d, struct queued_event *const events[], unsigned n, const struct departure *how)
{
	if (how->as != LEAVE_DELIVERED)
		return;
	delivered_log_begin(d->delivered, &(struct delivered_request){
	                                          .sid = queued_event_sub(events[0])->sid,
	                                          .when_us = d->now.wall_us,
	                                          .status = how->attempt ? how->attempt->status : 0,
	                                          .n_events = n,
	                                  });
	for (unsigned i = 0; i < n; i++)
		delivered_log_add(d->delivered, events[i]->id, events[i]->attempts);
}

void leave(struct delivery *d, struct queued_event *const events[], unsigned n, const struct departure *how)
{
	count(d, queued_event_sub(events[0])->sid, n, how);
	if (how->batch)
		log_batch(d, how->batch, how->attempt, how->outcome);
	for (unsigned i = 0; i < n; i++)
		tap_departure(d, events[i], how);
	remember(d, events, n, how);
	if (how->as != LEAVE_DROPPED) {
		record(d, events, n, how);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		queued_event_release(events[i]);
}

void leave_by_id(struct delivery *d, uint64_t id, uint32_t sid, const struct departure *how)
{
	struct queued_event *e = queues_find(d->queues, id);
	if (e && e->state == EVENT_SETTLING)
		return; /* left already */
	count(d, sid, 1, how);
	if (!e)
		return;
	tap_departure(d, e, how);
	queued_event_forget(e);
}
