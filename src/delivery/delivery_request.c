/* delivery_request.c - a batch becomes a request, and what comes back an outcome */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/redact.h"
#include "delivery/delivery_private.h"
#include "event/payload.h"

enum {
	SPARE_MAX = 64,              /* requests kept with their buffers … */
	SPARE_BUFFER = 32 << 10,     /* … of so many bytes */
	LOCAL_WAIT_US = 1000 * 1000, /* after a failure of our own */
	CACHE_LINE = 64,
	FETCH_AHEAD = 8 * CACHE_LINE, /* of a body: what follows the processor sees coming */
};

struct request {
	LIST_ENTRY(request) link;
	struct delivery *delivery;
	struct stream *stream;
	struct batch *batch;
	struct http_request *http;
	struct buf body;
	uint64_t seq;
	int64_t started_us;
};

static struct request *request_new(struct delivery *d)
{
	struct request *r = LIST_FIRST(&d->spare);
	if (r) {
		LIST_REMOVE(r, link);
		d->n_spare--;
		return r;
	}
	r = calloc(1, sizeof(*r));
	if (r)
		buf_init(&r->body, LIMIT_REQUEST_BYTES - 1);
	return r;
}

static void request_free(struct request *r)
{
	buf_free(&r->body);
	free(r);
}

static void request_put(struct delivery *d, struct request *r)
{
	if (d->n_spare >= SPARE_MAX) {
		request_free(r);
		return;
	}
	buf_clear(&r->body);
	buf_trim(&r->body, SPARE_BUFFER);
	LIST_INSERT_HEAD(&d->spare, r, link);
	d->n_spare++;
}

void requests_give_back(struct delivery *d)
{
	struct request *r;
	while ((r = LIST_FIRST(&d->spare)) != NULL) {
		LIST_REMOVE(r, link);
		request_free(r);
	}
	d->n_spare = 0;
}

/* ---- the end of one ---- */

/* While the destination is down this stays the reason, whatever came of what was in flight. */
static void remember_error(struct stream *s, const struct attempt *a, enum outcome outcome,
                           enum destination_change change)
{
	bool up = s->destination.state == DESTINATION_UP;
	if (outcome == OUTCOME_RETRY_NOW || (!up && change == CHANGE_NONE))
		return;
	if (outcome == OUTCOME_DELIVERED)
		s->last_error[0] = '\0';
	else if (a->status != 0 && a->transport == TRANSPORT_OK && a->error[0])
		snprintf(s->last_error, sizeof(s->last_error), "status %d: %s", a->status, a->error);
	else if (a->status != 0)
		snprintf(s->last_error, sizeof(s->last_error), "status %d", a->status);
	else
		snprintf(s->last_error, sizeof(s->last_error), "%s: %s", transport_name(a->transport), a->error);
}

static void count_request(struct delivery *d, const struct stream *s, const struct batch *b, const struct attempt *a,
                          enum outcome outcome)
{
	d->counters->by_sid[s->sid].requests[outcome]++;
	histogram_add(&d->counters->request_seconds, (double)a->duration_us / 1e6);
	histogram_add(&d->counters->batch_events, b->n);
}

static void settle_destination(struct delivery *d, struct stream *s, const struct request *r, const struct attempt *a,
                               enum outcome outcome, const struct destination_recent *recent)
{
	struct request_end end = {
	        .seq = r->seq,
	        .started_us = r->started_us,
	        .now_us = d->now.mono_us,
	        .outcome = outcome,
	        .recent = *recent,
	        .no_answer = a->status == 0,
	        .bytes = r->body.len,
	        .chance = outcome == OUTCOME_DELIVERED ? 0 : d->chance(), /* a system call */
	};
	enum destination_change change = destination_settle(&s->destination, &d->backoff, &end);
	remember_error(s, a, outcome, change);
	log_destination(d, s, change);
	log_answer(d, s, outcome);
}

static void mark_attempt(struct batch *b, const struct attempt *a, bool failed)
{
	b->attempts++;
	for (unsigned i = 0; i < b->n; i++) {
		b->events[i]->attempts++;
		b->events[i]->maybe_sent |= failed && attempt_is_ambiguous(a);
	}
}

/* What the batch went through, for the decision about its next failure. */
static void mark_past(const struct request *r, const struct request_facts *facts,
                      const struct destination_recent *recent, const struct attempt *a, enum outcome outcome)
{
	struct stream *s = r->stream;
	struct batch *b = r->batch;
	struct batch_taken taken = {0};
	if (outcome == OUTCOME_DELIVERED)
		taken = batch_taken(b);
	if (r->seq < s->destination.first_seq) {
		b->past = (struct batch_past){0}; /* that was another endpoint */
		return;
	}
	destination_took(&s->destination, &taken, facts->now_us);
	if (recent->meaning == MEANS_STALE && a->body_sent)
		batch_past_add_stale(&b->past);
	if (recent->meaning == MEANS_DELIVERED || recent->meaning == MEANS_STALE)
		return;
	struct batch_failure failure = destination_failure(&s->destination, &b->past, a, recent, facts);
	batch_past_add(&b->past, &failure);
	s->failed_last = b;
	s->failed_envelope = b->envelope_hash;
}

static void uncount_in_flight(struct request *r)
{
	r->stream->in_flight--;
	r->stream->in_flight_events -= r->batch->n;
	r->delivery->in_flight_events -= r->batch->n;
}

/* A request came to its end: decide, record, carry out. */
static void finish(struct request *r, const struct attempt *a)
{
	struct delivery *d = r->delivery;
	struct stream *s = r->stream;
	struct batch *b = r->batch;
	uncount_in_flight(r);
	const struct request_facts facts = {
	        .seq = r->seq,
	        .started_us = r->started_us,
	        .now_us = d->now.mono_us,
	        .others_in_flight = s->in_flight,
	        .more_to_send = queue_has_ready(&s->queue, d->now.mono_us),
	        .events = b->n,
	        .bytes = r->body.len,
	};
	struct destination_recent recent =
	        destination_recent(&s->destination, &b->past, a, &facts, d->refuse_after_us);
	recent.park_ambiguous = s->park_ambiguous;
	enum outcome outcome = outcome_decide(a, &recent);
	mark_attempt(b, a, outcome != OUTCOME_DELIVERED);
	count_request(d, s, b, a, outcome);
	mark_past(r, &facts, &recent, a, outcome);
	outcome_apply(d, b, a, outcome);
	settle_destination(d, s, r, a, outcome, &recent);
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
	redact_answer(shown.answer, r->stream->url);
	finish(r, &shown);
}

/* ---- the start of one ---- */

/* The bodies have been in memory for a while: their reads overlap instead of following each other. */
static void fetch_ahead(struct slice body)
{
	for (size_t i = 0; i < body.n && i < FETCH_AHEAD; i += CACHE_LINE)
		__builtin_prefetch(body.p + i);
}

static int write_body(struct request *r, const struct batch *b)
{
	struct payload_event events[LIMIT_EVENTS_PER_REQUEST];
	for (unsigned i = 0; i < b->n; i++) {
		events[i] = (struct payload_event){queued_event_sub(b->events[i]), b->events[i]->index};
		fetch_ahead(queued_event_get(b->events[i])->body);
	}
	buf_clear(&r->body);
	return payload_write(&r->body, events, b->n);
}

static struct attempt local_failure(const struct delivery *d)
{
	return (struct attempt){
	        .transport = TRANSPORT_LOCAL, .retry_after_us = -1, .started_wall_us = d->now.wall_us};
}

/* The body could not be written: too large together, too large alone, or no memory. */
static void body_failed(struct delivery *d, struct batch *b, int error)
{
	struct attempt a = local_failure(d);
	if (error == -ENOBUFS && b->n == 1) {
		snprintf(a.error, sizeof(a.error), "the request would reach %d bytes", LIMIT_REQUEST_BYTES);
		outcome_apply(d, b, &a, OUTCOME_DEAD_TOO_LARGE);
		return;
	}
	if (error != -ENOBUFS || batch_bisect(b, false, false) < 0)
		batch_park(b, d->now.mono_us + LOCAL_WAIT_US);
}

static struct request *request_prepare(struct delivery *d, struct stream *s, struct batch *b)
{
	struct request *r = request_new(d);
	int error = r ? write_body(r, b) : -ENOMEM;
	if (error < 0) {
		if (r)
			request_put(d, r);
		body_failed(d, b, error);
		return NULL;
	}
	r->delivery = d;
	r->stream = s;
	r->batch = b;
	r->seq = destination_start(&s->destination);
	r->started_us = d->now.mono_us;
	return r;
}

bool request_start(struct delivery *d, struct stream *s, struct batch *b)
{
	struct request *r = request_prepare(d, s, b);
	if (!r)
		return false;
	s->in_flight++;
	s->in_flight_events += b->n;
	d->in_flight_events += b->n;
	tap_batch(d, TAP_SENT, b, NULL);
	bool fresh = b->fresh || destination_wants_fresh(&s->destination);
	int error = http_post(d->http, s->url, buf_slice(&r->body), fresh, 0, on_answer, r, &r->http);
	if (error < 0) {
		struct attempt a = local_failure(d);
		snprintf(a.error, sizeof(a.error), "%s", strerror(-error));
		finish(r, &a);
		return false;
	}
	LIST_INSERT_HEAD(&s->requests, r, link);
	return true;
}

/* ---- all of a stream ---- */

uint64_t requests_crowding(const struct delivery *d, const struct stream *s)
{
	const struct request *r;
	uint64_t envelope = 0;
	LIST_FOREACH(r, &s->requests, link)
	{
		if (r->batch->suspect)
			continue;
		if (d->now.mono_us - r->started_us < REQUEST_SLOW_US ||
		    (envelope && r->batch->envelope_hash != envelope))
			return 0;
		envelope = r->batch->envelope_hash;
	}
	return envelope;
}

bool requests_all_slow(const struct delivery *d, const struct stream *s)
{
	const struct request *r;
	LIST_FOREACH(r, &s->requests, link)
	if (d->now.mono_us - r->started_us < REQUEST_SLOW_US)
		return false;
	return !LIST_EMPTY(&s->requests);
}

void requests_cancel(struct stream *s)
{
	struct request *r;
	LIST_FOREACH(r, &s->requests, link)
	http_cancel(r->http);
}

void requests_abandon(struct delivery *d, struct stream *s)
{
	struct request *r;
	while ((r = LIST_FIRST(&s->requests)) != NULL) {
		LIST_REMOVE(r, link);
		uncount_in_flight(r);
		batch_abandon(r->batch);
		request_put(d, r);
	}
}
