/* test_field.c - runs of a backlog against endpoints as they are in the field, in simulated time
 *
 * Failures by chance, one bad server of several, rate limits, poison, slow starts. The real delivery runs against a
 * pretended outbox, endpoint and clock (delivery_fixture.h); each run is compared with the same one of which nothing
 * fails. In every run the books balance: each event leaves the queue once, and no good one dies. FIELD_SEED changes a
 * run. */
#include "delivery_fixture.h"

enum { EVENTS_A_CLIENT = 25, ANSWER_US = 50 * 1000 };

/* What an endpoint does. */
struct field {
	const char *name;
	unsigned failing_percent_tenths; /* of all requests, by chance … */
	int status;                      /* … are answered so; 0: closed without an answer */
	int64_t retry_after_us;          /* with that; -1: none */
	unsigned servers, bad;           /* behind one address: so many answer `status` … */
	int64_t bad_until_us;            /* … until then, since the beginning */
	unsigned rate;                   /* requests a second that are taken, as counted by every 100 ms; 0: any */
	unsigned poison_every;           /* one client of so many is always answered `poison`; 0: none … */
	bool poison_one;                 /* … because of one of its events */
	int poison;                      /* a status, or POISON_HANGUP, POISON_TIMEOUT */
	int64_t poison_until_us;         /* 0: for good */
	bool one_client;                 /* all events are one client's, and may meet in any request */
	size_t pad, most_bytes;          /* of each event; more in a body than that is answered 413; 0: any */
	int64_t starts_after_us;         /* nobody listens before */
	unsigned max_requests;           /* 0: 64 */
	unsigned seed;                   /* another run of the same */
};
enum { POISON_HANGUP = -1, POISON_TIMEOUT = -2 };

struct result {
	int64_t took_us; /* until the last good event was taken */
	double rate;     /* good events a second while nine tenths of them were taken */
	unsigned episodes;
	size_t dead;
	unsigned most_attempts; /* of a good event */
	size_t taken_at[20];    /* good events, so many seconds after the beginning */
};

static struct world w;
static struct field field;
static int64_t began_us, slice_us;
static unsigned slice_taken;

static bool is_poison(uint64_t id)
{
	if (!field.poison_every || (id - 1) / EVENTS_A_CLIENT % field.poison_every > 0)
		return false;
	return !field.poison_one || (id - 1) % EVENTS_A_CLIENT == 12;
}

static bool has_poison(const struct http_request *r, int64_t since_us)
{
	if (field.poison_until_us && since_us >= field.poison_until_us)
		return false;
	for (unsigned i = 0; i < r->n; i++)
		if (is_poison(r->ids[i]))
			return true;
	return false;
}

static void fail_with(struct http_request *r, int status, int64_t retry_after_us)
{
	if (status > 0) {
		r->attempt.status = status;
		r->attempt.retry_after_us = retry_after_us;
		return;
	}
	r->attempt = (struct attempt){.transport = status == POISON_TIMEOUT ? TRANSPORT_TIMEOUT : TRANSPORT_RESET,
	                              .retry_after_us = -1,
	                              .body_sent = true};
	if (status == POISON_TIMEOUT)
		r->done_us = r->started_us + 30 * US_PER_S;
}

static bool over_the_rate(const struct world *world_)
{
	int64_t slice = world_->now.mono_us / (100 * US_PER_MS);
	if (slice != slice_us)
		slice_taken = 0;
	slice_us = slice;
	return field.rate && slice_taken++ >= field.rate / 10;
}

static void answer(struct world *world_, struct http_request *r)
{
	int64_t since_us = world_->now.mono_us - began_us;
	r->done_us = r->started_us + ANSWER_US;
	if (since_us < field.starts_after_us) {
		r->attempt = (struct attempt){.transport = TRANSPORT_CONNECT, .retry_after_us = -1};
		r->done_us = r->started_us + US_PER_MS;
	} else if (field.most_bytes && r->bytes > field.most_bytes) {
		fail_with(r, 413, -1);
	} else if (has_poison(r, since_us)) {
		fail_with(r, field.poison, -1);
	} else if (world_random(world_) % 1000 < field.failing_percent_tenths || over_the_rate(world_) ||
	           (field.servers && since_us < field.bad_until_us &&
	            world_random(world_) % field.servers < field.bad)) {
		fail_with(r, field.status, field.retry_after_us);
	}
}

static size_t good_taken(struct result *result)
{
	size_t taken = 0;
	result->dead = 0;
	for (size_t i = 0; i < w.n_rows; i++) {
		bool good = !is_poison(i + 1);
		taken += w.rows[i].state == STATE_DELIVERED && good;
		result->dead += w.rows[i].state == STATE_DEAD;
		if (good && w.rows[i].attempts > result->most_attempts)
			result->most_attempts = w.rows[i].attempts;
		assert_true(w.rows[i].counted <= 1 && w.rows[i].settled <= 1);
		assert_true(w.rows[i].state != STATE_DEAD || is_poison(i + 1));
	}
	return taken;
}

static struct result run(const struct field *f, unsigned clients)
{
	struct result result = {0};
	size_t good = 0, taken = 0;
	int64_t down_since_us = 0;
	const char *seed = getenv("FIELD_SEED");
	field = *f;
	world_init(&w, 1);
	w.random ^= (f->seed * 1000 + (seed ? strtoull(seed, NULL, 10) : 1)) * UINT64_C(0x2545f4914f6cdd1d);
	w.answer = answer;
	if (f->max_requests)
		w.conf.delivery.max_requests = f->max_requests;
	for (unsigned i = 0; i < clients * EVENTS_A_CLIENT; i++) {
		world_stored(&w, 1, f->one_client ? 0 : i / EVENTS_A_CLIENT, 0, f->pad);
		good += !is_poison(i + 1);
	}
	world_start(&w);
	began_us = w.now.mono_us;
	const struct destination *d = &w.d->streams[0]->destination;
	while (taken < good) {
		int64_t next_us = w.now.mono_us + 50 * US_PER_MS, since_us;
		while (w.now.mono_us < next_us) {
			world_step(&w, next_us);
			result.episodes += d->state != DESTINATION_UP && d->down_since_us != down_since_us;
			down_since_us = d->down_since_us;
		}
		since_us = w.now.mono_us - began_us;
		assert_true(since_us < US_PER_H);
		taken = good_taken(&result);
		if (since_us / US_PER_S < (int64_t)ARRAY_LEN(result.taken_at))
			result.taken_at[since_us / US_PER_S] = taken;
		if (result.rate == 0 && taken >= good - good / 10)
			result.rate = (double)taken * 1e6 / (double)since_us;
	}
	result.took_us = w.now.mono_us - began_us;
	print_message("%-34s %7.2f s, %6.0f events/s, %u episodes, %llu requests, window %u\n", f->name,
	              (double)result.took_us / 1e6, result.rate, result.episodes, (unsigned long long)w.started,
	              d->window.size);
	world_end(&w);
	return result;
}

static const struct field fine = {.name = "nothing fails"};

enum { CLIENTS = 1500 }; /* and so many requests, when nothing fails */

static void failures_by_chance(void **state UNUSED)
{
	static const struct {
		struct field field;
		double times; /* as long as without, at most */
		unsigned episodes;
	} cases[] = {
	        {{.name = "0.1 % of 502", .failing_percent_tenths = 1, .status = 502}, 1.5, 0},
	        {{.name = "0.5 % of 502", .failing_percent_tenths = 5, .status = 502}, 1.5, 0},
	        {{.name = "1 % of 502", .failing_percent_tenths = 10, .status = 502}, 1.5, 0},
	        {{.name = "1 % of hang-ups", .failing_percent_tenths = 10, .status = POISON_HANGUP}, 1.5, 0},
	        {{.name = "5 % of 502", .failing_percent_tenths = 50, .status = 502}, 3, 0},
	        {{.name = "5 % of 403", .failing_percent_tenths = 50, .status = 403}, 3, 0},
	        {{.name = "20 % of 502", .failing_percent_tenths = 200, .status = 502}, 2.5, 0},
	        {{.name = "20 % of 503", .failing_percent_tenths = 200, .status = 503}, 6, 0},
	};
	struct result without = run(&fine, CLIENTS);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct field f = cases[i].field;
		f.retry_after_us = -1;
		struct result r = run(&f, CLIENTS);
		assert_true((double)r.took_us <= cases[i].times * (double)without.took_us);
		assert_true(r.episodes <= cases[i].episodes);
		assert_int_equal(r.dead, 0);
	}
}

static void one_bad_server_of_several(void **state UNUSED)
{
	static const int statuses[] = {400, 403, 404, 413, 421};
	struct result without = run(&fine, 4 * CLIENTS);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		char name[64];
		struct field f = {.name = name, .status = statuses[i], .retry_after_us = -1, .servers = 2, .bad = 1};
		f.bad_until_us = INT64_MAX;
		snprintf(name, sizeof(name), "one server of two says %d", statuses[i]);
		struct result r = run(&f, 4 * CLIENTS);
		assert_int_equal(r.dead, 0);
		assert_true(r.rate >= 0.4 * without.rate);
		assert_true(0.4 * (double)r.took_us <= (double)without.took_us);
		f.servers = 5;
		snprintf(name, sizeof(name), "one server of five says %d", statuses[i]);
		r = run(&f, CLIENTS);
		assert_int_equal(r.dead, 0);
	}
}

static void one_broken_server_of_several(void **state UNUSED)
{
	static const int kinds[] = {500, 502, POISON_HANGUP};
	struct result without = run(&fine, 4 * CLIENTS);
	for (size_t i = 0; i < ARRAY_LEN(kinds) * 2; i++) {
		char name[64];
		struct field f = {.name = name, .status = kinds[i / 2], .retry_after_us = -1, .bad = 1};
		f.servers = i % 2 ? 5 : 2;
		f.bad_until_us = INT64_MAX;
		snprintf(name, sizeof(name), "one server of %u says %d", f.servers, kinds[i / 2]);
		struct result r = run(&f, 4 * CLIENTS);
		assert_int_equal(r.dead, 0);
		assert_int_equal(r.episodes, 0);
		assert_true(r.rate >= 0.4 * without.rate);
		assert_true(0.4 * (double)r.took_us <= (double)without.took_us);
	}
}

/* The first answers decide nothing while there is more to try: whatever chance sends to the bad server. Of what is
 * left at the end, eight failures in a row mean down, which chance gives now and then. */
static void one_bad_server_takes_nothing_down_at_the_start(void **state UNUSED)
{
	static const int kinds[] = {500, 403, POISON_HANGUP};
	unsigned episodes = 0;
	char name[64];
	for (unsigned i = 0; i < 300; i++) {
		struct field f = {.name = name, .status = kinds[i % 3], .retry_after_us = -1, .servers = 2, .bad = 1};
		f.bad_until_us = INT64_MAX;
		f.seed = i;
		snprintf(name, sizeof(name), "one of two says %d, seed %u", f.status, i);
		episodes += run(&f, 40).episodes;
	}
	assert_in_range(episodes, 0, 3);
}

static void one_bad_server_for_ten_seconds(void **state UNUSED)
{
	static const int statuses[] = {400, 403, 404, 413, 421, 502};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		char name[64];
		struct field f = {.name = name, .status = statuses[i], .retry_after_us = -1, .servers = 2, .bad = 1};
		f.max_requests = 16; /* so that enough is left for the time after */
		f.bad_until_us = 10 * US_PER_S;
		snprintf(name, sizeof(name), "one of two says %d for 10 s", statuses[i]);
		struct result r = run(&f, 4 * CLIENTS);
		assert_int_equal(r.dead, 0);
		unsigned full = f.max_requests * EVENTS_A_CLIENT * (unsigned)(US_PER_S / ANSWER_US);
		assert_in_range(r.taken_at[13] - r.taken_at[12], full * 85 / 100, full);
	}
}

static void rate_limits(void **state UNUSED)
{
	static const struct field cases[] = {
	        {.name = "100/s, then 400", .rate = 100, .status = 400, .retry_after_us = -1},
	        {.name = "100/s, then 403", .rate = 100, .status = 403, .retry_after_us = -1},
	        {.name = "100/s, then 429", .rate = 100, .status = 429, .retry_after_us = -1},
	        {.name = "100/s, then 503", .rate = 100, .status = 503, .retry_after_us = -1},
	        {.name = "100/s, then 403, retry after 1", .rate = 100, .status = 403, .retry_after_us = US_PER_S},
	        {.name = "100/s, then 429, retry after 1", .rate = 100, .status = 429, .retry_after_us = US_PER_S},
	        {.name = "100/s, then 503, retry after 1", .rate = 100, .status = 503, .retry_after_us = US_PER_S},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct result r = run(&cases[i], CLIENTS);
		assert_int_equal(r.dead, 0);
		assert_in_range(r.took_us, CLIENTS / 100 * US_PER_S, CLIENTS / 100 * 3 / 2 * US_PER_S);
	}
}

/* What is cut after three failures by chance has no culprit in it. Who believed so would cut everything at once. */
static void a_rate_limit_is_no_poison(void **state UNUSED)
{
	char name[64];
	for (unsigned i = 0; i < 24; i++) {
		struct field f = {.name = name, .rate = 100, .status = i % 2 ? 503 : 500, .retry_after_us = -1};
		f.seed = i;
		snprintf(name, sizeof(name), "100/s, then %d, seed %u", f.status, i);
		struct result r = run(&f, CLIENTS / 2);
		assert_int_equal(r.dead, 0);
		assert_true(r.took_us <= CLIENTS / 2 / 100 * (f.status == 503 ? 3 : 5) * US_PER_S / 2);
	}
}

static void poisoned_clients(void **state UNUSED)
{
	static const int kinds[] = {500, 503, 403, POISON_HANGUP, 400};
	struct result without = run(&fine, CLIENTS);
	for (size_t i = 0; i < ARRAY_LEN(kinds) * 2; i++) {
		char name[64];
		struct field f = {.name = name, .poison_every = 10, .poison = kinds[i / 2], .poison_one = i % 2};
		snprintf(name, sizeof(name), "10 %% of clients %s %d", i % 2 ? "with one" : "all", kinds[i / 2]);
		struct result r = run(&f, CLIENTS);
		assert_true(r.rate >= 0.7 * without.rate);
		assert_true(r.most_attempts <= 3 + 5); /* 25, 13, 7, 4, 2 */
		assert_int_equal(r.dead, 0);
	}
}

/* One that is never answered, of a hundred clients: it holds a place for 30 s each time. */
static void poison_that_hangs(void **state UNUSED)
{
	struct field f = {
	        .name = "1 % of clients with one that hangs", .poison_every = 100, .poison = POISON_TIMEOUT};
	struct result without = run(&fine, CLIENTS);
	f.poison_one = true;
	struct result r = run(&f, CLIENTS);
	assert_true(r.rate >= 0.7 * without.rate);
	assert_true(r.most_attempts <= 3 + 5);
	assert_true(r.took_us <= without.took_us + (3 + 5) * 30 * US_PER_S);
	assert_int_equal(r.dead, 0);
}

/* Nothing else is in the queue: each try is a probe at first. */
static void only_poison_that_hangs(void **state UNUSED)
{
	struct field f = {
	        .name = "20 clients, each with one that hangs", .poison_every = 1, .poison = POISON_TIMEOUT};
	f.poison_one = true;
	struct result r = run(&f, 20);
	assert_true(r.most_attempts <= 3 + 5);
	assert_true(r.took_us <= 30 * US_PER_MIN);
	assert_int_equal(r.dead, 0);
}

/* All events may meet in any request, and nothing but poisoned batches tells of the endpoint. */
static void poison_in_every_batch_of_one_client(void **state UNUSED)
{
	static const int kinds[] = {400, 500, 503, POISON_HANGUP};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		char name[64];
		struct field f = {.name = name, .poison_every = 1, .poison = kinds[i], .poison_one = true};
		f.one_client = true;
		snprintf(name, sizeof(name), "one client, one of 25 says %d", kinds[i]);
		struct result r = run(&f, 100);
		assert_true(r.most_attempts <= 3 + 5);
		assert_true(r.took_us <= 5 * US_PER_MIN);
		assert_int_equal(r.dead, 0);
	}
}

static void one_batch_with_poison_is_all_there_is(void **state UNUSED)
{
	static const int kinds[] = {400, 500, 503, POISON_HANGUP, POISON_TIMEOUT};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		char name[64];
		struct field f = {.name = name, .poison_every = 1, .poison = kinds[i], .poison_one = true};
		snprintf(name, sizeof(name), "one batch, one of it says %d", kinds[i]);
		struct result r = run(&f, 1);
		assert_true(r.most_attempts <= 3 + 5);
		assert_true(r.took_us <= (kinds[i] == POISON_TIMEOUT ? 10 : 2) * US_PER_MIN);
		assert_int_equal(r.dead, 0);
	}
}

/* A proxy's limit on the size of bodies. */
static void bodies_beyond_a_size_are_refused(void **state UNUSED)
{
	struct field f = {.name = "5 KB an event", .pad = 5000};
	struct result without = run(&f, CLIENTS);
	f.name = "… and 60 KB a body at most";
	f.most_bytes = 60000;
	struct result r = run(&f, CLIENTS);
	assert_int_equal(r.dead, 0);
	assert_true(r.took_us <= 8 * without.took_us); /* 25, 13 and 12, and 7 and 6 of those */
}

static void pauses_are_asked_for_among_successes(void **state UNUSED)
{
	struct field f = {.name = "1 % of 503, retry after 1", .failing_percent_tenths = 10, .status = 503};
	f.retry_after_us = US_PER_S;
	struct result r = run(&f, CLIENTS);
	assert_int_equal(r.dead, 0);
	assert_true(r.took_us <= 2 * US_PER_MIN); /* 15 of them */
}

static void a_slow_start(void **state UNUSED)
{
	struct result without = run(&fine, CLIENTS);
	struct field f = {.name = "nobody listens for 30 s", .starts_after_us = 30 * US_PER_S};
	struct result r = run(&f, CLIENTS);
	assert_int_equal(r.episodes, 1);
	assert_true(r.took_us <= 30 * US_PER_S + 32 * US_PER_S + 2 * without.took_us);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(failures_by_chance),
	        cmocka_unit_test(one_bad_server_of_several),
	        cmocka_unit_test(one_broken_server_of_several),
	        cmocka_unit_test(one_bad_server_takes_nothing_down_at_the_start),
	        cmocka_unit_test(one_bad_server_for_ten_seconds),
	        cmocka_unit_test(rate_limits),
	        cmocka_unit_test(a_rate_limit_is_no_poison),
	        cmocka_unit_test(poisoned_clients),
	        cmocka_unit_test(poison_that_hangs),
	        cmocka_unit_test(only_poison_that_hangs),
	        cmocka_unit_test(poison_in_every_batch_of_one_client),
	        cmocka_unit_test(one_batch_with_poison_is_all_there_is),
	        cmocka_unit_test(bodies_beyond_a_size_are_refused),
	        cmocka_unit_test(pauses_are_asked_for_among_successes),
	        cmocka_unit_test(a_slow_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
