/* test_batch_past.c - whose fault a batch's failures are, and how often it was refused alone */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "policy/batch_past.h"

static struct batch_failure failure(enum meaning meaning, unsigned events)
{
	return (struct batch_failure){.meaning = meaning,
	                              .events = events,
	                              .others_succeed = true,
	                              .confirmed_us = INT64_MIN,
	                              .now_us = 100 * US_PER_S};
}

static void what_may_be_its_own_fault(void **state UNUSED)
{
	static const struct {
		enum meaning meaning;
		bool may, also_when_down;
	} cases[] = {
	        {MEANS_DELIVERED, false, false}, {MEANS_STALE, false, false},   {MEANS_NO_CONNECTION, false, false},
	        {MEANS_BUSY, false, false},      {MEANS_NO_ANSWER, true, true}, {MEANS_BROKEN, true, true},
	        {MEANS_TOO_LARGE, true, true},   {MEANS_REFUSED, true, true},   {MEANS_DENIED, true, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct batch_past past = {0}, down = {0}, late = {0};
		struct batch_failure f = failure(cases[i].meaning, 25);
		batch_past_add(&past, &f);
		assert_int_equal(past.failures, cases[i].may);
		f.nothing_passes = true;
		batch_past_add(&down, &f);
		assert_int_equal(down.failures, cases[i].also_when_down);
		f.late = true;
		batch_past_add(&late, &f);
		assert_int_equal(late.failures, 0);
		assert_true(late.failed);
	}
}

static void it_is_convicted_by_what_succeeds_between_its_failures(void **state UNUSED)
{
	struct batch_past past = {0};
	struct batch_failure f = failure(MEANS_BROKEN, 1), unproved = f;
	unproved.others_succeed = false; /* the first has no failure before it */
	for (unsigned i = 0; i < 3; i++) {
		batch_past_add(&past, i == 0 ? &unproved : &f);
		assert_int_equal(past.own, i);
		assert_int_equal(batch_past_is_suspect(&past), i >= 2);
		assert_false(batch_past_is_convicted(&past));
		batch_past_add(&past, &unproved);
		assert_int_equal(past.own, i);
	}
	for (unsigned i = 0; i < 5; i++) {
		batch_past_add(&past, &f);
		assert_true(batch_past_is_convicted(&past));
	}
	assert_int_equal(past.own, 3);
	assert_int_equal(past.failures, 3);
	assert_int_equal(past.tries, 11);
}

static void a_split_is_no_sign_of_guilt(void **state UNUSED)
{
	struct batch_past past = {0};
	struct batch_failure f = failure(MEANS_TOO_LARGE, 25);
	for (unsigned i = 0; i < 5; i++) {
		batch_past_add(&past, &f);
		batch_past_cut(&past, false, false);
	}
	assert_false(batch_past_is_suspect(&past));
	assert_int_equal(past.failures, 0);
	f.events = 1;
	batch_past_add(&past, &f);
	assert_int_equal(past.own, 1);
}

static void what_hangs_or_was_cut_is_a_suspect(void **state UNUSED)
{
	struct batch_past hangs = {0}, cut = {0};
	struct batch_failure f = failure(MEANS_NO_ANSWER, 25);
	f.slow = true;
	f.others_succeed = false;
	batch_past_add(&hangs, &f);
	assert_true(batch_past_is_suspect(&hangs));
	assert_false(batch_past_is_convicted(&hangs));
	f.others_succeed = true; /* since then, or meanwhile */
	batch_past_add(&hangs, &f);
	assert_true(batch_past_is_convicted(&hangs));
	f = failure(MEANS_REFUSED, 25);
	f.blames_events = true;
	batch_past_add(&cut, &f);
	assert_true(cut.accused);
	assert_false(batch_past_is_suspect(&cut));
	batch_past_cut(&cut, true, true);
	assert_int_equal(cut.failures, 0);
	batch_past_cut(&cut, true, false);
	assert_true(batch_past_is_suspect(&cut));
	assert_false(cut.accused); /* what becomes of a part says nothing about the whole */
	assert_int_equal(cut.failures, 2);
	assert_int_equal(cut.tries, 0);
	assert_int_equal(cut.refusals.n, 0); /* it was not alone */
	assert_true(cut.refused);
}

static void only_refusals_count_that_others_success_follows(void **state UNUSED)
{
	struct lone_refusals r = {0}, before = {0};
	int64_t t = 100 * US_PER_S;
	r = lone_refusals_add(&r, INT64_MIN, t);
	assert_int_equal(r.n, 1);
	r = lone_refusals_add(&r, t - 1, t + US_PER_S); /* nothing succeeded since: the first begins anew */
	assert_int_equal(r.n, 1);
	assert_true(r.first_us == t + US_PER_S && r.last_us == r.first_us);
	r = lone_refusals_add(&r, t + US_PER_S, t + 2 * US_PER_S);
	assert_int_equal(r.n, 2);
	before = r;
	r = lone_refusals_add(&r, t + US_PER_S, t + 61 * US_PER_S);
	assert_int_equal(r.n, 2);
	assert_true(r.first_us == t + US_PER_S && r.last_us == t + 61 * US_PER_S);
	assert_false(lone_refusals_enough(&before, &r, 2, 0)); /* the one before does not count */
	before = r;
	r = lone_refusals_add(&r, t + 62 * US_PER_S, t + 63 * US_PER_S);
	assert_false(lone_refusals_enough(&before, &r, 4, US_PER_MIN));
	assert_false(lone_refusals_enough(&before, &r, 3, 2 * US_PER_MIN));
	assert_true(lone_refusals_enough(&before, &r, 3, US_PER_MIN));
}

static void refusals_and_denials_are_counted_apart(void **state UNUSED)
{
	struct batch_past past = {0};
	struct batch_failure f = failure(MEANS_REFUSED, 1);
	f.blames_events = true;
	batch_past_add(&past, &f);
	assert_int_equal(past.refusals.n, 1);
	assert_true(past.first_refused_us == f.now_us);
	f.meaning = MEANS_DENIED;
	f.confirmed_us = f.now_us;
	f.now_us += US_PER_S;
	batch_past_add(&past, &f);
	assert_int_equal(past.refusals.n, 1);
	assert_int_equal(past.denials.n, 1);
	assert_true(past.first_refused_us == f.now_us - US_PER_S);
	f = failure(MEANS_BUSY, 1);
	batch_past_add(&past, &f);
	f.meaning = MEANS_NO_CONNECTION;
	batch_past_add(&past, &f);
	assert_int_equal(past.refusals.n + past.denials.n, 2);
	f.meaning = MEANS_BROKEN; /* whatever fails otherwise is not what the endpoint always refuses */
	batch_past_add(&past, &f);
	assert_int_equal(past.refusals.n + past.denials.n, 0);
	past.denials.n = 1;
	f.meaning = MEANS_NO_ANSWER;
	batch_past_add(&past, &f);
	assert_int_equal(past.denials.n, 0);
}

static void a_dead_kept_connection_is_one_failure_of_three(void **state UNUSED)
{
	struct batch_past past = {0};
	for (unsigned i = 1; i <= 5; i++) {
		batch_past_add_stale(&past);
		assert_int_equal(past.failures, i < 3 ? i : 3);
	}
	assert_false(past.failed || batch_past_is_suspect(&past));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_may_be_its_own_fault),
	        cmocka_unit_test(it_is_convicted_by_what_succeeds_between_its_failures),
	        cmocka_unit_test(a_split_is_no_sign_of_guilt),
	        cmocka_unit_test(what_hangs_or_was_cut_is_a_suspect),
	        cmocka_unit_test(only_refusals_count_that_others_success_follows),
	        cmocka_unit_test(a_dead_kept_connection_is_one_failure_of_three),
	        cmocka_unit_test(refusals_and_denials_are_counted_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
