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
static struct destination d;
static int64_t now;

static int setup(void **state UNUSED)
{
	destination_init(&d, 64);
	now = 1000 * US_PER_S;
	return 0;
}

static enum destination_change end_at(uint64_t seq, enum outcome outcome, int64_t started_us, int64_t retry_after_us)
{
	struct request_end end = {.seq = seq,
	                          .started_us = started_us,
	                          .now_us = now,
	                          .outcome = outcome,
	                          .retry_after_us = retry_after_us,
	                          .no_connection = outcome == OUTCOME_RETRY_DESTINATION};
	return destination_settle(&d, &policy, &end);
}

static enum destination_change end(uint64_t seq, enum outcome outcome)
{
	return end_at(seq, outcome, now, -1);
}

static void an_episode(void **state UNUSED)
{
	assert_int_equal(destination_slots(&d, 0, now), 4);
	assert_int_equal(destination_slots(&d, 4, now), 0);
	assert_int_equal(destination_slots(&d, 9, now), 0);
	assert_int_equal(end(destination_start(&d), OUTCOME_RETRY_DESTINATION), CHANGE_DOWN);
	assert_int_equal(d.state, DESTINATION_BACKING_OFF);
	assert_int_equal(destination_wait_us(&d, now), US_PER_S / 2);
	assert_int_equal(destination_slots(&d, 0, now + US_PER_S / 2 - 1), 0);
	now += US_PER_S / 2;
	assert_int_equal(destination_wait_us(&d, now), 0);
	assert_int_equal(destination_slots(&d, 0, now), 1);
	uint64_t probe = destination_start(&d);
	assert_int_equal(d.state, DESTINATION_PROBING);
	assert_int_equal(destination_slots(&d, 1, now), 0); /* one */
	assert_int_equal(end(probe, OUTCOME_RETRY_DESTINATION), CHANGE_LONGER);
	assert_int_equal(destination_wait_us(&d, now), US_PER_S); /* half of 2 s */
	now += US_PER_S;
	assert_int_equal(end(destination_start(&d), OUTCOME_DELIVERED), CHANGE_UP);
	assert_int_equal(d.state, DESTINATION_UP);
	assert_int_equal(destination_slots(&d, 0, now), 1); /* begins with one again */
	assert_int_equal(end(destination_start(&d), OUTCOME_RETRY_DESTINATION), CHANGE_DOWN);
	assert_int_equal(destination_wait_us(&d, now), US_PER_S / 2); /* and with the least wait */
}

static void failures_in_flight_count_as_one(void **state UNUSED)
{
	uint64_t seq[4];
	for (int i = 0; i < 4; i++)
		seq[i] = destination_start(&d);
	assert_int_equal(end(seq[2], OUTCOME_RETRY_DESTINATION), CHANGE_DOWN);
	assert_int_equal(end(seq[0], OUTCOME_DESTINATION_WRONG), CHANGE_NONE);
	assert_int_equal(d.failures, 1);
	now += US_PER_S;
	uint64_t probe = destination_start(&d);
	assert_int_equal(end(seq[1], OUTCOME_RETRY_DESTINATION), CHANGE_NONE); /* not the probe's end */
	assert_int_equal(d.state, DESTINATION_PROBING);
	assert_int_equal(end(probe, OUTCOME_DELIVERED), CHANGE_UP);
	assert_int_equal(end(seq[3], OUTCOME_RETRY_DESTINATION), CHANGE_NONE); /* of an episode that is over */
	assert_int_equal(d.state, DESTINATION_UP);
}

static void retry_after_is_the_least_wait(void **state UNUSED)
{
	uint64_t a = destination_start(&d), b = destination_start(&d), c = destination_start(&d),
	         e = destination_start(&d);
	end_at(a, OUTCOME_RETRY_DESTINATION, now, 60 * US_PER_S);
	assert_int_equal(destination_wait_us(&d, now), 60 * US_PER_S);
	end_at(b, OUTCOME_RETRY_DESTINATION, now, 90 * US_PER_S); /* was in flight: the later word counts */
	assert_int_equal(destination_wait_us(&d, now), 90 * US_PER_S);
	end_at(c, OUTCOME_RETRY_DESTINATION, now, 5 * US_PER_S); /* the longer of the two */
	assert_int_equal(destination_wait_us(&d, now), 90 * US_PER_S);
	end_at(e, OUTCOME_RETRY_DESTINATION, now, -1); /* no word at all */
	assert_int_equal(destination_wait_us(&d, now), 90 * US_PER_S);
	now += 90 * US_PER_S;
	end_at(destination_start(&d), OUTCOME_RETRY_DESTINATION, now, 0); /* no shorter than the backoff */
	assert_int_equal(destination_wait_us(&d, now), US_PER_S);
}

static void a_stale_connection_is_no_failure(void **state UNUSED)
{
	assert_int_equal(end(destination_start(&d), OUTCOME_RETRY_NOW), CHANGE_NONE);
	assert_int_equal(d.state, DESTINATION_UP);
	end(destination_start(&d), OUTCOME_RETRY_DESTINATION);
	now += US_PER_S;
	assert_int_equal(end(destination_start(&d), OUTCOME_RETRY_NOW), CHANGE_NONE);
	assert_int_equal(d.state, DESTINATION_PROBING);
	assert_int_equal(destination_slots(&d, 0, now), 1); /* the same probe again, at once */
	assert_int_equal(end(destination_start(&d), OUTCOME_DELIVERED), CHANGE_UP);
}

static void a_stale_connection_is_no_failure_when_its_events_are_parked(void **state UNUSED)
{
	struct request_end parked = {.outcome = OUTCOME_DEAD_AMBIGUOUS, .stale = true, .retry_after_us = -1};
	parked.started_us = parked.now_us = now;
	parked.seq = destination_start(&d);
	assert_int_equal(destination_settle(&d, &policy, &parked), CHANGE_NONE);
	assert_int_equal(d.state, DESTINATION_UP);
	end(destination_start(&d), OUTCOME_RETRY_DESTINATION);
	now += US_PER_S;
	parked.seq = destination_start(&d);
	assert_int_equal(destination_settle(&d, &policy, &parked), CHANGE_NONE);
	assert_int_equal(destination_slots(&d, 0, now), 1); /* another probe, at once */
}

static void what_went_to_another_endpoint_says_nothing(void **state UNUSED)
{
	uint64_t old = destination_start(&d), older = destination_start(&d);
	end(destination_start(&d), OUTCOME_RETRY_DESTINATION);
	destination_renew(&d, 64);
	assert_int_equal(destination_slots(&d, 0, now), 4);
	assert_int_equal(end(old, OUTCOME_DESTINATION_WRONG), CHANGE_NONE);
	assert_int_equal(d.state, DESTINATION_UP);
	/* refused at the new endpoint; what gets through at the old one after that proves nothing */
	struct batch_past past = {0};
	struct destination_recent r = destination_recent(&d, &past, now);
	batch_past_failed(&past, &r, 400, now);
	now += US_PER_S;
	end(older, OUTCOME_DELIVERED);
	assert_false(destination_recent(&d, &past, now).success_since_last_refusal);
	end(destination_start(&d), OUTCOME_DELIVERED);
	assert_true(destination_recent(&d, &past, now).success_since_last_refusal);
}

static void what_the_probe_says(void **state UNUSED)
{
	static const struct {
		enum outcome outcome;
		bool others;
		enum destination_change change;
	} cases[] = {
	        {OUTCOME_SPLIT, false, CHANGE_UP},
	        {OUTCOME_DEAD_TOO_LARGE, false, CHANGE_UP},
	        {OUTCOME_DEAD_REFUSED, false, CHANGE_UP},
	        {OUTCOME_BISECT, true, CHANGE_UP},
	        {OUTCOME_BISECT, false, CHANGE_LONGER},
	        {OUTCOME_RETRY_BATCH, true, CHANGE_LONGER},
	        {OUTCOME_DEAD_AMBIGUOUS, true, CHANGE_LONGER},
	        {OUTCOME_DESTINATION_WRONG, false, CHANGE_LONGER},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setup(NULL);
		end(destination_start(&d), OUTCOME_RETRY_DESTINATION);
		now += US_PER_S;
		struct request_end e = {.seq = destination_start(&d),
		                        .started_us = now,
		                        .now_us = now,
		                        .outcome = cases[i].outcome,
		                        .others_succeed = cases[i].others,
		                        .retry_after_us = -1};
		assert_int_equal(destination_settle(&d, &policy, &e), cases[i].change);
	}
}

static void own_trouble_halves_and_stays_up(void **state UNUSED)
{
	for (int i = 0; i < 4; i++)
		end(destination_start(&d), OUTCOME_DELIVERED);
	assert_int_equal(d.window.size, 5);
	assert_int_equal(end(destination_start(&d), OUTCOME_RETRY_BATCH), CHANGE_NONE);
	assert_int_equal(d.window.size, 2);
	assert_int_equal(d.state, DESTINATION_UP);
	struct request_end parked = {.seq = destination_start(&d),
	                             .now_us = now,
	                             .outcome = OUTCOME_DEAD_AMBIGUOUS,
	                             .others_succeed = true,
	                             .retry_after_us = -1};
	assert_int_equal(destination_settle(&d, &policy, &parked), CHANGE_NONE);
	parked.others_succeed = false;
	parked.seq = destination_start(&d);
	assert_int_equal(destination_settle(&d, &policy, &parked), CHANGE_DOWN);
}

static void kept_connections_are_left_after_three_failures(void **state UNUSED)
{
	for (int i = 0; i < 3; i++) {
		assert_false(destination_wants_fresh(&d));
		end(destination_start(&d), OUTCOME_RETRY_DESTINATION);
		now += US_PER_H;
	}
	assert_true(destination_wants_fresh(&d));
	end(destination_start(&d), OUTCOME_DELIVERED);
	assert_false(destination_wants_fresh(&d));
}

static void a_flush_ends_the_waiting(void **state UNUSED)
{
	destination_flush(&d, now);
	assert_int_equal(d.state, DESTINATION_UP);
	end_at(destination_start(&d), OUTCOME_RETRY_DESTINATION, now, US_PER_H);
	assert_int_equal(destination_slots(&d, 0, now), 0);
	destination_flush(&d, now);
	assert_int_equal(destination_slots(&d, 0, now), 1);
	(void)destination_start(&d);
	assert_int_equal(destination_slots(&d, 1, now), 0);
}

static void only_later_requests_prove_that_others_pass(void **state UNUSED)
{
	struct batch_past past = {0};
	int64_t t0 = now;
	uint64_t seq = destination_start(&d);
	end_at(seq, OUTCOME_DELIVERED, t0 + 10, -1);
	assert_false(destination_recent(&d, &past, t0 + 10).others_succeed); /* did not start after it */
	assert_true(destination_recent(&d, &past, t0 + 9).others_succeed);
	now = t0 + 100;
	struct destination_recent r = destination_recent(&d, &past, t0 + 50);
	assert_false(r.others_succeed || r.failed_before);
	batch_past_failed(&past, &r, 500, now);
	end_at(destination_start(&d), OUTCOME_DELIVERED, t0 + 99, -1); /* was in flight when it failed */
	r = destination_recent(&d, &past, t0 + 150);
	assert_true(r.failed_before && !r.others_succeed);
	end_at(destination_start(&d), OUTCOME_DELIVERED, t0 + 100, -1);
	assert_true(destination_recent(&d, &past, t0 + 150).others_succeed);
}

static void denials_count_while_the_destination_stays_up(void **state UNUSED)
{
	struct batch_past past = {0};
	for (unsigned n = 1; n <= OUTCOME_OWN_DENIALS_MAX; n++) {
		struct destination_recent r = destination_recent(&d, &past, now);
		assert_int_equal(r.own_denials, n);
		batch_past_failed(&past, &r, 403, now);
		now += US_PER_S;
		end(destination_start(&d), OUTCOME_DELIVERED);
		now += US_PER_S;
	}
	past = (struct batch_past){0};
	for (unsigned n = 1; n <= 10; n++) { /* nobody else passes: never more than this one */
		struct destination_recent r = destination_recent(&d, &past, now += US_PER_S);
		assert_int_equal(r.own_denials, 1);
		batch_past_failed(&past, &r, 403, now);
	}
	past = (struct batch_past){0};
	for (unsigned n = 1; n <= 10; n++) { /* each time it took the destination down */
		struct destination_recent r = destination_recent(&d, &past, now);
		assert_int_equal(r.own_denials, 1);
		batch_past_failed(&past, &r, 403, now);
		end(destination_start(&d), OUTCOME_DESTINATION_WRONG);
		now += US_PER_H;
		end(destination_start(&d), OUTCOME_DELIVERED);
	}
}

static void refusals_are_confirmed_by_what_passes_after(void **state UNUSED)
{
	struct batch_past past = {0};
	struct destination_recent r = destination_recent(&d, &past, now);
	assert_false(r.success_since_first_refusal || r.success_since_last_refusal);
	batch_past_failed(&past, &r, 400, now);
	end(destination_start(&d), OUTCOME_DESTINATION_WRONG); /* it took the destination down itself */
	now += US_PER_S;
	r = destination_recent(&d, &past, now);
	assert_false(r.success_since_first_refusal);
	end(destination_start(&d), OUTCOME_DELIVERED);
	r = destination_recent(&d, &past, now);
	assert_true(r.success_since_first_refusal && r.success_since_last_refusal);
	now += US_PER_S;
	end(destination_start(&d), OUTCOME_RETRY_DESTINATION); /* other trouble since: not proved any more */
	r = destination_recent(&d, &past, now);
	assert_true(r.success_since_first_refusal && !r.success_since_last_refusal);
	batch_past_failed(&past, &r, 500, now);
	assert_false(destination_recent(&d, &past, now).success_since_last_refusal);
}

/* Paused is what control says of a stream; a destination never is. Whoever sets it gets no slot. */
static void paused_sends_nothing(void **state UNUSED)
{
	uint64_t seq = destination_start(&d);

	d.state = DESTINATION_PAUSED;
	assert_int_equal(destination_slots(&d, 0, now), 0);
	assert_int_equal(end(seq, OUTCOME_DELIVERED), CHANGE_NONE);
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
	        cmocka_unit_test_setup(failures_in_flight_count_as_one, setup),
	        cmocka_unit_test_setup(retry_after_is_the_least_wait, setup),
	        cmocka_unit_test_setup(a_stale_connection_is_no_failure, setup),
	        cmocka_unit_test_setup(a_stale_connection_is_no_failure_when_its_events_are_parked, setup),
	        cmocka_unit_test_setup(what_went_to_another_endpoint_says_nothing, setup),
	        cmocka_unit_test_setup(what_the_probe_says, setup),
	        cmocka_unit_test_setup(own_trouble_halves_and_stays_up, setup),
	        cmocka_unit_test_setup(kept_connections_are_left_after_three_failures, setup),
	        cmocka_unit_test_setup(a_flush_ends_the_waiting, setup),
	        cmocka_unit_test_setup(only_later_requests_prove_that_others_pass, setup),
	        cmocka_unit_test_setup(denials_count_while_the_destination_stays_up, setup),
	        cmocka_unit_test_setup(refusals_are_confirmed_by_what_passes_after, setup),
	        cmocka_unit_test_setup(paused_sends_nothing, setup),
	        cmocka_unit_test_setup(states_have_names, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
