/* test_destination.c - up, backing off, probing: every step, and whose trouble a failure is */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "policy/destination.h"

static const struct backoff policy = {US_PER_S, 5 * US_PER_MIN};
static const int64_t refuse_after = US_PER_MIN;
static struct destination d;
static int64_t now;

/* One try of a batch. */
struct
try {
	struct attempt attempt;
	struct batch_past *past; /* NULL: of a batch that is new */
	unsigned others;         /* requests in flight beside it */
	bool more_to_send;
	unsigned events;
	size_t bytes;
	int64_t took_us;
	int64_t refuse_after_us;
	bool park;
	/* what came of it */
	struct destination_recent recent;
	enum outcome outcome;
	enum destination_change change;
};

static int setup(void **state UNUSED)
{
	destination_init(&d, 64);
	now = 1000 * US_PER_S;
	return 0;
}

static struct try answered(int status)
{
	return (struct try){.attempt = {.status = status, .retry_after_us = -1, .body_sent = true},
	                    .events = 25,
	                    .bytes = 1000,
	                    .refuse_after_us = refuse_after};
}

static struct try no_answer(enum transport transport)
{
	struct try t = answered(0);
	t.attempt.transport = transport;
	return t;
}

/* As delivery_request.c does it. */
static enum destination_change finish(uint64_t seq, struct try *t)
{
	struct batch_past new = {0}, *past = t->past ? t->past : &new;
	const struct request_facts facts = {.seq = seq,
	                                    .started_us = now - t->took_us,
	                                    .now_us = now,
	                                    .others_in_flight = t->others,
	                                    .more_to_send = t->more_to_send,
	                                    .events = t->events,
	                                    .bytes = t->bytes};
	t->recent = destination_recent(&d, past, &t->attempt, &facts, t->refuse_after_us);
	t->recent.park_ambiguous = t->park;
	t->outcome = outcome_decide(&t->attempt, &t->recent);
	if (t->recent.meaning != MEANS_DELIVERED && t->recent.meaning != MEANS_STALE) {
		struct batch_failure f = destination_failure(&d, past, &t->attempt, &t->recent, &facts);
		batch_past_add(past, &f);
	}
	struct request_end end = {.seq = seq,
	                          .started_us = facts.started_us,
	                          .now_us = now,
	                          .outcome = t->outcome,
	                          .recent = t->recent,
	                          .no_answer = t->attempt.status == 0,
	                          .bytes = t->bytes};
	return t->change = destination_settle(&d, &policy, &end);
}

static enum destination_change run(struct try t)
{
	return finish(destination_start(&d), &t);
}

static struct try ran(struct try t)
{
	finish(destination_start(&d), &t);
	return t;
}

static struct try beside(struct try t, unsigned others)
{
	t.others = others;
	return t;
}

static struct try lone(struct try t, struct batch_past *past)
{
	t.past = past;
	t.events = 1;
	return t;
}

static struct try asking(int status, int64_t wait_us)
{
	struct try t = answered(status);
	t.attempt.retry_after_us = wait_us;
	return t;
}

static void go_down(void)
{
	assert_int_equal(run(answered(500)), CHANGE_DOWN);
}

static void an_episode(void **state UNUSED)
{
	assert_int_equal(destination_slots(&d, 0, now), 4);
	assert_int_equal(destination_slots(&d, 4, now), 0);
	assert_int_equal(destination_slots(&d, 9, now), 0);
	go_down(); /* all that came in ten seconds failed */
	assert_int_equal(d.state, DESTINATION_BACKING_OFF);
	assert_int_equal(destination_wait_us(&d, now), US_PER_S / 2);
	assert_int_equal(destination_slots(&d, 0, now + US_PER_S / 2 - 1), 0);
	now += US_PER_S / 2;
	assert_int_equal(destination_wait_us(&d, now), 0);
	assert_int_equal(destination_slots(&d, 0, now), 1);
	uint64_t probe = destination_start(&d);
	assert_int_equal(d.state, DESTINATION_PROBING);
	assert_int_equal(destination_wait_us(&d, now), 0);
	assert_int_equal(destination_slots(&d, 1, now), 0); /* one */
	struct try failed = answered(500), passes = answered(204);
	assert_int_equal(finish(probe, &failed), CHANGE_LONGER);
	assert_int_equal(failed.outcome, OUTCOME_RETRY_DESTINATION);
	assert_int_equal(destination_wait_us(&d, now), US_PER_S); /* half of 2 s */
	now += US_PER_S;
	assert_int_equal(finish(destination_start(&d), &passes), CHANGE_UP);
	assert_int_equal(d.state, DESTINATION_UP);
	assert_int_equal(destination_slots(&d, 0, now), 1); /* begins with one again */
	now += US_PER_MIN;
	go_down();
	assert_int_equal(destination_wait_us(&d, now), US_PER_S / 2); /* and with the least wait */
}

static void a_failure_among_successes_is_the_batchs(void **state UNUSED)
{
	run(answered(204));
	for (int i = 0; i < 7; i++) {
		struct try t = ran(answered(502));
		assert_int_equal(t.change, CHANGE_NONE);
		assert_int_equal(t.outcome, OUTCOME_RETRY_BATCH);
	}
	run(answered(204));
	for (int i = 0; i < 7; i++)
		assert_int_equal(run(answered(502)), CHANGE_NONE);
	assert_int_equal(run(answered(502)), CHANGE_DOWN);
}

static void more_failures_are_needed_where_one_of_others_may_pass(void **state UNUSED)
{
	for (int others = 0; others < 2; others++) {
		struct try t = answered(502);
		setup(NULL);
		t.more_to_send = !others;
		t.others = (unsigned)others;
		run(answered(204));
		for (int i = 0; i < 23; i++)
			assert_int_equal(run(t), CHANGE_NONE);
		assert_int_equal(run(t), CHANGE_DOWN);
	}
}

static void a_full_window_is_as_large_as_the_window(void **state UNUSED)
{
	d.window.size = 30;
	run(answered(204));
	for (int i = 0; i < 29; i++)
		assert_int_equal(run(no_answer(TRANSPORT_RESET)), CHANGE_NONE);
	assert_int_equal(run(no_answer(TRANSPORT_RESET)), CHANGE_DOWN);
}

static void what_is_in_flight_may_still_disprove_it(void **state UNUSED)
{
	assert_int_equal(run(beside(answered(500), 3)), CHANGE_NONE);
	now += 9 * US_PER_S;
	assert_int_equal(run(beside(answered(500), 3)), CHANGE_NONE);
	now += US_PER_S;
	assert_int_equal(run(beside(answered(500), 3)), CHANGE_DOWN); /* not for longer than ten seconds */
}

/* One bad server of two fails all of the first four now and then. Waiting for those that hang would take too long. */
static void what_may_be_sent_may_still_disprove_it(void **state UNUSED)
{
	struct try t = answered(500);
	t.more_to_send = true;
	assert_int_equal(run(t), CHANGE_NONE);
	t.took_us = US_PER_S;
	assert_int_equal(run(t), CHANGE_DOWN);
	setup(NULL);
	assert_int_equal(run(beside(t, 1)), CHANGE_NONE);
	t = no_answer(TRANSPORT_CONNECT);
	t.more_to_send = true;
	assert_int_equal(run(t), CHANGE_DOWN);
}

static void a_success_lately_speaks_for_it(void **state UNUSED)
{
	run(answered(204));
	now += 9 * US_PER_S;
	assert_int_equal(run(answered(500)), CHANGE_NONE);
	now += US_PER_S;
	assert_int_equal(run(answered(500)), CHANGE_DOWN);
}

static void where_no_connection_can_be_made_it_is_down_at_once(void **state UNUSED)
{
	struct try slow = no_answer(TRANSPORT_CONNECT);
	run(answered(204));
	now += US_PER_MS;
	assert_int_equal(run(beside(no_answer(TRANSPORT_CONNECT), 1)), CHANGE_NONE);
	slow.took_us = US_PER_S; /* another request succeeded meanwhile */
	assert_int_equal(run(slow), CHANGE_NONE);
	assert_int_equal(run(no_answer(TRANSPORT_CONNECT)), CHANGE_DOWN);
	setup(NULL);
	assert_int_equal(run(beside(no_answer(TRANSPORT_TLS), 3)), CHANGE_DOWN); /* nothing passed for a while */
	setup(NULL);
	d.window.size = 64;
	run(answered(204));
	now += US_PER_MS;
	for (int i = 0; i < 7; i++)
		assert_int_equal(run(beside(no_answer(TRANSPORT_DNS), 60)), CHANGE_NONE);
	assert_int_equal(run(beside(no_answer(TRANSPORT_DNS), 60)), CHANGE_DOWN);
}

/* It began before an answer came, though after the request that got it: others pass, and it goes by the window. */
static void no_connection_beside_an_answer_is_no_outage(void **state UNUSED)
{
	uint64_t first = destination_start(&d), second = destination_start(&d);
	struct try taken = answered(204), failed = no_answer(TRANSPORT_CONNECT);

	now += 10 * US_PER_MS;
	finish(first, &taken);
	failed.took_us = 10 * US_PER_MS;
	assert_int_equal(finish(second, &failed), CHANGE_NONE);
}

/* 403 and 407 to CONNECT are for the operator, as an endpoint's own 403 is; 502 is an outage like any other. */
static void a_proxy_that_denies_the_way_is_wrong(void **state UNUSED)
{
	static const struct {
		int status;
		bool wrong;
	} cases[] = {{403, true}, {407, true}, {502, false}, {0, false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct try t = no_answer(TRANSPORT_CONNECT);

		setup(NULL);
		t.attempt.proxy_status = cases[i].status;
		t.attempt.body_sent = false;
		t = ran(t);
		assert_int_equal(t.change, CHANGE_DOWN);
		assert_int_equal(t.outcome, cases[i].wrong ? OUTCOME_DESTINATION_WRONG : OUTCOME_RETRY_DESTINATION);
		assert_int_equal(d.wrong, cases[i].wrong);
	}
}

static void failures_in_flight_count_as_one(void **state UNUSED)
{
	uint64_t seq[4];
	struct batch_past past = {0};
	struct try wrong = answered(403), broken = answered(500), poisoned = lone(answered(500), &past),
	           passes = answered(204);
	for (int i = 0; i < 4; i++)
		seq[i] = destination_start(&d);
	assert_int_equal(finish(seq[2], &broken), CHANGE_DOWN);
	assert_int_equal(finish(seq[0], &wrong), CHANGE_NONE);
	assert_int_equal(wrong.outcome, OUTCOME_DESTINATION_WRONG);
	assert_int_equal(d.failures, 1);
	assert_false(d.wrong);
	now += US_PER_S;
	uint64_t probe = destination_start(&d);
	assert_int_equal(finish(seq[1], &poisoned), CHANGE_NONE); /* not the probe's end */
	assert_int_equal(past.failures, 0);
	assert_int_equal(d.state, DESTINATION_PROBING);
	assert_int_equal(finish(probe, &passes), CHANGE_UP);
	broken = answered(500);
	past.failures = 2;
	broken.past = &past;
	assert_int_equal(finish(seq[3], &broken), CHANGE_NONE); /* of an episode that is over */
	assert_int_equal(broken.outcome, OUTCOME_RETRY_DESTINATION);
	assert_int_equal(d.state, DESTINATION_UP);
	assert_int_equal(d.run.failures, 0);
}

static void retry_after_is_the_least_wait(void **state UNUSED)
{
	uint64_t seq[4];
	struct try t[] = {asking(429, 60 * US_PER_S), asking(503, 90 * US_PER_S), asking(503, 5 * US_PER_S),
	                  answered(503)};
	static const int64_t waits[] = {60 * US_PER_S, 90 * US_PER_S, 90 * US_PER_S, 90 * US_PER_S};
	run(answered(204)); /* whatever passes: it said so itself */
	for (int i = 0; i < 4; i++)
		seq[i] = destination_start(&d);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(finish(seq[i], &t[i]), i == 0 ? CHANGE_DOWN : CHANGE_NONE);
		assert_int_equal(t[i].outcome, OUTCOME_RETRY_DESTINATION);
		assert_int_equal(destination_wait_us(&d, now), waits[i]); /* the longest of them */
	}
	now += 90 * US_PER_S;
	assert_int_equal(run(asking(503, 1)), CHANGE_LONGER); /* no shorter than the backoff */
	assert_int_equal(destination_wait_us(&d, now), US_PER_S);
}

static void retry_after_for_one_batch_while_others_pass_is_its_own(void **state UNUSED)
{
	struct batch_past past = {0};
	struct try t = lone(asking(503, 60 * US_PER_S), &past);
	finish(destination_start(&d), &t);
	assert_int_equal(t.change, CHANGE_DOWN);
	now += US_PER_MIN;
	run(answered(204));
	assert_int_equal(run(t), CHANGE_NONE);
	past.own = 3; /* convicted */
	now += US_PER_MIN;
	assert_int_equal(run(t), CHANGE_NONE);
}

static void a_stale_connection_is_no_failure(void **state UNUSED)
{
	struct try stale = no_answer(TRANSPORT_STALE), parked = stale;
	parked.park = true;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(run(stale), CHANGE_NONE);
		assert_int_equal(run(parked), CHANGE_NONE);
	}
	assert_int_equal(d.state, DESTINATION_UP);
	assert_false(destination_wants_fresh(&d));
	go_down();
	now += US_PER_S;
	assert_int_equal(run(stale), CHANGE_NONE);
	assert_int_equal(d.state, DESTINATION_PROBING);
	assert_int_equal(destination_slots(&d, 0, now), 1); /* the same probe again, at once */
	assert_int_equal(run(parked), CHANGE_NONE);
	assert_int_equal(destination_slots(&d, 0, now), 1); /* another one */
	assert_int_equal(run(answered(204)), CHANGE_UP);
}

static void what_went_to_another_endpoint_says_nothing(void **state UNUSED)
{
	uint64_t old = destination_start(&d), older = destination_start(&d);
	struct try wrong = answered(403), passes = answered(204);
	go_down();
	destination_renew(&d, 64);
	assert_int_equal(destination_slots(&d, 0, now), 4);
	assert_int_equal(finish(old, &wrong), CHANGE_NONE);
	assert_int_equal(finish(older, &passes), CHANGE_NONE);
	assert_int_equal(d.state, DESTINATION_UP);
	assert_true(d.latest_answer_us == INT64_MIN);
}

static void what_the_probe_says(void **state UNUSED)
{
	static const struct {
		int before, status;
		unsigned events;
		enum destination_change change;
		bool wrong;
	} cases[] = {
	        {500, 204, 25, CHANGE_UP, false},    {500, 500, 25, CHANGE_LONGER, false},
	        {500, 403, 25, CHANGE_LONGER, true}, {500, 400, 25, CHANGE_UP, false}, /* it is there again */
	        {500, 413, 25, CHANGE_UP, false},    {500, 400, 1, CHANGE_LONGER, true},
	        {403, 400, 25, CHANGE_LONGER, true}, {403, 413, 25, CHANGE_LONGER, true},
	        {403, 413, 1, CHANGE_LONGER, true},  {403, 500, 25, CHANGE_LONGER, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setup(NULL);
		run(answered(cases[i].before));
		assert_int_equal(d.wrong, cases[i].before == 403);
		now += US_PER_S;
		struct try t = answered(cases[i].status);
		t.events = cases[i].events;
		assert_int_equal(run(t), cases[i].change);
		assert_int_equal(d.wrong, cases[i].wrong);
	}
}

static void a_proxy_that_denies_is_wrong_and_its_word_is_obeyed(void **state UNUSED)
{
	struct try t = no_answer(TRANSPORT_CONNECT);
	t.attempt.proxy_status = 407;
	t.attempt.retry_after_us = US_PER_MIN;
	run(answered(204));
	assert_int_equal(run(t), CHANGE_DOWN);
	assert_true(d.wrong);
	assert_int_equal(destination_wait_us(&d, now), US_PER_MIN);
}

static void parts_of_a_cut_batch_tell_more_than_the_whole(void **state UNUSED)
{
	struct try refused = answered(400), one = answered(400), large = answered(413);
	one.events = 1;
	for (int i = 0; i < 3; i++) {
		assert_false(destination_wants_parts(&d));   /* one or two may be poison */
		assert_int_equal(run(refused), CHANGE_NONE); /* alone in ten seconds, and cut */
	}
	assert_true(destination_wants_parts(&d));
	run(answered(204));
	assert_false(destination_wants_parts(&d));
	now += US_PER_MIN;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(run(refused), CHANGE_NONE);
		assert_int_equal(run(large), CHANGE_NONE);
	}
	assert_int_equal(run(one), CHANGE_DOWN);
	assert_true(d.wrong && destination_wants_parts(&d));
	now += US_PER_MIN;
	assert_int_equal(run(one), CHANGE_LONGER);
	assert_false(destination_wants_parts(&d)); /* every second probe */
	now += US_PER_MIN;
	assert_int_equal(run(one), CHANGE_LONGER);
	assert_true(destination_wants_parts(&d));
	now += US_PER_MIN;
	run(answered(204));
	assert_false(destination_wants_parts(&d));
	now += US_PER_MIN;
	go_down();
	for (int i = 0; i < 4; i++) { /* broken or hanging: likewise, after one that is new */
		assert_int_equal(destination_wants_parts(&d), i % 2);
		now += US_PER_MIN;
		run(answered(500));
	}
}

static void took(struct batch_taken taken)
{
	destination_took(&d, &taken, now);
}

/* What it took after several tries makes the waits of others short; what it refuses is judged as before. */
static void that_it_fails_by_chance_is_known_for_ten_minutes(void **state UNUSED)
{
	took((struct batch_taken){.tries = 1, .part = true});
	assert_false(destination_fails_by_chance(&d, now));
	took((struct batch_taken){.tries = 2});
	assert_true(destination_fails_by_chance(&d, now + 10 * US_PER_MIN - 1));
	assert_false(destination_fails_by_chance(&d, now + 10 * US_PER_MIN));
	assert_false(ran(answered(500)).recent.takes_refused);
	took((struct batch_taken){.refused = true});
	assert_true(destination_fails_by_chance(&d, now + 10 * US_PER_MIN - 1));
	assert_true(ran(answered(500)).recent.takes_refused);
}

/* It took a part of what it had failed: what it fails next is cut at once, and says nothing about the destination. */
static void where_culprits_are_known_batches_are_cut_at_once(void **state UNUSED)
{
	static const struct {
		struct try t;
		int64_t took_us;
		unsigned events;
		bool known;
	} cases[] = {
	        {{.attempt = {.status = 500}}, 0, 25, true},
	        {{.attempt = {.transport = TRANSPORT_RESET}}, 0, 25, true},
	        {{.attempt = {.status = 500}}, 0, 1, false},
	        {{.attempt = {.status = 500}}, US_PER_S, 25, false}, /* hung: all may */
	        {{.attempt = {.status = 429}}, 0, 25, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct try t = cases[i].t;
		setup(NULL);
		t.attempt.retry_after_us = -1;
		t.events = cases[i].events;
		t.took_us = cases[i].took_us;
		run(answered(204));
		now += 2 * US_PER_S;
		took((struct batch_taken){.part = true});
		t = ran(t);
		assert_int_equal(t.recent.has_culprit, cases[i].known);
		assert_int_equal(t.outcome, cases[i].known ? OUTCOME_BISECT : OUTCOME_RETRY_BATCH);
		assert_int_equal(t.recent.counts, !cases[i].known);
		assert_int_equal(t.recent.congests, !cases[i].known);
	}
	struct try t = cases[0].t;
	t.events = 25;
	t.attempt.retry_after_us = -1;
	took((struct batch_taken){.part = true});
	for (int i = 0; i < 3; i++)
		assert_int_equal(ran(t).outcome, OUTCOME_BISECT);
	assert_true(destination_wants_parts(&d) && d.state == DESTINATION_UP);
	took((struct batch_taken){.tries = 2}); /* or it fails what it takes later */
	assert_false(ran(t).recent.has_culprit);
	now += 10 * US_PER_MIN;
	assert_false(ran(t).recent.has_culprit);
	took((struct batch_taken){.part = true, .innocent = true}); /* all parts: there was none */
	assert_true(destination_fails_by_chance(&d, now));
	now += 10 * US_PER_MIN;
	assert_false(ran(t).recent.has_culprit);
}

/* It hung while a request that started later was taken: its own trouble from the first time on. */
static void what_was_overtaken_says_nothing_about_the_destination(void **state UNUSED)
{
	struct batch_past past = {0};
	struct try t = no_answer(TRANSPORT_TIMEOUT), passes = answered(204);
	t.past = &past;
	t.took_us = 30 * US_PER_S;
	passes.took_us = 31 * US_PER_S; /* started before it */
	run(passes);
	assert_true(ran(t).recent.counts && !ran(t).recent.others_succeed);
	past = (struct batch_past){0};
	passes.took_us = 30 * US_PER_S;
	run(passes);
	t = ran(t);
	assert_false(t.recent.counts || t.recent.congests || t.recent.nothing_passes);
	assert_int_equal(t.outcome, OUTCOME_RETRY_BATCH);
	assert_true(t.recent.others_succeed && batch_past_is_convicted(&past));
	t = answered(503); /* quickly: chance, or too much */
	t.took_us = 100 * US_PER_MS;
	passes.took_us = 0;
	run(passes);
	t = ran(t);
	assert_true(t.recent.counts && t.recent.congests && !t.recent.others_succeed);
}

/* The pause is everyone's, also when what asks for it took long. */
static void what_was_overtaken_may_still_ask_for_a_pause(void **state UNUSED)
{
	struct try t = asking(503, US_PER_MIN);
	t.took_us = 2 * US_PER_S;
	run(answered(204));
	assert_int_equal(run(t), CHANGE_DOWN);
	assert_int_equal(destination_wait_us(&d, now), US_PER_MIN);
}

static void a_pause_that_was_asked_for_leaves_a_ceiling(void **state UNUSED)
{
	for (int i = 0; i < 5 + 6 + 7; i++)
		run(answered(204));
	unsigned size = d.window.size;
	assert_int_equal(run(asking(429, US_PER_S)), CHANGE_DOWN);
	now += US_PER_S;
	for (int i = 0; i < 100; i++)
		run(answered(204));
	unsigned lower = d.window.size;
	assert_int_equal(lower, size - size / 3);
	now += 30 * US_PER_S;
	for (int i = 0; i < 100; i++)
		run(answered(204));
	assert_true(d.window.size > lower);
}

static void own_failures_do_not_shrink_the_window(void **state UNUSED)
{
	struct batch_past past = {0};
	d.window.size = 40;
	for (int i = 0; i < 40; i++) { /* half of all answers, but of one batch while others pass */
		run(answered(204));
		now += US_PER_MS;
		run(lone(answered(500), &past));
	}
	assert_in_range(d.window.size, 40, 41);
	for (int i = 0; i < 40; i++) { /* nor do refusals, which fewer requests would not mend */
		run(answered(204));
		run(answered(403));
		now += US_PER_MS;
	}
	assert_in_range(d.window.size, 41, 42);
}

/* One of so many fails, n times. */
static void one_fails_of(int every, struct try t, int n)
{
	struct try passes = answered(204);
	passes.took_us = 2 * US_PER_S; /* started before it */
	for (int i = 0; i < n * every; i++) {
		run((i + 1) % every ? passes : t);
		now += US_PER_MS;
	}
}

/* One that says so, or is slow, may be helped by fewer requests again and again; one bad server of two is not. */
static void the_window_shrinks_until_it_is_in_vain(void **state UNUSED)
{
	struct try hangs = no_answer(TRANSPORT_TIMEOUT), slow = answered(502);
	const struct {
		struct try t;
		bool shrinks_on;
	} cases[] = {{answered(500), false}, {no_answer(TRANSPORT_RESET), false},
	             {answered(429), true},  {answered(503), true},
	             {hangs, true},          {slow, true}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct try t = cases[i].t;
		t.took_us = i < 4 ? 0 : US_PER_S;
		setup(NULL);
		d.window.size = 40;
		one_fails_of(2, t, 21);
		assert_in_range(d.window.size, 20, 29);
		one_fails_of(2, t, 1000);
		assert_int_equal(d.window.size < 20, cases[i].shrinks_on);
		assert_int_equal(d.window.size >= 40, !cases[i].shrinks_on);
		assert_true(d.state == DESTINATION_UP);
	}
	setup(NULL);
	run(answered(204));
	struct try denied = answered(403);
	denied.took_us = US_PER_S;
	assert_false(ran(denied).recent.overload);
}

static void what_was_in_vain_is_tried_again_when_less_fails(void **state UNUSED)
{
	d.window.size = 40;
	one_fails_of(2, answered(500), 100);
	assert_true(d.window.in_vain);
	one_fails_of(3, answered(500), 100);
	assert_true(d.window.in_vain);
	one_fails_of(20, answered(500), 20);
	assert_false(d.window.in_vain);
	d.window.size = 40;
	one_fails_of(2, answered(500), 40);
	assert_true(d.window.size < 30);
}

static void a_cut_that_helped_is_not_in_vain(void **state UNUSED)
{
	d.window.size = 40;
	one_fails_of(2, answered(500), 20);
	assert_true(d.window.cut && d.window.size < 30);
	one_fails_of(4, answered(500), 7);
	assert_false(d.window.in_vain);
	assert_true(d.window.size < 24);
}

/* A poisoned event that is left alone in the queue must not keep the destination from what comes later. */
static void what_is_convicted_takes_nothing_down(void **state UNUSED)
{
	struct batch_past past = {0};
	for (int i = 0; i < 4; i++) {
		run(lone(answered(500), &past));
		now += US_PER_MS;
		run(answered(204));
	}
	assert_true(batch_past_is_convicted(&past));
	for (int i = 0; i < 100; i++) {
		now += US_PER_MIN;
		assert_int_equal(run(lone(answered(i % 2 ? 500 : 400), &past)), CHANGE_NONE);
	}
	assert_int_equal(run(lone(no_answer(TRANSPORT_CONNECT), &past)), CHANGE_DOWN); /* that is not its fault */
}

static void kept_connections_are_left_after_failures(void **state UNUSED)
{
	run(answered(204));
	for (int i = 0; i < 3; i++) {
		assert_false(destination_wants_fresh(&d));
		run(no_answer(TRANSPORT_RESET));
	}
	assert_int_equal(d.state, DESTINATION_UP);
	assert_true(destination_wants_fresh(&d));
	run(answered(500));
	assert_false(destination_wants_fresh(&d));
	now += US_PER_MIN;
	go_down();
	assert_false(destination_wants_fresh(&d));
	now += US_PER_S;
	run(answered(500)); /* perhaps of the one bad server behind a kept connection */
	assert_true(destination_wants_fresh(&d));
	now += US_PER_S;
	run(answered(204));
	assert_false(destination_wants_fresh(&d));
}

static void a_flush_ends_the_waiting(void **state UNUSED)
{
	destination_flush(&d, now);
	assert_int_equal(d.state, DESTINATION_UP);
	run(asking(503, US_PER_H));
	assert_int_equal(destination_slots(&d, 0, now), 0);
	destination_flush(&d, now);
	assert_int_equal(destination_slots(&d, 0, now), 1);
	(void)destination_start(&d);
	assert_int_equal(destination_slots(&d, 1, now), 0);
}

static void only_later_requests_prove_that_others_pass(void **state UNUSED)
{
	struct batch_past past = {0};
	struct try passes = answered(204), t = lone(answered(500), &past);
	run(t);
	assert_false(ran(t).recent.others_succeed);
	now += US_PER_S;
	passes.took_us = US_PER_S + 1; /* was in flight when it failed */
	run(passes);
	assert_false(ran(t).recent.others_succeed);
	now += US_PER_S;
	passes.took_us = US_PER_S;
	run(passes);
	assert_true(ran(t).recent.others_succeed);
}

/* A try every so many seconds, with another request's success before each; how many until it is dead. */
static unsigned tries_until_dead(int status, int64_t every_us, int64_t refuse_after_us)
{
	struct batch_past past = {0};
	for (unsigned n = 1; n <= 100; n++) {
		struct try t = lone(answered(status), &past);
		t.refuse_after_us = refuse_after_us;
		t.bytes = 2000;
		run(answered(204));
		now += US_PER_MS;
		finish(destination_start(&d), &t);
		if (t.outcome == OUTCOME_DEAD_REFUSED || t.outcome == OUTCOME_DEAD_TOO_LARGE)
			return n;
		assert_int_equal(t.outcome, OUTCOME_RETRY_BATCH);
		now += every_us;
	}
	return 0;
}

static void a_lone_event_is_dead_after_repetition(void **state UNUSED)
{
	static const int statuses[] = {400, 422, 413};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		assert_int_equal(tries_until_dead(statuses[i], US_PER_S, US_PER_MIN), 61);
		assert_int_equal(tries_until_dead(statuses[i], US_PER_H, US_PER_MIN), 3);
		assert_int_equal(tries_until_dead(statuses[i], US_PER_S, 0), 1);
	}
	assert_int_equal(tries_until_dead(403, US_PER_H, US_PER_MIN), 10);
	assert_int_equal(tries_until_dead(404, 20 * US_PER_S, US_PER_MIN), 31);
	assert_int_equal(tries_until_dead(403, US_PER_S, 0), 10);
	assert_int_equal(tries_until_dead(401, US_PER_H, US_PER_MIN), 0);
	assert_int_equal(tries_until_dead(500, US_PER_H, US_PER_MIN), 0);
}

static void refusals_do_not_count_while_nothing_else_is_taken(void **state UNUSED)
{
	struct batch_past past = {0};
	struct try t = lone(answered(400), &past);
	for (int i = 0; i < 100; i++) {
		now += US_PER_MIN;
		assert_int_equal(ran(t).outcome, OUTCOME_DESTINATION_WRONG);
	}
	assert_int_equal(past.refusals.n, 1);
	t.refuse_after_us = 0;
	now += US_PER_MIN;
	assert_int_equal(ran(t).outcome, OUTCOME_DESTINATION_WRONG);
}

static void at_once_means_while_others_pass(void **state UNUSED)
{
	struct batch_past past = {0}, other = {0};
	struct try t = lone(answered(400), &past), several = answered(400);
	t.refuse_after_us = 0;
	run(answered(204));
	now += US_PER_S;
	run(several); /* since then nothing was taken */
	assert_int_equal(ran(t).outcome, OUTCOME_RETRY_BATCH);
	now += US_PER_S;
	run(answered(204));
	now += US_PER_S;
	assert_int_equal(ran(t).outcome, OUTCOME_DEAD_REFUSED);
	t.past = &other;
	assert_int_equal(ran(t).outcome, OUTCOME_RETRY_BATCH); /* the second in a row */
	now += US_PER_MIN;
	assert_int_equal(ran(t).outcome, OUTCOME_DESTINATION_WRONG);
	now += US_PER_MIN;
	run(answered(204));
	now += 9 * US_PER_S;
	assert_int_equal(ran(t).outcome, OUTCOME_DEAD_REFUSED);
}

/* In bursts everything is refused, and between them everything is taken. */
static void refusals_in_bursts_bury_nothing(void **state UNUSED)
{
	struct batch_past past = {0};
	for (int i = 0; i < 20; i++) {
		run(answered(204));
		now += US_PER_S;
		assert_int_equal(ran(lone(answered(400), &past)).outcome, OUTCOME_RETRY_BATCH);
		now += US_PER_S;
		while (d.state == DESTINATION_UP)
			run(answered(403));
		now += US_PER_MIN;
		run(answered(204));
	}
	assert_int_equal(past.refusals.n, 1);
}

static void nothing_dies_while_refusals_are_taken_back(void **state UNUSED)
{
	struct batch_past past = {0};
	struct try t = lone(answered(400), &past);
	unsigned n = 0;
	for (; n < 100 && t.outcome != OUTCOME_DEAD_REFUSED; n++) {
		if (n < 20)
			took((struct batch_taken){.refused = true});
		assert_int_equal(t.recent.takes_refused, n > 0 && n < 30);
		run(answered(204));
		now += US_PER_MIN;
		finish(destination_start(&d), &t);
	}
	assert_in_range(n, 29, 31); /* ten minutes after the last of them */
	for (int doubt = 0; doubt < 2; doubt++) {
		past = (struct batch_past){0};
		took((struct batch_taken){.refused = true});
		for (n = 0; n < 12; n++) {
			run(answered(204));
			now += US_PER_S;
			t = lone(answered(403), &past);
			t.refuse_after_us = doubt; /* 0: the operator wants none */
			finish(destination_start(&d), &t);
		}
		assert_int_equal(t.outcome, doubt ? OUTCOME_RETRY_BATCH : OUTCOME_DEAD_REFUSED);
	}
}

static void the_largest_body_is_remembered_for_two_minutes(void **state UNUSED)
{
	struct try large = answered(204), small = answered(204), t = answered(413);
	large.bytes = 5000;
	t.bytes = 5000;
	assert_false(ran(t).recent.takes_its_size);
	run(large);
	assert_true(ran(t).recent.takes_its_size);
	now += 2 * US_PER_MIN - 1;
	run(small);
	assert_true(ran(t).recent.takes_its_size);
	run(large); /* from now on */
	now += 2 * US_PER_MIN - 1;
	assert_true(ran(t).recent.takes_its_size);
	now += 1;
	assert_false(ran(t).recent.takes_its_size);
	run(small);
	assert_false(ran(t).recent.takes_its_size);
	t.bytes = 1000;
	assert_true(ran(t).recent.takes_its_size);
}

/* Paused is what control says of a stream; a destination never is. Whoever sets it gets no slot. */
static void paused_sends_nothing(void **state UNUSED)
{
	uint64_t seq = destination_start(&d);
	struct try passes = answered(204);

	d.state = DESTINATION_PAUSED;
	assert_int_equal(destination_slots(&d, 0, now), 0);
	assert_int_equal(finish(seq, &passes), CHANGE_NONE);
}

static void states_have_names(void **state UNUSED)
{
	assert_string_equal(destination_state_name(DESTINATION_UP), "up");
	assert_string_equal(destination_state_name(DESTINATION_BACKING_OFF), "backing-off");
	assert_string_equal(destination_state_name(DESTINATION_PROBING), "probing");
	assert_string_equal(destination_state_name(DESTINATION_PAUSED), "paused");
	assert_string_equal(destination_state_name((enum destination_state)9), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(an_episode, setup),
	        cmocka_unit_test_setup(a_failure_among_successes_is_the_batchs, setup),
	        cmocka_unit_test_setup(more_failures_are_needed_where_one_of_others_may_pass, setup),
	        cmocka_unit_test_setup(a_full_window_is_as_large_as_the_window, setup),
	        cmocka_unit_test_setup(what_is_in_flight_may_still_disprove_it, setup),
	        cmocka_unit_test_setup(what_may_be_sent_may_still_disprove_it, setup),
	        cmocka_unit_test_setup(a_success_lately_speaks_for_it, setup),
	        cmocka_unit_test_setup(where_no_connection_can_be_made_it_is_down_at_once, setup),
	        cmocka_unit_test_setup(no_connection_beside_an_answer_is_no_outage, setup),
	        cmocka_unit_test_setup(a_proxy_that_denies_the_way_is_wrong, setup),
	        cmocka_unit_test_setup(failures_in_flight_count_as_one, setup),
	        cmocka_unit_test_setup(retry_after_is_the_least_wait, setup),
	        cmocka_unit_test_setup(retry_after_for_one_batch_while_others_pass_is_its_own, setup),
	        cmocka_unit_test_setup(a_stale_connection_is_no_failure, setup),
	        cmocka_unit_test_setup(what_went_to_another_endpoint_says_nothing, setup),
	        cmocka_unit_test_setup(what_the_probe_says, setup),
	        cmocka_unit_test_setup(a_proxy_that_denies_is_wrong_and_its_word_is_obeyed, setup),
	        cmocka_unit_test_setup(parts_of_a_cut_batch_tell_more_than_the_whole, setup),
	        cmocka_unit_test_setup(that_it_fails_by_chance_is_known_for_ten_minutes, setup),
	        cmocka_unit_test_setup(where_culprits_are_known_batches_are_cut_at_once, setup),
	        cmocka_unit_test_setup(what_was_overtaken_says_nothing_about_the_destination, setup),
	        cmocka_unit_test_setup(what_was_overtaken_may_still_ask_for_a_pause, setup),
	        cmocka_unit_test_setup(a_pause_that_was_asked_for_leaves_a_ceiling, setup),
	        cmocka_unit_test_setup(own_failures_do_not_shrink_the_window, setup),
	        cmocka_unit_test_setup(the_window_shrinks_until_it_is_in_vain, setup),
	        cmocka_unit_test_setup(what_was_in_vain_is_tried_again_when_less_fails, setup),
	        cmocka_unit_test_setup(a_cut_that_helped_is_not_in_vain, setup),
	        cmocka_unit_test_setup(what_is_convicted_takes_nothing_down, setup),
	        cmocka_unit_test_setup(kept_connections_are_left_after_failures, setup),
	        cmocka_unit_test_setup(a_flush_ends_the_waiting, setup),
	        cmocka_unit_test_setup(only_later_requests_prove_that_others_pass, setup),
	        cmocka_unit_test_setup(a_lone_event_is_dead_after_repetition, setup),
	        cmocka_unit_test_setup(refusals_do_not_count_while_nothing_else_is_taken, setup),
	        cmocka_unit_test_setup(at_once_means_while_others_pass, setup),
	        cmocka_unit_test_setup(refusals_in_bursts_bury_nothing, setup),
	        cmocka_unit_test_setup(nothing_dies_while_refusals_are_taken_back, setup),
	        cmocka_unit_test_setup(the_largest_body_is_remembered_for_two_minutes, setup),
	        cmocka_unit_test_setup(paused_sends_nothing, setup),
	        cmocka_unit_test_setup(states_have_names, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
