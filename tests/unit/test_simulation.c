/* test_simulation.c - weeks of delivery in seconds: outages, poison, slow and lying endpoints, a clock that is passed
 * in
 *
 * The real delivery runs against a pretended outbox and endpoint (delivery_fixture.h). After every step invariants
 * are checked; at the end every event has left the queue exactly once. SIMULATION_SEED and SIMULATION_DAYS change a
 * run. */
#include "delivery_fixture.h"
#include "sanitized.h"

enum weather {
	FINE,
	DOWN_CONNECT,
	DOWN_503,
	DOWN_RETRY_AFTER,
	DOWN_TIMEOUT,
	DOWN_404,
	FLAKY,
	DOWN_RESET,
	DOWN_400,
	WEATHERS
};
enum kind { PLAIN, POISON_400, POISON_500, POISON_403, POISON_HANG, KINDS };

struct sky { /* a stream's endpoint */
	enum weather weather;
	int64_t until_us;
};

static struct world w;
static struct sky skies[WORLD_STREAMS + 1];
static uint64_t stale_answers, waits_seen;

static unsigned sid_of(const struct http_request *r)
{
	return world_row(&w, r->ids[0])->sub->sid;
}

static bool has_kind(const struct http_request *r, enum kind kind)
{
	for (unsigned i = 0; i < r->n; i++)
		if (world_row(&w, r->ids[i])->kind == (int)kind)
			return true;
	return false;
}

static void no_answer(struct http_request *r, enum transport t, bool body_sent, int64_t after_us)
{
	r->attempt = (struct attempt){.transport = t, .retry_after_us = -1, .body_sent = body_sent};
	snprintf(r->attempt.error, sizeof(r->attempt.error), "pretended");
	r->done_us = r->started_us + after_us;
}

static void status(struct http_request *r, int code)
{
	r->attempt.status = code;
}

static void answer_fine(struct http_request *r)
{
	r->done_us = r->started_us + 5 * US_PER_MS + (int64_t)(world_random(&w) % 200000);
	if (!r->fresh && world_random(&w) % 200 == 0) {
		no_answer(r, TRANSPORT_STALE, world_random(&w) % 2, US_PER_MS);
		stale_answers++;
	} else if (has_kind(r, POISON_400)) {
		status(r, 400);
	} else if (has_kind(r, POISON_500)) {
		status(r, 500);
	} else if (has_kind(r, POISON_403)) {
		status(r, 403);
	} else if (has_kind(r, POISON_HANG)) {
		no_answer(r, TRANSPORT_TIMEOUT, true, 30 * US_PER_S);
	}
}

static void answer(struct world *world_, struct http_request *r)
{
	struct sky *sky = &skies[sid_of(r)];
	r->done_us = world_->now.mono_us + 20 * US_PER_MS;
	switch (sky->weather) {
	case FINE:
		answer_fine(r);
		return;
	case DOWN_CONNECT:
		no_answer(r, TRANSPORT_CONNECT, false, 3 * US_PER_S);
		return;
	case DOWN_503:
		status(r, 503);
		return;
	case DOWN_RETRY_AFTER:
		status(r, 429);
		r->attempt.retry_after_us = 90 * US_PER_S;
		return;
	case DOWN_TIMEOUT:
		no_answer(r, TRANSPORT_TIMEOUT, true, 30 * US_PER_S);
		return;
	case DOWN_404:
		status(r, 404);
		return;
	case DOWN_400: /* a proxy that refuses everything */
		status(r, 400);
		return;
	case DOWN_RESET:
		no_answer(r, TRANSPORT_RESET, false, 10 * US_PER_MS);
		return;
	case FLAKY:
		answer_fine(r);
		if (world_random(&w) % 4 == 0)
			status(r, 502);
		return;
	case WEATHERS:
		break;
	}
	fail();
}

static void change_weather(struct sky *sky)
{
	sky->weather = sky->weather == FINE && world_random(&w) % 2
	                       ? 1 + (enum weather)(world_random(&w) % (WEATHERS - 1))
	                       : FINE;
	int64_t mean = sky->weather == FINE ? 4 * US_PER_H : 40 * US_PER_MIN;
	sky->until_us = w.now.mono_us + (int64_t)(world_chance() * 2 * (double)mean);
}

static void check_stream(const struct stream *s)
{
	const struct destination *d = &s->destination;
	assert_in_range(d->window.size, 1, w.conf.delivery.max_requests);
	assert_true(s->in_flight <= w.conf.delivery.max_requests);
	assert_true(s->queue.n_events <= QUEUE_EVENTS);
	if (d->state != DESTINATION_BACKING_OFF)
		return;
	int64_t wait = destination_wait_us(d, w.now.mono_us);
	assert_true(wait <= w.conf.delivery.retry_max_us); /* longer than any Retry-After here */
	waits_seen++;
}

static void check(void)
{
	assert_true(w.d->queues->bytes <= QUEUES_SHARED_BYTES + QUEUES_RESERVED_BYTES);
	assert_true(w.bound >= w.d->in_flight_events);
	for (size_t i = 0; i < w.d->n_streams; i++)
		check_stream(w.d->streams[i]);
}

/* A destination that is known to be down is sent one probe at a time, and nothing while it waits. */
static void check_starts(uint64_t before[])
{
	for (size_t i = 0; i < w.d->n_streams; i++) {
		const struct stream *s = w.d->streams[i];
		uint64_t seq = s->destination.next_seq;
		if (s->destination.state != DESTINATION_UP)
			assert_true(seq - before[i] <= w.conf.delivery.max_requests + 2);
		if (s->destination.state == DESTINATION_PROBING && s->destination.probe_seq)
			assert_true(s->destination.probe_seq == seq - 1);
		before[i] = seq;
	}
}

static void new_event(bool may_poison)
{
	unsigned sid = 1 + (unsigned)(world_random(&w) % w.conf.n_streams);
	unsigned client = (unsigned)(world_random(&w) % 50) * (unsigned)(world_random(&w) % 50);
	bool poison = may_poison && world_random(&w) % 400 == 0;
	uint64_t id = world_put(&w, sid, client, (unsigned)(world_random(&w) % 3), 40);
	world_row(&w, id)->kind = poison ? 1 + (int)(world_random(&w) % (KINDS - 1)) : PLAIN;
}

/* Bursts and lulls: about one event in four seconds a stream. */
static int64_t next_arrival_us(void)
{
	if (world_random(&w) % 4)
		return 0;
	return (int64_t)(world_chance() * 20 * (double)US_PER_S);
}

static uint64_t env_or(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);
	return s ? strtoull(s, NULL, 10) : otherwise;
}

static void run_until(int64_t end, bool weather)
{
	uint64_t before[WORLD_STREAMS];
	int64_t arrival = w.now.mono_us;
	for (size_t i = 0; i < w.d->n_streams; i++)
		before[i] = w.d->streams[i]->destination.next_seq;
	while (w.now.mono_us < end) {
		int64_t until = arrival < end ? arrival : end;
		for (unsigned sid = 1; sid <= w.conf.n_streams && weather; sid++) {
			if (w.now.mono_us >= skies[sid].until_us)
				change_weather(&skies[sid]);
			until = skies[sid].until_us < until ? skies[sid].until_us : until;
		}
		world_step(&w, until);
		check();
		check_starts(before);
		while (arrival <= w.now.mono_us) {
			new_event(weather);
			arrival += next_arrival_us();
		}
	}
}

static void run_weeks(unsigned days)
{
	run_until(w.now.mono_us + (int64_t)days * US_PER_DAY, true);
}

/* Fine weather and no new poison for some hours; then silence, longer than the oldest poison may live. */
static void run_out(void)
{
	for (unsigned sid = 1; sid <= w.conf.n_streams; sid++)
		skies[sid].weather = FINE;
	run_until(w.now.mono_us + 3 * US_PER_H, false);
	int64_t end = w.now.mono_us + w.conf.delivery.max_age_us + US_PER_H;
	while (w.now.mono_us < end) {
		world_step(&w, end);
		check();
	}
}

static void check_rows(void)
{
	size_t by_reason[DEAD_COUNT] = {0}, delivered = 0, twice = 0, culprits = 0;
	for (size_t i = 0; i < w.n_rows; i++) {
		const struct row *row = &w.rows[i];
		assert_int_equal(row->settled, 1); /* settled exactly once, and nothing is left */
		delivered += row->state == STATE_DELIVERED;
		by_reason[row->reason]++;
		twice += row->counted > 1;
		if (row->state == STATE_DELIVERED)
			assert_true(row->counted == 1); /* the endpoint's 204 was believed, and once */
		if (row->reason == DEAD_REFUSED)
			assert_true(row->kind == POISON_400 || row->kind == POISON_403);
		culprits += row->kind == POISON_400 || row->kind == POISON_403;
		if (row->kind == PLAIN)
			assert_int_equal(row->state, STATE_DELIVERED); /* no good event dies */
	}
	print_message(
	        "%zu events: %zu delivered, %zu of %zu culprits refused, %zu expired; %llu requests, %llu stale\n",
	        w.n_rows, delivered, by_reason[DEAD_REFUSED], culprits, by_reason[DEAD_EXPIRED],
	        (unsigned long long)w.started, (unsigned long long)stale_answers);
	assert_true(twice == 0);
	assert_int_equal(by_reason[DEAD_REFUSED], culprits);
	assert_true(waits_seen > 0 && by_reason[DEAD_REFUSED] > 0 && stale_answers > 0);
	/* what hangs or breaks the endpoint is kept until it expires, alone */
	assert_int_equal(by_reason[DEAD_EXPIRED], w.n_rows - delivered - culprits);
}

enum { DAYS = SANITIZED ? 2 : 14 }; /* ten times slower */

/* faults: one in so many jobs of the outbox fails, and of the requests that are to be started. */
static void simulate(unsigned n_streams, unsigned max_requests, unsigned faults)
{
	uint64_t seed = env_or("SIMULATION_SEED", 20231114);
	unsigned days = (unsigned)env_or("SIMULATION_DAYS", DAYS);
	world_init(&w, n_streams);
	w.random ^= seed * UINT64_C(0x2545f4914f6cdd1d);
	w.conf.delivery.max_requests = max_requests;
	w.answer = answer;
	w.job_faults = w.post_faults = faults;
	memset(skies, 0, sizeof(skies));
	stale_answers = waits_seen = 0;
	print_message("simulation: %u days, %u streams, at most %u requests, seed %llu\n", days, n_streams,
	              max_requests, (unsigned long long)seed);
	world_start(&w);
	run_weeks(days);
	run_out();
	assert_true((w.faults > 0) == (faults > 0));
	check_rows();
	world_end(&w);
}

static void weeks_of_weather(void **state UNUSED)
{
	simulate(3, 64, 0);
}

static void weeks_of_weather_one_request_at_a_time(void **state UNUSED)
{
	simulate(2, 1, 0);
}

static void weeks_of_faults(void **state UNUSED)
{
	simulate(3, 16, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(weeks_of_weather),
	        cmocka_unit_test(weeks_of_weather_one_request_at_a_time),
	        cmocka_unit_test(weeks_of_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
