/* test_random.c - chance and clocks stay in their bounds */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"

static void unit_is_half_open(void **state)
{
	double sum = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		double v = random_unit();

		assert_true(v >= 0 && v < 1);
		sum += v;
	}
	assert_true(sum > 4700 && sum < 5300); /* ten standard deviations */
	assert_true(random_u64() != random_u64());
}

static void clocks_go_forward(void **state)
{
	struct now a, b;

	(void)state;
	clock_now(&a);
	clock_now(&b);
	assert_true(b.mono_us >= a.mono_us);
	assert_true(b.boot_us >= a.boot_us);
	assert_true(a.boot_us >= a.mono_us);
	assert_true(a.wall_us > INT64_C(1700000000) * US_PER_S);
	assert_true(clock_mono_us() >= b.mono_us);
	assert_true(clock_wall_us() - b.wall_us < 10 * US_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(unit_is_half_open),
	        cmocka_unit_test(clocks_go_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
