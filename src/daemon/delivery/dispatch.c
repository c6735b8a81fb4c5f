/* dispatch.c - a batch becomes a request, and what comes back becomes an outcome */
#include "daemon/delivery/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "codec/payload_out.h"
#include "daemon/delivery/expiry.h"
#include "daemon/redact.h"

enum {
	SPARE_MAX = 64,              /* requests kept with their buffers … */
	SPARE_BUFFER = 32 << 10,     /* … of so many bytes */
	SUSPECTS_MAX = 8,            /* requests of batches that failed before, at once */
	LOCAL_WAIT_US = 1000 * 1000, /* after a failure of our own */
	CACHE_LINE = 64,
	FETCH_AHEAD = 8 * CACHE_LINE, /* of a body: what follows the processor sees coming */
};

struct request {
	LIST_ENTRY(request) link;
	struct dispatch *dispatch;
	struct outlet *outlet;
	struct batch *batch;
	struct http_request *http;
	struct buf body;
	uint64_t seq;
	int64_t started_us;
};

void dispatch_init(struct dispatch *d)
{
	*d = (struct dispatch){
	        .net = {http_post, http_cancel, http_client_reap},
	        .chance = random_unit,
	        .idle_since_us = INT64_MIN,
	        .dead_log = {.interval_us = 10 * US_PER_S, .burst = 20},
	};
	STAILQ_INIT(&d->jobs);
	TAILQ_INIT(&d->failed);
	LIST_INIT(&d->spare);
}

bool outlet_paused(const struct outlet *o)
{
	switch (o->pause_word) {
	case PAUSE_PAUSED:
		return true;
	case PAUSE_RESUMED:
		return false;
	case PAUSE_UNSET:
		break;
	}
	return o->conf_paused;
}

static struct request *request_new(struct dispatch *d)
{
	struct request *r = LIST_FIRST(&d->spare);
	if (r) {
		LIST_REMOVE(r, link);
		d->n_spare--;
		return r;
	}
	r = calloc(1, sizeof(*r));
	if (r)
		buf_init(&r->body, REQUEST_BYTES - 1);
	return r;
}

static void request_put(struct dispatch *d, struct request *r)
{
	if (d->n_spare >= SPARE_MAX) {
		buf_free(&r->body);
		free(r);
		return;
	}
	buf_clear(&r->body);
	buf_trim(&r->body, SPARE_BUFFER);
	LIST_INSERT_HEAD(&d->spare, r, link);
	d->n_spare++;
}

void dispatch_give_back(struct dispatch *d)
{
	struct request *r;
	while ((r = LIST_FIRST(&d->spare)) != NULL) {
		LIST_REMOVE(r, link);
		buf_free(&r->body);
		free(r);
	}
	d->n_spare = 0;
}

void dispatch_free(struct dispatch *d)
{
	dispatch_give_back(d);
	settle_free(d);
}

static void remember_error(struct outlet *o, const struct attempt *a, enum outcome outcome)
{
	if (outcome == OUTCOME_DELIVERED) {
		o->last_error[0] = '\0';
		return;
	}
	if (outcome == OUTCOME_RETRY_NOW)
		return;
	if (a->status != 0)
		snprintf(o->last_error, sizeof(o->last_error), "status %d", a->status);
	else
		snprintf(o->last_error, sizeof(o->last_error), "%s: %s", transport_name(a->transport), a->error);
}

static void count_request(struct dispatch *d, const struct outlet *o, const struct batch *b, const struct attempt *a,
                          enum outcome outcome)
{
	d->counters->by_sid[o->sid].requests[outcome]++;
	histogram_add(&d->counters->request_seconds, (double)a->duration_us / 1e6);
	histogram_add(&d->counters->batch_events, b->n);
}

static void settle_destination(struct dispatch *d, struct outlet *o, const struct request *r, const struct attempt *a,
                               enum outcome outcome, bool others_succeed)
{
	struct request_end end = {
	        .seq = r->seq,
	        .started_us = r->started_us,
	        .now_us = d->now.mono_us,
	        .outcome = outcome,
	        .others_succeed = others_succeed,
	        .no_connection = a->status == 0,
	        .stale = a->transport == TRANSPORT_STALE,
	        .retry_after_us = a->retry_after_us,
	        .chance = outcome == OUTCOME_DELIVERED ? 0 : d->chance(), /* a system call */
	};
	enum destination_change change = destination_settle(&o->destination, &d->backoff, &end);
	log_destination(d, o, change, outcome, o->last_error);
}

static void mark_attempt(struct batch *b, const struct attempt *a, bool failed)
{
	b->attempts++;
	for (unsigned i = 0; i < b->n; i++) {
		b->events[i]->attempts++;
		if (failed && attempt_is_ambiguous(a))
			b->events[i]->maybe_sent = true;
	}
}

/* A request came to its end: decide, record, tell the destination. */
static void finish(struct request *r, const struct attempt *a)
{
	struct dispatch *d = r->dispatch;
	struct outlet *o = r->outlet;
	struct batch *b = r->batch;
	struct destination_recent recent = destination_recent(&o->destination, &b->past, r->started_us);
	recent.park_ambiguous = o->park_ambiguous;
	recent.batch_events = b->n;
	enum outcome outcome = outcome_decide(a, &recent);
	o->in_flight--;
	o->in_flight_events -= b->n;
	d->in_flight_events -= b->n;
	mark_attempt(b, a, outcome != OUTCOME_DELIVERED);
	count_request(d, o, b, a, outcome);
	log_batch(d, o, b, a, outcome);
	remember_error(o, a, outcome);
	if (r->seq < o->destination.first_seq) {
		b->past = (struct batch_past){0}; /* at another endpoint */
	} else if (outcome != OUTCOME_DELIVERED && outcome != OUTCOME_RETRY_NOW && outcome != OUTCOME_SPLIT) {
		batch_past_failed(&b->past, &recent, a->status, d->now.mono_us);
		o->failed_last = b;
		o->failed_envelope = b->envelope_hash;
	}
	settle_destination(d, o, r, a, outcome, recent.others_succeed);
	outcome_apply(d, o, b, a, outcome);
	request_put(d, r);
}

static void on_answer(void *arg, const struct attempt *attempt, struct slice body UNUSED)
{
	struct request *r = arg;
	LIST_REMOVE(r, link);
	if (attempt->answer[0] == '\0') {
		finish(r, attempt);
		return;
	}
	struct attempt shown = *attempt;
	redact_answer(shown.answer, r->outlet->url);
	finish(r, &shown);
}

/* What looks too old while the clock is not trusted waits; its neighbours go. */
static struct batch *hold_back(struct dispatch *d, struct batch *b, uint32_t which)
{
	int64_t until = expiry_wait_until_us(d->expiry, &d->now);
	if (which == 0)
		return b;
	struct batch *old = which == (UINT32_C(1) << b->n) - 1 ? b : batch_cut(b, which);
	if (old && old != b) {
		batch_park(old, until);
		return b;
	}
	batch_park(b, until);
	return NULL;
}

/* Events that grew too old while they waited never go out. */
static struct batch *drop_expired(struct dispatch *d, struct batch *b)
{
	uint32_t wait = 0;
	if (!d->expiry)
		return b;
	for (unsigned i = b->n; i-- > 0;) {
		struct due *due = b->events[i];
		enum expiry_word word = expiry_decide(d->expiry, due, &d->now);
		wait |= (uint32_t)(word == EXPIRY_WAIT) << i;
		if (word != EXPIRY_YES)
			continue;
		batch_drop_event(b, i);
		dispatch_expire(d, due);
	}
	return b->n > 0 ? hold_back(d, b, wait) : batch_free_empty(b);
}

/* They have been in memory for a while: the reads of all of them go on at once, instead of one after the other. */
static void fetch_ahead(struct slice body)
{
	for (size_t i = 0; i < body.n && i < FETCH_AHEAD; i += CACHE_LINE)
		__builtin_prefetch(body.p + i);
}

static int write_body(struct request *r, const struct batch *b)
{
	struct payload_event events[SCHEDULER_BATCH_MAX];
	for (unsigned i = 0; i < b->n; i++) {
		events[i] = (struct payload_event){due_sub(b->events[i]), b->events[i]->index};
		fetch_ahead(due_event(b->events[i])->body);
	}
	buf_clear(&r->body);
	return payload_write(&r->body, events, b->n);
}

/* The body could not be written: too large together, too large alone, or no memory. */
static void body_failed(struct dispatch *d, struct batch *b, int error)
{
	struct attempt a = {.transport = TRANSPORT_LOCAL, .retry_after_us = -1, .started_wall_us = d->now.wall_us};
	if (error == -ENOBUFS && b->n == 1) {
		snprintf(a.error, sizeof(a.error), "the request would reach %d bytes", REQUEST_BYTES);
		batch_bury(d, b, &a, DEAD_TOO_LARGE);
		return;
	}
	if (error != -ENOBUFS || batch_split(b) < 0)
		batch_park(b, d->now.mono_us + LOCAL_WAIT_US);
}

static bool start_request(struct dispatch *d, struct outlet *o, struct batch *b)
{
	struct request *r = request_new(d);
	int error = r ? write_body(r, b) : -ENOMEM;
	if (error < 0) {
		if (r)
			request_put(d, r);
		body_failed(d, b, error);
		return false;
	}
	r->dispatch = d;
	r->outlet = o;
	r->batch = b;
	r->seq = destination_start(&o->destination);
	r->started_us = d->now.mono_us;
	o->in_flight++;
	o->in_flight_events += b->n;
	d->in_flight_events += b->n;
	tap_batch(d, TAP_SENT, b, DEAD_NONE, NULL);
	bool fresh = b->fresh || destination_wants_fresh(&o->destination);
	error = d->net.post(d->http, o->url, buf_slice(&r->body), fresh, 0, on_answer, r, &r->http);
	if (error < 0) {
		struct attempt a = {
		        .transport = TRANSPORT_LOCAL, .retry_after_us = -1, .started_wall_us = d->now.wall_us};
		snprintf(a.error, sizeof(a.error), "%s", strerror(-error));
		finish(r, &a);
		return false;
	}
	LIST_INSERT_HEAD(&o->requests, r, link);
	return true;
}

/* The one envelope of all that is in flight, when all of it is old (batches that failed before do not count); else 0.
 * The endpoint may hang on just this one. */
static uint64_t crowding_envelope(const struct dispatch *d, const struct outlet *o)
{
	const struct request *r;
	uint64_t envelope = 0;
	LIST_FOREACH(r, &o->requests, link)
	{
		if (r->batch->suspect)
			continue;
		if (d->now.mono_us - r->started_us < DISPATCH_SLOW_US ||
		    (envelope && r->batch->envelope_hash != envelope))
			return 0;
		envelope = r->batch->envelope_hash;
	}
	return envelope;
}

/* What may be picked now. A batch that failed before never takes every place: it may be what makes requests fail, or
 * hang; hence one more request may start when only such are in flight. */
static struct pick_choice choose(const struct dispatch *d, const struct outlet *o)
{
	unsigned slots = destination_slots(&o->destination, o->in_flight, d->now.mono_us);
	unsigned suspects = o->lane->suspects_in_flight, window = o->destination.window.size;
	unsigned most = window / 2 < 1 ? 1 : window / 2 > SUSPECTS_MAX ? SUSPECTS_MAX : window / 2;
	struct pick_choice choice = {.failed_last = o->failed_last, .failed_envelope = o->failed_envelope};
	choice.probe = slots > 0 && o->destination.state != DESTINATION_UP;
	choice.clean =
	        slots > 0 || (o->destination.state == DESTINATION_UP && o->in_flight > 0 && suspects == o->in_flight);
	choice.suspects = slots > 0 && suspects < most;
	/* nor does one envelope that hangs: one more request may start, for another */
	if (o->destination.state == DESTINATION_UP)
		choice.crowding = crowding_envelope(d, o);
	if (o->in_flight >= d->max_per_stream)
		choice = (struct pick_choice){0};
	return choice;
}

unsigned dispatch_start(struct dispatch *d, struct outlet *o, unsigned max)
{
	unsigned started = 0;
	if (d->aborting || o->removed || outlet_paused(o))
		return 0;
	while (started < max && d->uncommitted < UNCOMMITTED_MAX) {
		struct pick_choice choice = choose(d, o);
		if (!choice.clean && !choice.suspects && !choice.probe && !choice.crowding)
			break;
		if (!o->lane->n_events || !bound_allows(d, SCHEDULER_BATCH_MAX))
			break;
		struct batch *b = lane_pick(o->lane, &choice, d->now.mono_us);
		if (!b)
			break;
		b = drop_expired(d, b);
		if (b && start_request(d, o, b))
			started++;
	}
	return started;
}

void dispatch_cancel(struct outlet *o, const struct dispatch *d)
{
	struct request *r;
	LIST_FOREACH(r, &o->requests, link)
	d->net.cancel(r->http);
}

void outlet_abandon(struct dispatch *d, struct outlet *o)
{
	struct request *r;
	while ((r = LIST_FIRST(&o->requests)) != NULL) {
		LIST_REMOVE(r, link);
		d->in_flight_events -= r->batch->n;
		batch_abandon(r->batch);
		request_put(d, r);
	}
	o->in_flight = 0;
	o->in_flight_events = 0;
}
