/* test_tally.c - counting by key: bounds, order, ages in doubling buckets */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/tally.h"

static void sums_and_sorts(void **state UNUSED)
{
	struct tally t;

	tally_init(&t);
	assert_int_equal(tally_add(&t, SLICE_LIT("b"), 0, 1), 0);
	assert_int_equal(tally_add(&t, SLICE_LIT("a"), 0, 1), 0);
	assert_int_equal(tally_add(&t, SLICE_LIT("c"), 0, 2), 0);
	assert_int_equal(tally_add(&t, SLICE_LIT(""), 0, 5), 0);
	assert_int_equal(tally_add(&t, SLICE_LIT("c"), 0, 40), 0);
	tally_sort(&t);
	assert_int_equal(t.n, 4);
	assert_string_equal(t.entries[0].key, "c");
	assert_int_equal(t.entries[0].count, 42);
	assert_string_equal(t.entries[1].key, "");
	assert_string_equal(t.entries[2].key, "a");
	assert_string_equal(t.entries[3].key, "b");
	tally_free(&t);
}

/* Whoever writes events chooses the names: memory is bounded, nothing goes uncounted. */
static void keys_are_bounded(void **state UNUSED)
{
	struct tally t;
	char key[16];

	tally_init(&t);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < TALLY_KEYS_MAX + 7; i++) {
			snprintf(key, sizeof(key), "k%d", i);
			assert_int_equal(tally_add(&t, slice_of(key), 0, 1), 0);
		}
	}
	assert_int_equal(t.n, TALLY_KEYS_MAX);
	assert_int_equal(t.other, 14);
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(t.entries[i].count, 2);
	tally_free(&t);
}

static void ages_double(void **state UNUSED)
{
	static const struct {
		int64_t age_us;
		const char *key;
		uint64_t rank;
	} cases[] = {
	        {-5, "<1m", 1},
	        {0, "<1m", 1},
	        {US_PER_MIN - 1, "<1m", 1},
	        {US_PER_MIN, "<2m", 2},
	        {2 * US_PER_MIN - 1, "<2m", 2},
	        {2 * US_PER_MIN, "<4m", 3},
	        {1000 * US_PER_MIN, "<1024m", 11},
	};
	char buf[16];
	uint64_t rank;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(tally_age_key(cases[i].age_us, buf, &rank), cases[i].key);
		assert_int_equal(rank, cases[i].rank);
	}
	tally_age_key(INT64_MAX, buf, &rank);
	assert_int_equal(rank, 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sums_and_sorts),
	        cmocka_unit_test(keys_are_bounded),
	        cmocka_unit_test(ages_double),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
