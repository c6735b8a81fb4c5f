/* test_delivery.c - delivery as a whole against a pretended outbox, endpoint and clock */
#include "delivery_fixture.h"

#include <unistd.h>

static struct world w;

static size_t count_state(enum event_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < w.n_rows; i++)
		n += w.rows[i].state == state;
	return n;
}

static void one_event_lingers_then_goes(void **state UNUSED)
{
	world_init(&w, 1);
	world_start(&w);
	world_run(&w, US_PER_S);
	int64_t t0 = w.now.mono_us;
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, 199 * US_PER_MS);
	assert_int_equal(w.started, 0);
	world_run(&w, US_PER_S);
	assert_int_equal(w.started, 1);
	assert_int_equal(w.rows[0].state, STATE_DELIVERED);
	assert_true(w.rows[0].out_us >= t0 + 200 * US_PER_MS && w.rows[0].out_us <= t0 + 215 * US_PER_MS);
	world_end(&w);
}

static void a_full_batch_does_not_linger(void **state UNUSED)
{
	world_init(&w, 1);
	world_start(&w);
	world_run(&w, US_PER_S);
	for (int i = 0; i < 26; i++)
		world_put(&w, 1, 1, 0, 0);
	world_run(&w, 50 * US_PER_MS);
	assert_int_equal(count_state(STATE_DELIVERED), 25);
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 26);
	assert_int_equal(w.started, 2);
	world_end(&w);
}

static void a_backlog_drains(void **state UNUSED)
{
	world_init(&w, 2);
	for (int i = 0; i < 200000; i++)
		world_stored(&w, 1 + (unsigned)i % 2, (unsigned)(world_random(&w) % 1000), 0, 50);
	world_start(&w);
	world_run(&w, 60 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 200000);
	assert_true(w.most_in_flight <= 128);
	world_end(&w);
}

/* ---- what is sent, and in which order ---- */

static void two_states_of_consent_never_meet_and_keep_their_order(void **state UNUSED)
{
	world_init(&w, 1);
	w.conf.delivery.max_requests = 1;
	world_start(&w);
	for (unsigned i = 0; i < 60; i++)
		world_put(&w, 1, 7, 1 + i % 3, 0); /* the fixture checks the envelopes of each request */
	world_run(&w, 5 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 60);
	assert_int_equal(w.started, 3);
	world_end(&w);
}

/* Delivered and not yet committed, or 0. */
static size_t outcomes_that_wait(unsigned n_events)
{
	for (unsigned i = 0; i < n_events; i++)
		world_put(&w, 1, 7, 1, 0);
	while (w.in_flight > 0 || w.started == 0)
		world_step(&w, w.now.mono_us + US_PER_MS);
	world_turn(&w);
	return n_events - count_state(STATE_DELIVERED);
}

static void outcomes_wait_for_company_for_a_while(void **state UNUSED)
{
	world_init(&w, 1);
	w.conf.outbox.gather_us = 100 * US_PER_MS;
	world_start(&w);
	assert_int_equal(outcomes_that_wait(3), 3);
	assert_in_range(delivery_next_us(w.d, &w.now) - w.now.mono_us, 1, 100 * US_PER_MS);
	world_run(&w, 100 * US_PER_MS);
	world_turn(&w);
	assert_int_equal(count_state(STATE_DELIVERED), 3);
	world_end(&w);
}

static void outcomes_go_with_what_else_is_committed(void **state UNUSED)
{
	struct job_list none = STAILQ_HEAD_INITIALIZER(none);

	world_init(&w, 1);
	w.conf.outbox.gather_us = US_PER_S;
	world_start(&w);
	assert_int_equal(outcomes_that_wait(3), 3);
	writer_submit(NULL, &none); /* as intake does with new events */
	world_turn(&w);
	assert_int_equal(count_state(STATE_DELIVERED), 3);
	world_end(&w);
}

static void many_outcomes_and_a_shutdown_do_not_wait(void **state UNUSED)
{
	world_init(&w, 1);
	w.conf.outbox.gather_us = US_PER_S;
	world_start(&w);
	assert_int_equal(outcomes_that_wait(GATHERED_MAX), 0);
	world_put(&w, 1, 8, 1, 0);
	world_run(&w, 500 * US_PER_MS);
	assert_int_equal(count_state(STATE_DELIVERED), GATHERED_MAX);
	w.phase = PHASE_DRAINING;
	delivery_drain(w.d, &w.now);
	world_turn(&w);
	world_turn(&w);
	assert_int_equal(count_state(STATE_DELIVERED), GATHERED_MAX + 1);
	assert_true(delivery_drained(w.d));
	world_end(&w);
}

static uint64_t last_of_client[64];
static bool in_order;

static void note_order(struct world *world_, struct http_request *r)
{
	unsigned client = (unsigned)strtoul(r->client, NULL, 10);
	in_order &= r->ids[0] > last_of_client[client];
	last_of_client[client] = r->ids[0];
	r->done_us = world_->now.mono_us + (int64_t)(world_random(world_) % 50000);
}

static void a_clients_requests_start_in_order(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = note_order;
	memset(last_of_client, 0, sizeof(last_of_client));
	in_order = true;
	for (int i = 0; i < 30000; i++)
		world_stored(&w, 1, (unsigned)(world_random(&w) % 64), (unsigned)(world_random(&w) % 3), 20);
	world_start(&w);
	for (int i = 0; i < 20000; i++) {
		world_put(&w, 1, (unsigned)(world_random(&w) % 64), (unsigned)(world_random(&w) % 3), 20);
		if (i % 100 == 0)
			world_step(&w, w.now.mono_us + 5 * US_PER_MS);
	}
	world_run(&w, 60 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 50000);
	assert_true(in_order);
	world_end(&w);
}

/* Clients as Zipf has them (exponent 1 over n). */
static unsigned zipf(double *cumulative, unsigned n)
{
	double x = world_chance() * cumulative[n - 1];
	unsigned lo = 0, hi = n - 1;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (cumulative[mid] < x)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

enum { CLIENTS = 10000, EVENTS = 300000 };

/* Requests of a queue whose memory is always full: a full batch when there is any, else the oldest client's. */
static size_t ideal_requests(size_t window)
{
	static unsigned counts[CLIENTS], full[EVENTS], oldest[EVENTS];
	static bool waits[CLIENTS];
	size_t requests = 0, inside = 0, n_full = 0, first = 0, last = 0, at = 0;
	for (;;) {
		for (; at < EVENTS && inside < window; inside++) {
			unsigned c = (unsigned)strtoul(w.rows[at++].sub->client.p, NULL, 10);
			if (++counts[c] % 25 == 0)
				full[n_full++] = c;
			if (!waits[c])
				oldest[last++] = c;
			waits[c] = true;
		}
		if (inside == 0)
			return requests;
		unsigned c = n_full ? full[--n_full] : oldest[first];
		unsigned n = counts[c] < 25 ? counts[c] : 25;
		if (c == oldest[first] && n == counts[c])
			waits[oldest[first++]] = false;
		counts[c] -= n;
		inside -= n;
		requests += n > 0;
	}
}

static void a_backlog_is_packed_well(void **state UNUSED)
{
	static double cumulative[CLIENTS];
	double sum = 0;
	size_t best = 0, window = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		cumulative[i] = sum += 1.0 / (i + 1);
	world_init(&w, 1);
	for (unsigned i = 0; i < EVENTS; i++)
		world_stored(&w, 1, zipf(cumulative, CLIENTS), 0, 200);
	/* how many fit into the window is found out by filling it */
	world_start(&w);
	w.conf.streams[0].paused = false;
	delivery_pause(w.d, 1, true);
	world_run(&w, 5 * US_PER_S);
	window = w.d->streams[0]->queue.n_events;
	assert_true(window > 10000);
	best = ideal_requests(window);
	delivery_pause(w.d, 1, false);
	world_run(&w, 120 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), EVENTS);
	double ratio = (double)best / (double)w.started;
	print_message("packing: %.1f events a request, %.2f of the best possible in a window of %zu\n",
	              (double)EVENTS / (double)w.started, ratio, window);
	assert_true(ratio >= 0.9);
	/* all places are free at once here: answers take as long as each other */
	assert_true(w.most_in_flight > 32 && w.most_started_a_turn <= 23);
	world_end(&w);
}

/* An endpoint that is slower than what comes in, all of it full batches but for one event. */
static void full_batches_pass_over_a_lonely_event_for_seconds_at_most(void **state UNUSED)
{
	enum { CLIENTS_IN_TURN = 50, PUTS = 1000 };
	world_init(&w, 1);
	w.conf.delivery.max_requests = 1;
	world_start(&w);
	for (unsigned i = 0; i < 100 * 25; i++)
		world_put(&w, 1, 1 + i / 25 % CLIENTS_IN_TURN, 0, 0);
	world_turn(&w);
	const struct row *lonely = world_row(&w, world_put(&w, 1, 0, 0, 0));
	uint64_t id = lonely->sub->first_id;
	for (unsigned i = 0; i < PUTS; i++) {
		for (unsigned k = 0; k < 25; k++)
			world_put(&w, 1, 1 + i % CLIENTS_IN_TURN, 0, 0);
		world_run(&w, 10 * US_PER_MS);
	}
	lonely = world_row(&w, id); /* the rows may have moved */
	assert_int_equal(lonely->state, STATE_DELIVERED);
	assert_in_range(lonely->out_us - lonely->in_us, 5 * US_PER_S, 5500 * US_PER_MS);
	assert_true(count_state(STATE_QUEUED) > 50 * 25); /* there was always a full one */
	world_end(&w);
}

static void large_events_fill_a_request_by_bytes(void **state UNUSED)
{
	world_init(&w, 1);
	world_start(&w);
	for (int i = 0; i < 100; i++)
		world_put(&w, 1, 1, 0, 9000); /* the fixture checks that no body reaches the limit */
	world_run(&w, 10 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 100);
	assert_in_range(w.started, 8, 9);
	world_end(&w);
}

/* ---- memory ---- */

static void down(struct world *world_ UNUSED, struct http_request *r)
{
	r->attempt.status = 503;
}

static void an_outage_is_a_probe_a_step_and_bounded_memory(void **state UNUSED)
{
	world_init(&w, 2);
	w.answer = down;
	world_start(&w);
	for (int i = 0; i < 400000; i++) {
		world_put(&w, 1 + (unsigned)i % 2, (unsigned)i % 5000, 0, 300);
		if (i % 1000 == 0)
			world_step(&w, w.now.mono_us + 100 * US_PER_MS);
	}
	world_run(&w, US_PER_H);
	assert_true(w.d->queues->bytes <= QUEUES_SHARED_BYTES + QUEUES_RESERVED_BYTES);
	assert_true(w.started < 120); /* about one in four minutes and a half for each, once it waits long */
	assert_int_equal(count_state(STATE_QUEUED), 400000);
	w.answer = NULL;
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 400000);
	world_end(&w);
}

static bool first_stream(const struct http_request *r)
{
	return world_row(&w, r->ids[0])->sub->sid == 1;
}

static void first_hangs(struct world *world_, struct http_request *r)
{
	if (first_stream(r)) {
		r->attempt =
		        (struct attempt){.transport = TRANSPORT_TIMEOUT, .retry_after_us = -1, .body_sent = true};
		r->done_us = world_->now.mono_us + 30 * US_PER_S;
	}
}

static void a_stream_that_hangs_holds_up_no_other(void **state UNUSED)
{
	world_init(&w, 2);
	w.answer = first_hangs;
	for (int i = 0; i < 200000; i++)
		world_stored(&w, 1, (unsigned)i % 5000, 0, 300);
	world_start(&w);
	world_run(&w, 60 * US_PER_S);
	for (int i = 0; i < 1000; i++) {
		uint64_t id = world_put(&w, 2, (unsigned)i, 0, 300);
		world_run(&w, 300 * US_PER_MS);
		assert_int_equal(world_row(&w, id)->state, STATE_DELIVERED);
	}
	for (size_t i = 0; i < 200000; i++)
		assert_int_equal(w.rows[i].state, STATE_QUEUED);
	world_end(&w);
}

/* ---- outcomes ---- */

static void culprit_hundred(struct world *world_ UNUSED, struct http_request *r)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->ids[i] == 13)
			r->attempt.status = 400;
}

/* Events of others, one a second. */
static void others_pass(unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		world_put(&w, 1, 1000 + i, 0, 0);
		world_run(&w, US_PER_S);
	}
}

static void one_culprit_of_25_dies_alone(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = culprit_hundred;
	world_start(&w);
	for (int i = 0; i < 25; i++)
		world_put(&w, 1, 1, 0, 0);
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 24); /* its neighbours do not wait for its end */
	others_pass(50);
	assert_int_equal(w.rows[12].state, STATE_QUEUED); /* not before a minute */
	others_pass(100);
	assert_int_equal(count_state(STATE_DELIVERED), 24 + 150);
	assert_int_equal(w.rows[12].reason, DEAD_REFUSED);
	assert_int_equal(w.counters.dead[DEAD_REFUSED], 1);
	assert_true(w.started <= 150 + 25);
	world_end(&w);
}

static void reload_refuse_after(int64_t us)
{
	struct err err;
	w.conf.delivery.refuse_after_us = us;
	assert_int_equal(delivery_set_streams(w.d, &w.conf, w.rules, &err), 0);
}

/* What was refused already is judged by the new one at its next refusal. */
static void a_reload_changes_how_long_it_must_be_refused(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = culprit_hundred;
	world_start(&w);
	for (int i = 0; i < 25; i++)
		world_put(&w, 1, 1, 0, 0);
	others_pass(50);
	assert_int_equal(w.rows[12].state, STATE_QUEUED);
	reload_refuse_after(10 * US_PER_MIN); /* the minute ends, and nothing happens */
	others_pass(500);
	assert_int_equal(w.rows[12].state, STATE_QUEUED);
	reload_refuse_after(US_PER_MIN);
	others_pass(300);
	assert_int_equal(w.rows[12].reason, DEAD_REFUSED);
	uint64_t id = world_put(&w, 1, 1, 0, 0);
	world_run(&w, US_PER_S);
	assert_int_equal(world_row(&w, id)->state, STATE_DELIVERED);
	assert_int_equal(w.counters.dead[DEAD_REFUSED], 1);
	world_end(&w);
}

static void refuse_all(struct world *world_ UNUSED, struct http_request *r)
{
	r->attempt.status = 400;
}

static void an_endpoint_that_refuses_everything_kills_nothing(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = refuse_all;
	world_start(&w);
	for (unsigned i = 0; i < 5000; i++)
		world_put(&w, 1, i % 300, 0, 0);
	world_run(&w, 6 * US_PER_H);
	assert_int_equal(count_state(STATE_QUEUED), 5000);
	assert_true(w.started < 500);
	w.answer = NULL;
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 5000);
	world_end(&w);
}

static void poison(struct world *world_ UNUSED, struct http_request *r)
{
	for (unsigned i = 0; i < r->n; i++)
		if (world_row(&w, r->ids[i])->kind)
			r->attempt.status = world_row(&w, r->ids[i])->kind;
}

/* A backlog of poison alone has taken the destination down; what comes then is not kept waiting for all of its parts.
 */
static void what_is_taken_is_not_behind_what_is_refused(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = poison;
	world_start(&w);
	for (unsigned i = 0; i < 200; i++)
		world_row(&w, world_put(&w, 1, i % 8, 0, 0))->kind = 400;
	world_run(&w, US_PER_H);
	assert_true(w.d->streams[0]->destination.state != DESTINATION_UP);
	uint64_t good = world_put(&w, 1, 77, 0, 0);
	world_run(&w, 10 * US_PER_MIN); /* two probes, at most five minutes each */
	assert_int_equal(world_row(&w, good)->state, STATE_DELIVERED);
	world_end(&w);
}

static void too_many(struct world *world_ UNUSED, struct http_request *r)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->n > 3 || r->ids[i] == 7)
			r->attempt.status = 413;
}

static void too_large_is_split(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = too_many;
	world_start(&w);
	for (int i = 0; i < 25; i++)
		world_put(&w, 1, 1, 0, i == 6 ? 5000 : 0);
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 24);
	others_pass(200);
	assert_int_equal(count_state(STATE_DELIVERED), 224);
	assert_int_equal(w.rows[6].reason, DEAD_TOO_LARGE);
	world_end(&w);
}

static void nothing_is_too_large_while_larger_ones_pass(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = too_many;
	world_start(&w);
	for (int i = 0; i < 7; i++)
		world_put(&w, 1, 1, 0, 100);
	for (int i = 0; i < 600; i++) {
		world_put(&w, 1, 2, 0, 200);
		world_run(&w, US_PER_S);
	}
	assert_int_equal(w.rows[6].state, STATE_QUEUED);
	w.answer = NULL;
	world_run(&w, 5 * US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 607);
	world_end(&w);
}

static void too_large(struct world *world_ UNUSED, struct http_request *r)
{
	r->attempt.status = 413;
}

static void an_endpoint_to_which_everything_is_too_large_kills_nothing(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = too_large;
	world_start(&w);
	for (unsigned i = 0; i < 5000; i++)
		world_put(&w, 1, i % 300, 0, 0);
	world_run(&w, 6 * US_PER_H);
	assert_int_equal(count_state(STATE_QUEUED), 5000);
	assert_true(w.started < 1000);
	w.answer = NULL;
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 5000);
	world_end(&w);
}

/* No request is made of it, and it leaves as any dead letter does: counted, and logged. */
static void too_large_alone_dies_and_is_logged(void **state UNUSED)
{
	char text[4096] = "";
	FILE *log = tmpfile();
	int stderr_fd = dup(STDERR_FILENO);
	assert_non_null(log);
	world_init(&w, 1);
	world_start(&w);
	world_put(&w, 1, 1, 0, LIMIT_REQUEST_BYTES);
	log_init(LOG_LEVEL_WARNING, false);
	assert_true(dup2(fileno(log), STDERR_FILENO) >= 0);
	world_run(&w, US_PER_S);
	assert_true(dup2(stderr_fd, STDERR_FILENO) >= 0);
	close(stderr_fd);
	rewind(log);
	assert_true(fread(text, 1, sizeof(text) - 1, log) > 0);
	fclose(log);
	assert_non_null(strstr(text, "batch events=1 stream=one status=0 attempt=0"));
	assert_non_null(strstr(text, "outcome=dead-too-large ids=1 error=the request would reach 130000 bytes"));
	assert_int_equal(w.started, 0);
	assert_int_equal(w.rows[0].reason, DEAD_TOO_LARGE);
	assert_int_equal(w.counters.dead[DEAD_TOO_LARGE], 1);
	world_end(&w);
}

static void stale_once(struct world *world_, struct http_request *r)
{
	if (r->fresh)
		return;
	r->attempt = (struct attempt){.transport = TRANSPORT_STALE, .retry_after_us = -1, .body_sent = true};
	r->done_us = world_->now.mono_us;
}

static void a_stale_connection_costs_nothing(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = stale_once;
	world_start(&w);
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, 300 * US_PER_MS);
	assert_int_equal(w.rows[0].state, STATE_DELIVERED);
	assert_true(w.rows[0].maybe_sent);
	assert_int_equal(w.started, 2);
	assert_int_equal(w.counters.by_sid[1].requests[OUTCOME_RETRY_NOW], 1);
	assert_int_equal(w.d->streams[0]->destination.state, DESTINATION_UP);
	world_end(&w);
}

static void time_out(struct world *world_, struct http_request *r)
{
	r->attempt = (struct attempt){.transport = TRANSPORT_TIMEOUT, .retry_after_us = -1, .body_sent = true};
	r->done_us = world_->now.mono_us + 30 * US_PER_S;
}

static void ambiguous_ones_are_parked_where_asked_for(void **state UNUSED)
{
	world_init(&w, 1);
	w.conf_streams[0].ambiguous = AMBIGUOUS_PARK;
	w.answer = time_out;
	world_start(&w);
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, 40 * US_PER_S);
	assert_int_equal(w.rows[0].reason, DEAD_AMBIGUOUS);
	assert_true(w.rows[0].maybe_sent);
	world_end(&w);
}

static void two_poisoned_batches_cannot_wedge_a_stream(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = poison;
	world_start(&w);
	world_put(&w, 1, 1, 0, 0);
	world_put(&w, 1, 2, 0, 0);
	w.rows[0].kind = 500;
	w.rows[1].kind = 403;
	others_pass(500);
	assert_int_equal(w.rows[1].state, STATE_QUEUED);
	others_pass(1000);
	assert_int_equal(count_state(STATE_DELIVERED), 1500);
	assert_int_equal(w.rows[1].reason, DEAD_REFUSED); /* ten 403s over ten minutes while others passed */
	assert_int_equal(w.rows[0].state, STATE_QUEUED);
	world_end(&w);
}

static void more_than_may_be_parked_comes_back_from_the_outbox(void **state UNUSED)
{
	struct delivery_status st;
	unsigned most = 0;

	world_init(&w, 1);
	w.answer = poison;
	for (unsigned i = 0; i < 40000; i++) {
		uint64_t id = world_stored(&w, 1, i % 2000, 0, 0);
		world_row(&w, id)->kind = i % 2 ? 500 : 0;
	}
	world_start(&w);
	for (unsigned i = 0; i < 150; i++) {
		world_run(&w, 10 * US_PER_S);
		most = w.d->streams[0]->queue.n_parked > most ? w.d->streams[0]->queue.n_parked : most;
	}
	assert_int_equal(count_state(STATE_DELIVERED), 20000);
	assert_in_range(most, QUEUE_PARKED_EVENTS / 16 * 15, QUEUE_PARKED_EVENTS); /* the others are in flight */
	delivery_get_status(w.d, &w.now, &st);
	assert_in_range(st.streams[0].in_memory, 1, QUEUE_PARKED_EVENTS + LIMIT_EVENTS_PER_REQUEST);
	w.answer = NULL;
	world_run(&w, 2 * US_PER_H);
	assert_int_equal(count_state(STATE_DELIVERED), 40000);
	for (size_t i = 0; i < w.n_rows; i++)
		assert_int_equal(w.rows[i].counted, 1);
	world_end(&w);
}

/* They wait for nothing, so that there is no time to look for them at. */
static void parts_that_may_not_be_parked_come_back_too(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = culprit_hundred;
	world_start(&w);
	for (int i = 0; i < 25; i++)
		world_put(&w, 1, 1, 0, 0);
	struct stream_queue *q = &w.d->streams[0]->queue;
	q->n_parked = QUEUE_PARKED_EVENTS; /* others */
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 0);
	assert_int_equal(q->n_events, 0);
	q->n_parked = 0;
	world_run(&w, 10 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 24);
	world_end(&w);
}

static void unlucky_once(struct world *world_, struct http_request *r)
{
	r->done_us = world_->now.mono_us + 10 * US_PER_MS;
	for (unsigned i = 0; i < r->n; i++)
		if (r->ids[i] == 1 && !w.rows[0].kind++) {
			r->attempt.status = 500;
			r->done_us += 90 * US_PER_MS; /* others that start later get through before it fails */
		}
}

static void what_failed_once_does_not_wait_for_the_end_of_the_backlog(void **state UNUSED)
{
	world_init(&w, 1);
	w.conf.delivery.max_requests = 2;
	w.answer = unlucky_once;
	for (int i = 0; i < 50000; i++)
		world_stored(&w, 1, (unsigned)i % 2000, 0, 0);
	world_start(&w);
	world_run(&w, 5 * US_PER_S);
	assert_in_range(count_state(STATE_DELIVERED), 5000, 40000); /* far from its end */
	assert_int_equal(w.rows[0].state, STATE_DELIVERED);
	assert_int_equal(w.counters.by_sid[1].requests[OUTCOME_RETRY_BATCH], 1);
	world_end(&w);
}

/* ---- the outbox refuses ---- */

static void with_too_many_uncommitted_outcomes_sending_stops(void **state UNUSED)
{
	world_init(&w, 1);
	for (int i = 0; i < 60000; i++)
		world_stored(&w, 1, (unsigned)i % 10, 0, 0);
	world_start(&w);
	world_run(&w, US_PER_S / 10);
	w.fail_commits = true;
	world_run(&w, 60 * US_PER_S);
	size_t counted = 0;
	for (size_t i = 0; i < w.n_rows; i++)
		counted += w.rows[i].counted;
	assert_in_range(counted - count_state(STATE_DELIVERED), UNCOMMITTED_MAX, UNCOMMITTED_MAX + 64 * 25);
	w.fail_commits = false;
	world_run(&w, 60 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 60000);
	for (size_t i = 0; i < w.n_rows; i++)
		assert_int_equal(w.rows[i].counted, 1); /* none was sent again meanwhile */
	world_end(&w);
}

/* ---- operators ---- */

static void pause_resume_flush(void **state UNUSED)
{
	world_init(&w, 2);
	w.conf_streams[1].paused = true;
	world_start(&w);
	delivery_pause(w.d, 1, true);
	world_put(&w, 1, 1, 0, 0);
	world_put(&w, 2, 1, 0, 0);
	world_run(&w, 10 * US_PER_S);
	assert_int_equal(w.started, 0);
	struct delivery_status st;
	delivery_get_status(w.d, &w.now, &st);
	assert_int_equal(st.streams[0].state, DESTINATION_PAUSED);
	assert_true(st.streams[1].state == DESTINATION_PAUSED);
	delivery_pause(w.d, 0, false); /* over the file's word too */
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 2);
	w.answer = down;
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, US_PER_H);
	w.answer = NULL;
	delivery_get_status(w.d, &w.now, &st);
	assert_int_equal(st.streams[0].state, DESTINATION_BACKING_OFF);
	assert_string_equal(st.streams[0].last_error, "status 503");
	destination_flush(&w.d->streams[0]->destination, w.now.mono_us);
	world_run(&w, US_PER_S / 2);
	assert_int_equal(count_state(STATE_DELIVERED), 3);
	world_end(&w);
}

static void what_is_held_or_dropped_is_not_sent(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = down;
	world_start(&w);
	for (unsigned i = 0; i < 30; i++)
		world_put(&w, 1, i % 3, 0, 0);
	world_run(&w, US_PER_S);
	const uint64_t gone[] = {1, 2, 30, 999};
	for (size_t i = 0; i < 3; i++) {
		struct row *row = world_row(&w, gone[i]);
		row->state = STATE_HELD;
		w.queued[1]--;
	}
	delivery_forget(w.d, gone, 4);
	w.answer = NULL;
	world_run(&w, US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 27);
	assert_int_equal(count_state(STATE_HELD), 3);
	for (size_t i = 0; i < 3; i++) {
		world_row(&w, gone[i])->state = STATE_QUEUED;
		w.queued[1]++;
	}
	w.settled_to = 0;
	delivery_requeued(w.d, 1);
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 30);
	world_end(&w);
}

static void nothing_starts_while_an_operators_change_is_at_the_writer(void **state UNUSED)
{
	world_init(&w, 2);
	world_start(&w);
	delivery_suspend_starts(w.d, true);
	for (unsigned i = 0; i < 60; i++)
		world_put(&w, 1 + i % 2, i, 0, 0);
	world_run(&w, US_PER_S);
	assert_int_equal(w.started, 0);
	delivery_suspend_starts(w.d, false);
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 60);
	world_end(&w);
}

/* Put and dropped while a refill is on its way that finds nothing: the refill's end must not bring it into memory. */
static void what_is_dropped_while_a_refill_is_on_its_way_stays_away(void **state UNUSED)
{
	world_init(&w, 1);
	world_start(&w);
	world_put(&w, 1, 1, 0, 0);
	delivery_pump(w.d, &w.now);
	struct job *refill = NULL, *job;
	STAILQ_FOREACH(job, &w.jobs, link)
	if (strcmp(job->class->name, "refill") == 0)
		refill = job;
	assert_non_null(refill);
	assert_true(w.d->streams[0]->queue.n_pending > 0 || w.d->streams[0]->queue.refilling);
	const uint64_t id = world_put(&w, 1, 2, 0, 0);
	world_row(&w, id)->state = STATE_DELIVERED; /* its row is gone */
	w.queued[1]--;
	w.n_rows--;
	delivery_forget(w.d, &id, 1);
	world_commit(&w);
	w.n_rows++;
	assert_null(queues_find(w.d->queues, id));
	world_run(&w, US_PER_S);
	assert_int_equal(world_row(&w, 1)->counted, 1);
	assert_int_equal(world_row(&w, id)->counted, 0);
	world_end(&w);
}

static void a_flush_ends_the_wait_of_what_failed(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = poison;
	world_start(&w);
	world_put(&w, 1, 1, 0, 0);
	w.rows[0].kind = 500;
	for (unsigned i = 0; i < 100; i++) { /* the destination is up */
		world_put(&w, 1, 2, 0, 0);
		world_run(&w, US_PER_S);
	}
	w.rows[0].kind = 0;
	assert_true(delivery_next_attempt_ms(w.d, 1, w.now.mono_us) > 2000);
	queue_flush(&w.d->streams[0]->queue, w.now.mono_us); /* delivery_flush_waiting() goes by the real clock */
	world_run(&w, US_PER_S);
	assert_int_equal(w.rows[0].state, STATE_DELIVERED);
	world_end(&w);
}

static void refuses_later(struct world *world_, struct http_request *r)
{
	r->attempt.status = 500;
	r->done_us = world_->now.mono_us + US_PER_S;
}

static void what_is_held_in_flight_is_not_sent_again(void **state UNUSED)
{
	static const uint64_t gone[] = {1, 3, 4};

	world_init(&w, 1);
	w.answer = refuses_later;
	world_start(&w);
	for (unsigned i = 0; i < 3; i++)
		world_put(&w, 1, 1, 0, 0);
	world_put(&w, 1, 2, 0, 0); /* a request of its own */
	world_run(&w, US_PER_S / 2);
	for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
		assert_true(delivery_is_in_flight(w.d, gone[i]));
		world_row(&w, gone[i])->state = STATE_HELD;
		w.queued[1]--;
	}
	delivery_forget(w.d, gone, ARRAY_LEN(gone));
	world_run(&w, US_PER_S);
	w.answer = NULL;
	world_run(&w, US_PER_MIN);
	assert_int_equal(count_state(STATE_HELD), 3);
	assert_int_equal(world_row(&w, 2)->state, STATE_DELIVERED);
	assert_int_equal(world_row(&w, 1)->counted + world_row(&w, 3)->counted + world_row(&w, 4)->counted, 0);
	world_end(&w);
}

static void ids_in_flight_are_told(void **state UNUSED)
{
	uint64_t *ids;
	size_t n;
	world_init(&w, 1);
	w.answer = time_out;
	world_start(&w);
	world_run(&w, US_PER_S);
	for (unsigned i = 0; i < 26; i++)
		world_put(&w, 1, 1, 0, 0);
	world_run(&w, 100 * US_PER_MS);
	assert_int_equal(delivery_in_flight_ids(w.d, &ids, &n), 0);
	assert_int_equal(n, 25);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ids[i], i + 1);
	free(ids);
	assert_true(delivery_is_in_flight(w.d, 25) && !delivery_is_in_flight(w.d, 26));
	assert_int_equal(delivery_next_attempt_ms(w.d, 25, w.now.mono_us), -1);
	assert_in_range(delivery_next_attempt_ms(w.d, 26, w.now.mono_us), 90, 100);
	assert_int_equal(delivery_next_attempt_ms(w.d, 999, w.now.mono_us), -1);
	assert_true(w.bound >= 25);
	world_run(&w, US_PER_H);
	w.answer = NULL;
	world_run(&w, US_PER_H);
	assert_int_equal(w.bound, 0); /* nothing in flight for long */
	world_end(&w);
}

/* ---- the end ---- */

static void a_drain_takes_what_is_free_and_leaves_the_rest(void **state UNUSED)
{
	world_init(&w, 1);
	world_start(&w);
	world_run(&w, US_PER_S);
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, 10 * US_PER_MS);
	assert_int_equal(w.started, 0); /* lingers */
	w.phase = PHASE_DRAINING;
	delivery_drain(w.d, &w.now);
	assert_false(delivery_drained(w.d) && w.started == 0 && count_state(STATE_DELIVERED) == 1);
	world_run(&w, 100 * US_PER_MS);
	assert_int_equal(count_state(STATE_DELIVERED), 1);
	assert_true(delivery_drained(w.d));
	for (unsigned i = 0; i < 1000; i++)
		world_put(&w, 1, i, 0, 0);
	world_run(&w, US_PER_S);
	assert_in_range(w.started, 1, 4);
	assert_true(delivery_drained(w.d));
	world_end(&w);
}

static void an_abort_notes_what_may_have_been_sent(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = time_out;
	world_start(&w);
	for (unsigned i = 0; i < 30; i++)
		world_put(&w, 1, 1, 0, 0);
	world_run(&w, US_PER_S);
	assert_int_equal(w.started, 2);
	w.phase = PHASE_DRAINING;
	delivery_drain(w.d, &w.now);
	world_turn(&w);
	assert_false(delivery_drained(w.d));
	w.phase = PHASE_ABORTING;
	delivery_abort(w.d);
	world_commit(&w);
	assert_true(delivery_drained(w.d));
	for (size_t i = 0; i < 30; i++)
		assert_true(w.rows[i].maybe_sent && w.rows[i].state == STATE_QUEUED);
	world_end(&w);
}

static void a_removed_stream_keeps_its_events(void **state UNUSED)
{
	struct err err;
	world_init(&w, 2);
	w.answer = down;
	world_start(&w);
	for (unsigned i = 0; i < 100; i++)
		world_put(&w, 1 + i % 2, i, 0, 0);
	world_run(&w, US_PER_MIN);
	w.conf.n_streams = 1;
	assert_int_equal(delivery_set_streams(w.d, &w.conf, w.rules, &err), 0);
	w.answer = NULL;
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 50);
	assert_int_equal(w.d->n_streams, 1);
	w.conf.n_streams = 2;
	assert_int_equal(delivery_set_streams(w.d, &w.conf, w.rules, &err), 0);
	world_run(&w, US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 100);
	world_end(&w);
}

/* ---- age ---- */

static void old_events_expire_and_stepped_clocks_do_not_matter(void **state UNUSED)
{
	world_init(&w, 2);
	w.answer = down;
	w.conf_streams[1].paused = true;
	world_start(&w);
	world_run(&w, US_PER_S);
	world_put(&w, 1, 1, 0, 0);
	world_put(&w, 2, 1, 0, 0); /* in a paused stream */
	world_run(&w, US_PER_H);
	w.now.wall_us += 400 * US_PER_DAY; /* somebody sets the clock */
	world_put(&w, 1, 2, 0, 0);
	world_run(&w, 70 * US_PER_H);
	assert_int_equal(count_state(STATE_QUEUED), 3);
	world_run(&w, US_PER_H + 10 * US_PER_S);
	assert_int_equal(w.rows[0].reason, DEAD_EXPIRED);
	assert_int_equal(w.rows[1].reason, DEAD_EXPIRED);
	assert_int_equal(w.rows[2].state, STATE_QUEUED);
	struct delivery_status st;
	delivery_get_status(w.d, &w.now, &st);
	assert_in_range(st.expiry.oldest_age_us, 71 * US_PER_H, 71 * US_PER_H + US_PER_MIN);
	assert_in_range(st.expiry.first_expiry_us, US_PER_H - US_PER_MIN, US_PER_H);
	w.now.wall_us -= 800 * US_PER_DAY;
	world_run(&w, 59 * US_PER_MIN);
	assert_int_equal(w.rows[2].state, STATE_QUEUED);
	world_run(&w, 2 * US_PER_MIN);
	assert_int_equal(w.rows[2].reason, DEAD_EXPIRED);
	assert_int_equal(w.counters.dead[DEAD_EXPIRED], 3);
	world_end(&w);
}

static void a_tenth_at_start_waits_ten_minutes(void **state UNUSED)
{
	world_init(&w, 1);
	for (unsigned i = 0; i < 100; i++)
		world_stored(&w, 1, i, 0, 0);
	world_advance(&w, US_PER_H);
	w.now.wall_us += 100 * US_PER_H; /* as wrong as it can be: or so it looks */
	for (unsigned i = 0; i < 100; i++)
		world_stored(&w, 1, i, 0, 0);
	world_row(&w, 1)->no_expiry = true;
	world_start(&w);
	world_run(&w, US_PER_MIN);
	struct delivery_status st;
	delivery_get_status(w.d, &w.now, &st);
	assert_true(st.expiry.suspended);
	assert_int_equal(count_state(STATE_DEAD), 0);
	assert_int_equal(count_state(STATE_DELIVERED), 101); /* what looks too old is held back, not sent */
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(count_state(STATE_DEAD), 99);
	assert_int_equal(w.counters.dead[DEAD_EXPIRED], 99);
	delivery_get_status(w.d, &w.now, &st);
	assert_false(st.expiry.suspended);
	world_end(&w);
}

static void a_clock_put_right_meanwhile_saves_them(void **state UNUSED)
{
	world_init(&w, 1);
	for (unsigned i = 0; i < 100; i++)
		world_stored(&w, 1, i, 0, 0);
	w.now.wall_us += 100 * US_PER_H;
	world_start(&w);
	world_run(&w, US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 0);
	w.now.wall_us -= 100 * US_PER_H;
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(count_state(STATE_DELIVERED), 100);
	world_end(&w);
}

static void less_than_a_tenth_expires_at_once(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = down;
	for (unsigned i = 0; i < 9; i++)
		world_stored(&w, 1, i, 0, 0);
	world_advance(&w, 73 * US_PER_H);
	for (unsigned i = 0; i < 91; i++)
		world_stored(&w, 1, i, 0, 0);
	world_start(&w);
	world_run(&w, 5 * US_PER_S);
	assert_int_equal(count_state(STATE_DEAD), 9);
	world_end(&w);
}

static void an_exempt_event_is_not_searched_for_every_second(void **state UNUSED)
{
	world_init(&w, 1);
	w.answer = down;
	world_stored(&w, 1, 1, 0, 0);
	world_row(&w, 1)->no_expiry = true;
	world_advance(&w, 100 * US_PER_H);
	world_start(&w);
	world_run(&w, US_PER_MIN);
	unsigned jobs = w.jobs_seen;
	world_run(&w, US_PER_H);
	assert_true(w.jobs_seen - jobs < 300);
	assert_int_equal(w.rows[0].state, STATE_QUEUED);
	w.answer = NULL;
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(w.rows[0].state, STATE_DELIVERED);
	world_end(&w);
}

/* ---- nothing waits for a wake-up that does not come, and nothing spins ---- */

static void a_failed_refill_is_tried_again(void **state UNUSED)
{
	world_init(&w, 1);
	for (int i = 0; i < 10; i++)
		world_stored(&w, 1, 1, 0, 0);
	w.fail_refills = 3;
	world_start(&w);
	world_turn(&w);
	world_turn(&w); /* the first one failed, and nothing of the stream is in memory */
	assert_int_equal(w.fail_refills, 2);
	assert_in_range(delivery_next_us(w.d, &w.now), w.now.mono_us + 1, w.now.mono_us + US_PER_S);
	world_run(&w, 10 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 10);
	world_end(&w);
}

static void a_request_that_cannot_start_is_tried_again(void **state UNUSED)
{
	world_init(&w, 1);
	w.fail_posts = 3;
	world_start(&w);
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, 20 * US_PER_S);
	assert_int_equal(w.fail_posts, 0);
	assert_int_equal(count_state(STATE_DELIVERED), 1);
	world_end(&w);
}

static void first_hangs_second_is_slow(struct world *world_, struct http_request *r)
{
	if (r->order > 1) {
		r->done_us = world_->now.mono_us + 30 * US_PER_S;
		return;
	}
	r->attempt = (struct attempt){.transport = TRANSPORT_TIMEOUT, .retry_after_us = -1, .body_sent = true};
	r->done_us = world_->now.mono_us + US_PER_S;
}

/* The first is parked and takes the destination down; when its backoff is over, the only other event is in flight. */
static void a_destination_with_nothing_to_probe_with_does_not_spin(void **state UNUSED)
{
	unsigned turns = 0;
	world_init(&w, 1);
	w.conf_streams[0].ambiguous = w.conf.delivery.ambiguous = AMBIGUOUS_PARK;
	w.answer = first_hangs_second_is_slow;
	world_start(&w);
	world_put(&w, 1, 1, 0, 0);
	world_put(&w, 1, 2, 0, 0);
	for (int64_t end = w.now.mono_us + 40 * US_PER_S; w.now.mono_us < end && turns < 1000; turns++)
		world_step(&w, end);
	assert_int_equal(w.rows[0].state, STATE_DEAD);
	assert_int_equal(w.rows[1].state, STATE_DELIVERED);
	assert_true(turns < 200);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_event_lingers_then_goes),
	        cmocka_unit_test(a_full_batch_does_not_linger),
	        cmocka_unit_test(a_backlog_drains),
	        cmocka_unit_test(two_states_of_consent_never_meet_and_keep_their_order),
	        cmocka_unit_test(outcomes_wait_for_company_for_a_while),
	        cmocka_unit_test(outcomes_go_with_what_else_is_committed),
	        cmocka_unit_test(many_outcomes_and_a_shutdown_do_not_wait),
	        cmocka_unit_test(a_clients_requests_start_in_order),
	        cmocka_unit_test(a_backlog_is_packed_well),
	        cmocka_unit_test(full_batches_pass_over_a_lonely_event_for_seconds_at_most),
	        cmocka_unit_test(large_events_fill_a_request_by_bytes),
	        cmocka_unit_test(an_outage_is_a_probe_a_step_and_bounded_memory),
	        cmocka_unit_test(a_stream_that_hangs_holds_up_no_other),
	        cmocka_unit_test(one_culprit_of_25_dies_alone),
	        cmocka_unit_test(a_reload_changes_how_long_it_must_be_refused),
	        cmocka_unit_test(an_endpoint_that_refuses_everything_kills_nothing),
	        cmocka_unit_test(what_is_taken_is_not_behind_what_is_refused),
	        cmocka_unit_test(too_large_is_split),
	        cmocka_unit_test(nothing_is_too_large_while_larger_ones_pass),
	        cmocka_unit_test(an_endpoint_to_which_everything_is_too_large_kills_nothing),
	        cmocka_unit_test(too_large_alone_dies_and_is_logged),
	        cmocka_unit_test(a_stale_connection_costs_nothing),
	        cmocka_unit_test(ambiguous_ones_are_parked_where_asked_for),
	        cmocka_unit_test(two_poisoned_batches_cannot_wedge_a_stream),
	        cmocka_unit_test(more_than_may_be_parked_comes_back_from_the_outbox),
	        cmocka_unit_test(parts_that_may_not_be_parked_come_back_too),
	        cmocka_unit_test(what_failed_once_does_not_wait_for_the_end_of_the_backlog),
	        cmocka_unit_test(with_too_many_uncommitted_outcomes_sending_stops),
	        cmocka_unit_test(pause_resume_flush),
	        cmocka_unit_test(nothing_starts_while_an_operators_change_is_at_the_writer),
	        cmocka_unit_test(what_is_dropped_while_a_refill_is_on_its_way_stays_away),
	        cmocka_unit_test(a_flush_ends_the_wait_of_what_failed),
	        cmocka_unit_test(what_is_held_in_flight_is_not_sent_again),
	        cmocka_unit_test(what_is_held_or_dropped_is_not_sent),
	        cmocka_unit_test(ids_in_flight_are_told),
	        cmocka_unit_test(a_drain_takes_what_is_free_and_leaves_the_rest),
	        cmocka_unit_test(an_abort_notes_what_may_have_been_sent),
	        cmocka_unit_test(a_removed_stream_keeps_its_events),
	        cmocka_unit_test(old_events_expire_and_stepped_clocks_do_not_matter),
	        cmocka_unit_test(a_tenth_at_start_waits_ten_minutes),
	        cmocka_unit_test(a_clock_put_right_meanwhile_saves_them),
	        cmocka_unit_test(less_than_a_tenth_expires_at_once),
	        cmocka_unit_test(an_exempt_event_is_not_searched_for_every_second),
	        cmocka_unit_test(a_failed_refill_is_tried_again),
	        cmocka_unit_test(a_request_that_cannot_start_is_tried_again),
	        cmocka_unit_test(a_destination_with_nothing_to_probe_with_does_not_spin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
