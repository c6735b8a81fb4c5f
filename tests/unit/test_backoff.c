/* test_backoff.c - waits double from the least to the most, half of each by chance; windows grow by one and shrink */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "policy/backoff.h"
#include "policy/window.h"

static const struct backoff policy = {US_PER_S, 5 * US_PER_MIN};

static void it_doubles_up_to_the_most(void **state UNUSED)
{
	int64_t expect = US_PER_S;
	for (unsigned n = 1; n <= 100; n++) {
		assert_int_equal(backoff_wait_us(&policy, n, 0), expect / 2);
		assert_in_range(backoff_wait_us(&policy, n, 0.9999999), expect - expect / 1000, expect - 1);
		expect = expect * 2 > policy.max_us ? policy.max_us : expect * 2;
	}
	assert_int_equal(backoff_wait_us(&policy, 4294967295u, 0.5), policy.max_us / 4 * 3);
}

static void odd_limits_hold(void **state UNUSED)
{
	const struct backoff fixed = {US_PER_S, US_PER_S}, upside_down = {10 * US_PER_S, US_PER_S};
	const struct backoff huge = {INT64_MAX / 2, INT64_MAX / 2 + 1}, one = {1, 3};
	assert_int_equal(backoff_wait_us(&fixed, 1, 0), US_PER_S / 2);
	assert_int_equal(backoff_wait_us(&fixed, 9, 0), US_PER_S / 2);
	assert_int_equal(backoff_wait_us(&upside_down, 1, 0), US_PER_S / 2);
	assert_true(backoff_wait_us(&huge, 50, 0) > 0);
	assert_int_equal(backoff_wait_us(&one, 1, 0), 0);
	assert_int_equal(backoff_wait_us(&one, 3, 0), 1);
	assert_int_equal(backoff_wait_us(&policy, 0, 0), US_PER_S / 2); /* counted as the first */
}

static void a_batchs_own_wait_is_short_for_three_tries(void **state UNUSED)
{
	assert_int_equal(backoff_own_wait_us(&policy, 0, false, 0), US_PER_S / 8);
	for (unsigned tries = 1; tries <= 3; tries++)
		assert_int_equal(backoff_own_wait_us(&policy, tries, false, 0), US_PER_S / 8);
	assert_int_equal(backoff_own_wait_us(&policy, 4, false, 0), US_PER_S / 4);
	assert_int_equal(backoff_own_wait_us(&policy, 5, false, 0), US_PER_S / 2);
	assert_int_equal(backoff_own_wait_us(&policy, 100, false, 0), policy.max_us / 2);
	assert_int_equal(backoff_own_wait_us(&policy, 16, true, 0), US_PER_S / 32);
	assert_int_equal(backoff_own_wait_us(&policy, 17, true, 0), US_PER_S / 16);
}

static uint64_t seq;
static enum window_answer kind = WINDOW_OVERLOAD; /* of what fails */

/* One window of answers to requests that start one after another. */
static void answers(struct window *w, unsigned n, unsigned failures)
{
	for (unsigned i = 0; i < n; i++, seq++)
		window_answer(w, seq, seq + 1, i < failures ? kind : WINDOW_SUCCESS);
}

static void a_window_starts_at_four_and_grows_by_windows(void **state UNUSED)
{
	struct window w;
	window_init(&w, 6);
	assert_int_equal(w.size, WINDOW_START);
	for (unsigned size = 4; size < 6; size++) {
		answers(&w, size - 1, 0);
		assert_int_equal(w.size, size);
		answers(&w, 1, 0);
		assert_int_equal(w.size, size + 1);
	}
	answers(&w, 100, 0);
	assert_int_equal(w.size, 6);
}

static void a_tenth_of_overloads_does_not_shrink_it(void **state UNUSED)
{
	struct window w;
	window_init(&w, 64);
	answers(&w, 10, 1); /* ten answers at least: one failure among the first four is no sign */
	assert_int_equal(w.size, 6);
	w.size = w.max;
	for (int i = 0; i < 10; i++)
		answers(&w, 64, 6);
	assert_int_equal(w.size, 64);
}

static void it_shrinks_by_what_exceeds_a_tenth_and_at_most_by_half(void **state UNUSED)
{
	static const struct {
		unsigned size, answers, failures, then;
	} cases[] = {
	        {40, 40, 5, 39},                 /* 12.5 % */
	        {40, 40, 8, 36},                 /* 20 %: by a tenth */
	        {40, 40, 24, 20},                /* 60 %: by half */
	        {40, 40, 40, 20}, {4, 10, 3, 4}, /* by less than one */
	        {4, 10, 10, 2},   {1, 10, 10, 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct window w;
		window_init(&w, 64);
		w.size = w.max = cases[i].size; /* so that it does not grow meanwhile */
		answers(&w, cases[i].answers, cases[i].failures);
		assert_int_equal(w.size, cases[i].then);
	}
}

static void refusals_count_beyond_seven_tenths(void **state UNUSED)
{
	struct window w;
	kind = WINDOW_REFUSAL;
	window_init(&w, 40);
	w.size = 40;
	answers(&w, 40, 28);
	assert_int_equal(w.size, 40);
	answers(&w, 40, 36); /* 90 %: by a fifth */
	assert_int_equal(w.size, 32);
	kind = WINDOW_OVERLOAD;
}

static void quick_failures_do_too_after_a_cut_in_vain(void **state UNUSED)
{
	struct window w;
	kind = WINDOW_FAILURE;
	window_init(&w, 40);
	w.size = w.max = 40;
	answers(&w, 40, 20);
	assert_int_equal(w.size, 24); /* by four tenths */
	w.max = 24;
	answers(&w, 24, 12);
	assert_int_equal(w.size, 24); /* as many of them: in vain */
	answers(&w, 24, 22);
	assert_int_equal(w.size, 19); /* by what exceeds seven tenths */
	w.max = 19;
	answers(&w, 19, 4);           /* less than half as many: it forgets that */
	assert_int_equal(w.size, 17); /* by a tenth */
	kind = WINDOW_OVERLOAD;
}

static void what_was_in_flight_at_a_cut_is_not_counted(void **state UNUSED)
{
	struct window w;
	window_init(&w, 20);
	w.size = 20;
	for (uint64_t i = 100; i < 120; i++)
		window_answer(&w, i, 140, WINDOW_OVERLOAD);
	assert_int_equal(w.size, 10);
	for (uint64_t i = 120; i < 140; i++)
		window_answer(&w, i, 160, WINDOW_OVERLOAD);
	assert_int_equal(w.size, 10); /* once a window */
	for (uint64_t i = 140; i < 150; i++)
		window_answer(&w, i, 170, WINDOW_OVERLOAD);
	assert_int_equal(w.size, 5);
}

static void limits_change_and_episodes_end(void **state UNUSED)
{
	struct window w;
	window_init(&w, 0);
	assert_int_equal(w.size, 1);
	window_init(&w, 2);
	assert_int_equal(w.size, 2);
	window_set_max(&w, 1);
	assert_int_equal(w.size, 1);
	window_set_max(&w, 0);
	assert_int_equal(w.max, 1);
	window_init(&w, 64);
	answers(&w, 1, 0);
	window_restart(&w);
	assert_int_equal(w.size, 1);
	answers(&w, 1, 0);
	assert_int_equal(w.size, 2);
}

/* A rate limit: growth stops below where it asked, and goes on by a step now and then. */
static void a_pause_that_was_asked_for_sets_a_ceiling(void **state UNUSED)
{
	struct window w;
	window_init(&w, 20);
	w.size = 16;
	window_told_to_wait(&w, US_PER_S, 0);
	window_restart(&w);
	answers(&w, 200, 0);
	assert_int_equal(w.size, 11);         /* two thirds */
	window_told_to_wait(&w, US_PER_S, 0); /* as that was taken for a while, less is no use */
	window_restart(&w);
	answers(&w, 66 + 20, 0); /* grows to it again */
	assert_int_equal(w.size, 11);
	window_told_to_wait(&w, US_PER_S, 0); /* it was still too high */
	window_restart(&w);
	answers(&w, 200, 0);
	assert_int_equal(w.size, 8);
	window_lift(&w, 31 * US_PER_S - 1);
	answers(&w, 50, 0);
	assert_int_equal(w.size, 8);
	window_lift(&w, 31 * US_PER_S);
	answers(&w, 200, 0);
	assert_int_equal(w.size, 10);
	for (int i = 2; i < 5; i++)
		window_lift(&w, (i * 30 + 1) * US_PER_S);
	answers(&w, 400, 0);
	assert_int_equal(w.size, 20);
}

static void a_ceiling_holds_for_a_minute_at_most_and_is_never_zero(void **state UNUSED)
{
	struct window w;
	window_init(&w, 64);
	window_restart(&w);
	for (int i = 0; i < 3; i++)
		window_told_to_wait(&w, US_PER_H, 0);
	answers(&w, 10, 0);
	assert_int_equal(w.size, 1);
	window_lift(&w, US_PER_H + US_PER_MIN - 1);
	answers(&w, 10, 0);
	assert_int_equal(w.size, 1);
	window_lift(&w, US_PER_H + US_PER_MIN);
	answers(&w, 10, 0);
	assert_int_equal(w.size, 2);
	w.size = 30;
	window_told_to_wait(&w, US_PER_H, 0);
	window_set_max(&w, 10); /* a reload */
	answers(&w, 100, 0);
	assert_int_equal(w.size, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_doubles_up_to_the_most),
	        cmocka_unit_test(odd_limits_hold),
	        cmocka_unit_test(a_batchs_own_wait_is_short_for_three_tries),
	        cmocka_unit_test(a_window_starts_at_four_and_grows_by_windows),
	        cmocka_unit_test(a_tenth_of_overloads_does_not_shrink_it),
	        cmocka_unit_test(it_shrinks_by_what_exceeds_a_tenth_and_at_most_by_half),
	        cmocka_unit_test(refusals_count_beyond_seven_tenths),
	        cmocka_unit_test(quick_failures_do_too_after_a_cut_in_vain),
	        cmocka_unit_test(what_was_in_flight_at_a_cut_is_not_counted),
	        cmocka_unit_test(limits_change_and_episodes_end),
	        cmocka_unit_test(a_pause_that_was_asked_for_sets_a_ceiling),
	        cmocka_unit_test(a_ceiling_holds_for_a_minute_at_most_and_is_never_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
