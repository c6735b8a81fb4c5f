/* test_clock_skew.c - events accepted by a wrong clock keep the offset of that clock */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "policy/clock_skew.h"

static void skew_is_remembered_by_first_id(void **state UNUSED)
{
	struct clock_skew s = {.base_us = 1000 * US_PER_S};
	clock_skew_note(&s, 10, 1000 * US_PER_S + US_PER_S); /* drift */
	assert_int_equal(s.n, 0);
	clock_skew_note(&s, 20, 1500 * US_PER_S);
	clock_skew_note(&s, 30, 900 * US_PER_S);
	assert_int_equal(clock_skew_of(&s, 19), 0);
	assert_int_equal(clock_skew_of(&s, 20), -500 * US_PER_S);
	assert_int_equal(clock_skew_of(&s, 29), -500 * US_PER_S);
	assert_int_equal(clock_skew_of(&s, 30), 100 * US_PER_S);
	for (unsigned i = 0; i < 100; i++)
		clock_skew_note(&s, 100 + i, (int64_t)(i % 2) * US_PER_H);
	assert_int_equal(s.n, CLOCK_EPOCHS);
	assert_int_equal(clock_skew_of(&s, 199), 1000 * US_PER_S - US_PER_H);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(skew_is_remembered_by_first_id)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
