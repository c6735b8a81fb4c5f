/* test_histogram.c - the benchmarks' histogram beside a sorted list of what it was given */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../bench/histogram.h"
#include "base/macros.h"

static void a_bucket_holds_what_falls_into_it(void **state UNUSED)
{
	int64_t v = 0;

	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) { /* v: the least that it holds */
		int64_t top = histogram_top(b);
		assert_true(top >= v && top - v <= v / HISTOGRAM_STEPS);
		assert_int_equal(histogram_bucket(v), b);
		assert_int_equal(histogram_bucket(top), b);
		if (top == INT64_MAX) {
			assert_int_equal(b, HISTOGRAM_BUCKETS - 1);
			return;
		}
		v = top + 1;
	}
	fail_msg("the last bucket ends before INT64_MAX");
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void quantiles_are_those_of_the_list(void **state UNUSED)
{
	enum { N = 100003 };
	static const unsigned asked[] = {1, 500, 900, 990, 999, 1000};
	static struct histogram h;
	static int64_t list[N];
	uint64_t random = 88172645463325252ull;

	for (size_t i = 0; i < N; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		list[i] = (int64_t)(random >> (20 + random % 44)); /* all sizes alike */
		histogram_add(&h, list[i]);
	}
	qsort(list, N, sizeof(*list), by_size);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		int64_t is = list[((size_t)N * asked[i] + 999) / 1000 - 1], told = histogram_quantile(&h, asked[i]);
		assert_in_range(told - is, 0, is / HISTOGRAM_STEPS);
	}
	assert_int_equal(h.longest, list[N - 1]);
	assert_int_equal(histogram_quantile(&h, 1000), list[N - 1]);
}

static void one_of_a_hundred_is_the_99th(void **state UNUSED)
{
	static struct histogram h;

	assert_int_equal(histogram_quantile(&h, 500), 0);
	for (int i = 0; i < 98; i++)
		histogram_add(&h, 10);
	histogram_add(&h, 20);
	histogram_add(&h, 60000);
	assert_int_equal(histogram_quantile(&h, 980), 10);
	assert_int_equal(histogram_quantile(&h, 990), 20);
	assert_int_equal(histogram_quantile(&h, 999), 60000);
	assert_int_equal(h.longest, 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_bucket_holds_what_falls_into_it),
	        cmocka_unit_test(quantiles_are_those_of_the_list),
	        cmocka_unit_test(one_of_a_hundred_is_the_99th),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
