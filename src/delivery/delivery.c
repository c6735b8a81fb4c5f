/* delivery.c - from the outbox to the endpoints: how its parts are put together, and what they do in a turn */
#include "delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>

#include "base/random.h"
#include "delivery/delivery_private.h"

/* The turn's tail decides; the timer only makes the turn come. */
static void on_timer(void *arg UNUSED) {}

static void on_expired(void *arg, uint64_t id, uint32_t sid)
{
	leave_by_id(arg, id, sid, &(struct departure){.as = LEAVE_DEAD, .reason = DEAD_EXPIRED});
}

static int make_parts(struct delivery *d, const struct conf *conf, const struct now *now)
{
	d->timer = loop_timer_new(d->loop, on_timer, d);
	d->queues = queues_new(&d->jobs, d->phase);
	d->settler = settler_new(&d->jobs, d->queues, conf->outbox.gather_us);
	in_flight_mark_init(&d->mark, &d->jobs);
	d->expiry = expiry_new(&d->jobs, d->queues, now, on_expired, d);
	d->delivered = delivered_log_new(conf->outbox.remember_delivered);
	return d->timer && d->queues && d->settler && d->expiry && d->delivered ? 0 : -ENOMEM;
}

int delivery_new(struct delivery **ret, const struct delivery_context *context, const struct conf *conf,
                 const struct stream_rules *rules, const struct now *now, struct err *err)
{
	struct delivery *d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(err, -ENOMEM, "delivery: no memory");
	d->loop = context->loop;
	d->counters = context->counters;
	d->tap = context->tap;
	d->phase = context->phase;
	d->forwarder = context->forwarder;
	d->now = *now;
	d->chance = random_unit;
	d->dead_log = (struct log_limit){.interval_us = 10 * US_PER_S, .burst = 20};
	LIST_INIT(&d->spare);
	outbox_jobs_init(&d->jobs, context->writer);
	int r = make_parts(d, conf, now);
	if (r < 0)
		err_set(err, r, "delivery: no memory");
	else
		r = streams_apply(d, conf, rules, err);
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
	for (size_t i = 0; i < d->n_streams; i++)
		stream_free(d, d->streams[i]);
	http_client_free(d->http);
	requests_give_back(d);
	expiry_free(d->expiry);
	delivered_log_free(d->delivered);
	settler_free(d->settler);
	queues_free(d->queues);
	loop_timer_free(d->timer);
	free(d);
	return NULL;
}

int delivery_set_streams(struct delivery *d, const struct conf *conf, const struct stream_rules *rules,
                         struct err *err)
{
	int r = streams_apply(d, conf, rules, err);
	loop_again(d->loop);
	return r;
}

/* ---- the turn ---- */

void delivery_accept(struct delivery *d, struct submission *sub, const struct now *now)
{
	struct stream *s = sub->sid < STORE_STREAMS_MAX ? d->by_sid[sub->sid] : NULL;
	expiry_accept(d->expiry, sub, now);
	if (s)
		queue_accept(&s->queue, sub, now->mono_us);
}

static void submit(struct delivery *d)
{
	settler_flush(d->settler, d->now.mono_us, *d->phase != PHASE_RUNNING);
	in_flight_mark_review(&d->mark, dispatch_exposed(d), d->now.mono_us);
	outbox_jobs_submit(&d->jobs);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What is ready and was not started waits for a place, a commit or memory. Mostly an answer or a completion makes the
 * next turn come; this does in any case, at the time when what is in flight counts as slow. */
static int64_t stream_next_us(const struct stream *s, int64_t mono_us)
{
	const struct stream_queue *q = &s->queue;
	bool backs_off = s->destination.state == DESTINATION_BACKING_OFF;
	if (s->removed || stream_is_paused(s))
		return INT64_MAX;
	if (backs_off && s->destination.until_us > mono_us && q->n_events > 0)
		return s->destination.until_us;
	int64_t next = queue_next_us(q, mono_us), again = mono_us + REQUEST_SLOW_US;
	bool probe_is_due = backs_off && q->n_events > 0;
	if (next > mono_us && !probe_is_due && TAILQ_EMPTY(&q->again))
		return next;
	return next > mono_us ? earlier(next, again) : again;
}

int64_t delivery_next_us(const struct delivery *d, const struct now *now)
{
	if (d->more_to_start)
		return now->mono_us;
	int64_t next = expiry_next_us(d->expiry, now);
	next = earlier(next, settler_next_us(d->settler));
	next = earlier(next, in_flight_mark_next_us(&d->mark));
	for (size_t i = 0; i < d->n_streams; i++)
		next = earlier(next, earlier(stream_next_us(d->streams[i], now->mono_us), log_due_us(d->streams[i])));
	return next;
}

static void set_timer(struct delivery *d)
{
	int64_t next = delivery_next_us(d, &d->now);
	if (next == INT64_MAX)
		loop_timer_cancel(d->timer);
	else
		loop_timer_set(d->timer, next - d->now.mono_us);
}

void delivery_pump(struct delivery *d, const struct now *now)
{
	d->now = *now;
	http_client_reap(d->http);
	streams_reap_removed(d);
	if (*d->phase == PHASE_RUNNING) {
		expiry_pump(d->expiry, now);
		for (size_t i = 0; i < d->n_streams; i++)
			queue_refill(&d->streams[i]->queue, now->mono_us);
		outbox_jobs_submit(&d->jobs); /* the writer reads while requests are written */
	}
	dispatch_start(d);
	for (size_t i = 0; i < d->n_streams; i++)
		log_due(d, d->streams[i]);
	submit(d);
	set_timer(d);
}

/* ---- operators ---- */

void delivery_flush_waiting(struct delivery *d)
{
	int64_t mono_us = clock_mono_us();
	queues_flush(d->queues, mono_us);
	for (size_t i = 0; i < d->n_streams; i++) {
		destination_flush(&d->streams[i]->destination, mono_us);
		queue_flush(&d->streams[i]->queue, mono_us);
	}
	loop_again(d->loop);
}

void delivery_forget(struct delivery *d, const uint64_t *ids, size_t n)
{
	static const struct departure dropped = {.as = LEAVE_DROPPED};
	for (size_t i = 0; i < n; i++)
		leave_by_id(d, ids[i], 0, &dropped);
	for (size_t i = 0; n > 0 && i < d->n_streams; i++)
		queue_forget_pending(&d->streams[i]->queue);
	loop_again(d->loop);
}

void delivery_requeued(struct delivery *d, uint64_t lowest_id)
{
	for (size_t i = 0; i < d->n_streams; i++)
		queue_rewind(&d->streams[i]->queue, lowest_id);
	expiry_unknown(d->expiry);
	loop_again(d->loop);
}

/* ---- the end ---- */

void delivery_drain(struct delivery *d, const struct now *now)
{
	d->now = *now;
	dispatch_limit(d);
	loop_again(d->loop);
}

bool delivery_drained(const struct delivery *d)
{
	return d->in_flight_events == 0 && d->jobs.out == 0;
}

void delivery_give_back(struct delivery *d)
{
	requests_give_back(d);
	http_client_give_back(d->http);
}

unsigned delivery_abort(struct delivery *d)
{
	unsigned cut = 0;
	clock_now(&d->now);
	http_client_catch_up(d->http);
	for (size_t i = 0; i < d->n_streams; i++) {
		cut += d->streams[i]->in_flight;
		requests_cancel(d->streams[i]);
	}
	http_client_reap(d->http);
	submit(d);
	loop_again(d->loop);
	return cut;
}
