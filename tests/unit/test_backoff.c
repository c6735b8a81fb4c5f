/* test_backoff.c - waits double from the least to the most, half of each by chance; windows grow by one and halve */
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

static void a_window_starts_at_four_and_grows_by_windows(void **state UNUSED)
{
	struct window w;
	window_init(&w, 6);
	assert_int_equal(w.size, WINDOW_START);
	for (unsigned size = 4; size < 6; size++) {
		for (unsigned i = 0; i + 1 < size; i++)
			window_success(&w);
		assert_int_equal(w.size, size);
		window_success(&w);
		assert_int_equal(w.size, size + 1);
	}
	for (int i = 0; i < 100; i++)
		window_success(&w);
	assert_int_equal(w.size, 6);
}

static void failures_in_flight_together_halve_once(void **state UNUSED)
{
	struct window w;
	window_init(&w, 64);
	w.size = 40;
	window_failure(&w, 100, 140);
	assert_int_equal(w.size, 20);
	window_failure(&w, 139, 141);
	assert_int_equal(w.size, 20);
	window_failure(&w, 140, 150);
	assert_int_equal(w.size, 10);
	w.size = 1;
	window_failure(&w, 200, 201);
	assert_int_equal(w.size, 1);
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
	window_success(&w);
	window_restart(&w);
	assert_int_equal(w.size, 1);
	window_success(&w);
	assert_int_equal(w.size, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_doubles_up_to_the_most),
	        cmocka_unit_test(odd_limits_hold),
	        cmocka_unit_test(a_window_starts_at_four_and_grows_by_windows),
	        cmocka_unit_test(failures_in_flight_together_halve_once),
	        cmocka_unit_test(limits_change_and_episodes_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
