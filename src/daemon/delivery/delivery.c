/* delivery.c - from the outbox to the endpoints: what one turn does, and what operators may ask */
#include "daemon/delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/delivery/private.h"
#include "daemon/delivery/scheduler_private.h"

enum {
	STARTS_A_ROUND = 8, /* requests that one stream may start before the next one's turn */
	/* … and all streams in one turn of the loop: 60 us each to write the body and as many to send it, which
	 * nobody else should wait for; and the first body is sent before the last one is written. */
	STARTS_A_TURN = 16
};

/* The turn's tail decides; the timer only makes the turn come. */
static void on_timer(void *arg UNUSED) {}

int delivery_new(struct delivery **ret, struct loop *loop, struct writer *writer, const struct streams *streams,
                 struct counters *counters, const struct tap *tap, const struct now *now, struct err *err)
{
	struct delivery *d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(err, -ENOMEM, "delivery: no memory");
	struct scheduler_config config = {.max_batch = SCHEDULER_BATCH_MAX};
	d->loop = loop;
	d->writer = writer;
	dispatch_init(&d->dispatch);
	d->dispatch.writer = writer;
	d->dispatch.scheduler = &d->scheduler;
	d->dispatch.counters = counters;
	d->dispatch.tap = tap;
	d->dispatch.now = *now;
	expiry_init(&d->expiry, writer, &d->scheduler, &d->dispatch, streams->conf->delivery.max_age_us, now);
	d->dispatch.expiry = &d->expiry;
	d->timer = loop_timer_new(loop, on_timer, d);
	int r = d->timer ? scheduler_init(&d->scheduler, &config) : -ENOMEM;
	if (r < 0)
		err_set(err, r, "delivery: no memory");
	else
		r = streams_apply(d, streams, err);
	if (r < 0) {
		delivery_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

struct delivery *delivery_free(struct delivery *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->n_outlets; i++)
		outlet_free(d, d->outlets[i]);
	http_client_free(d->http);
	dispatch_free(&d->dispatch);
	scheduler_free(&d->scheduler);
	loop_timer_free(d->timer);
	free(d);
	return NULL;
}

int delivery_set_streams(struct delivery *d, const struct streams *streams, struct err *err)
{
	int r = streams_apply(d, streams, err);
	expiry_set_max_age(&d->expiry, streams->conf->delivery.max_age_us);
	loop_again(d->loop);
	return r;
}

size_t delivery_room(void)
{
	return LOAD_ROOM;
}

void delivery_accept(struct delivery *d, struct submission *sub, const struct now *now)
{
	struct outlet *o = sub->sid < STREAMS_MAX ? d->by_sid[sub->sid] : NULL;
	expiry_accept(&d->expiry, sub, now);
	if (o)
		lane_accept(o->lane, sub, now->mono_us);
}

/* A stream without queued events is not searched for on disk. The counters are at least as new as every done(). */
static void refill(struct delivery *d, const struct now *now)
{
	for (size_t i = 0; i < d->n_outlets; i++) {
		struct lane *l = d->outlets[i]->lane;
		if (!l->disk_more && l->evicted_until_us == 0)
			continue;
		bool idle = l->disk_more && l->n_events == 0 && !l->refilling;
		lane_refill(l, now->mono_us, idle && writer_queued(d->writer, l->sid) == 0);
	}
	if (!STAILQ_EMPTY(&d->scheduler.jobs))
		writer_submit(d->writer, &d->scheduler.jobs);
}

/* In rounds, so that streams share the loop's time fairly; whose turn is first goes round too. */
static void start_requests(struct delivery *d)
{
	d->more_to_start = d->n_outlets > 0 && !d->starts_suspended;
	for (unsigned started = 0; d->more_to_start && started < STARTS_A_TURN;) {
		d->more_to_start = false;
		for (size_t i = 0; i < d->n_outlets; i++) {
			struct outlet *o = d->outlets[(d->turn + i) % d->n_outlets];
			unsigned most = STARTS_A_ROUND;
			if (d->draining && o->drain_quota < most)
				most = o->drain_quota;
			unsigned n = dispatch_start(&d->dispatch, o, most);
			if (d->draining)
				o->drain_quota -= n;
			d->more_to_start |= n == STARTS_A_ROUND;
			started += n;
		}
	}
	d->turn++;
}

/* What is ready and was not started waits for a place, a commit or memory. Mostly an answer or a completion wakes us;
 * this does in any case, and it is the time at which what is in flight is old. */
static int64_t outlet_next_us(const struct outlet *o, int64_t mono_us)
{
	const struct lane *l = o->lane;
	int64_t until = o->destination.state == DESTINATION_BACKING_OFF ? o->destination.until_us : INT64_MIN;
	if (o->removed || outlet_paused(o))
		return INT64_MAX;
	if (until > mono_us && l->n_events > 0)
		return until;
	int64_t next = lane_next_us(l, mono_us), again = mono_us + DISPATCH_SLOW_US;
	bool probe_due = until != INT64_MIN && l->n_events > 0;
	bool ready = next <= mono_us || probe_due || !TAILQ_EMPTY(&l->again);
	if (!ready)
		return next;
	return next > mono_us && next < again ? next : again;
}

int64_t delivery_next_us(const struct delivery *d, const struct now *now)
{
	int64_t next = dispatch_next_us(&d->dispatch), expiry = expiry_next_us(&d->expiry, now);
	next = expiry < next ? expiry : next;
	if (d->more_to_start)
		return now->mono_us;
	for (size_t i = 0; i < d->n_outlets; i++) {
		int64_t at = outlet_next_us(d->outlets[i], now->mono_us);
		next = at < next ? at : next;
	}
	return next;
}

static void set_timer(struct delivery *d, const struct now *now)
{
	int64_t next = delivery_next_us(d, now);
	if (next == INT64_MAX)
		loop_timer_cancel(d->timer);
	else
		loop_timer_set(d->timer, next - now->mono_us);
}

void delivery_pump(struct delivery *d, const struct now *now)
{
	d->dispatch.now = *now;
	if (d->dispatch.net.reap)
		d->dispatch.net.reap(d->http);
	streams_reap_removed(d);
	if (!d->draining) {
		expiry_pump(&d->expiry, now);
		refill(d, now);
	}
	start_requests(d);
	dispatch_submit(&d->dispatch);
	set_timer(d, now);
}

void delivery_pause(struct delivery *d, uint32_t sid, bool paused)
{
	for (size_t i = 0; i < d->n_outlets; i++)
		if (sid == 0 || d->outlets[i]->sid == sid)
			d->outlets[i]->pause_word = paused ? PAUSE_PAUSED : PAUSE_RESUMED;
	loop_again(d->loop);
}

void delivery_flush_waiting(struct delivery *d)
{
	int64_t mono_us = clock_mono_us();
	scheduler_flush(&d->scheduler, mono_us);
	for (size_t i = 0; i < d->n_outlets; i++) {
		destination_flush(&d->outlets[i]->destination, mono_us);
		lane_flush(d->outlets[i]->lane, mono_us);
	}
	loop_again(d->loop);
}

void delivery_suspend_starts(struct delivery *d, bool suspended)
{
	d->starts_suspended = suspended;
	loop_again(d->loop);
}

void delivery_forget(struct delivery *d, const uint64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		scheduler_forget(&d->scheduler, ids[i]);
	for (size_t i = 0; n > 0 && i < d->n_outlets; i++)
		lane_forget_pending(d->outlets[i]->lane);
	loop_again(d->loop);
}

void delivery_requeued(struct delivery *d, uint64_t lowest_id)
{
	for (size_t i = 0; i < d->n_outlets; i++)
		lane_rewind(d->outlets[i]->lane, lowest_id);
	expiry_unknown(&d->expiry);
	loop_again(d->loop);
}

/* The requests that are free now may be taken; nothing is tried a second time. */
void delivery_drain(struct delivery *d, const struct now *now)
{
	if (d->draining)
		return;
	d->draining = true;
	d->scheduler.draining = true;
	d->dispatch.draining = true;
	for (size_t i = 0; i < d->n_outlets; i++) {
		struct outlet *o = d->outlets[i];
		o->drain_quota = destination_slots(&o->destination, o->in_flight, now->mono_us);
	}
	loop_again(d->loop);
}

bool delivery_drained(const struct delivery *d)
{
	const struct dispatch *p = &d->dispatch;
	/* outcomes that the disk refuses are not waited for: they are sent again after the restart */
	bool settled = p->delivered.n == 0 && p->jobs_out == 0;
	return p->in_flight_events == 0 && settled && STAILQ_EMPTY(&p->jobs) && d->scheduler.jobs_out == 0;
}

void delivery_give_back(struct delivery *d)
{
	dispatch_give_back(&d->dispatch);
	http_client_give_back(d->http);
}

void delivery_abort(struct delivery *d)
{
	struct now now;
	clock_now(&now);
	d->dispatch.now = now;
	d->dispatch.aborting = true;
	for (size_t i = 0; i < d->n_outlets; i++)
		dispatch_cancel(d->outlets[i], &d->dispatch);
	if (d->dispatch.net.reap)
		d->dispatch.net.reap(d->http);
	dispatch_submit(&d->dispatch);
	loop_again(d->loop);
}
