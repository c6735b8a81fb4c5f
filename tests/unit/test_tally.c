/* test_tally.c - counting by key: bounds, order, ages in doubling buckets */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/collections/tally.h"
#include "failing_malloc.h"

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

/* Rank comes before count: ages in their order. */
static void ranks_come_first(void **state UNUSED)
{
	struct tally t;

	tally_init(&t);
	tally_sort(&t); /* nothing yet */
	assert_int_equal(tally_add(&t, SLICE_LIT("old"), 3, 9), 0);
	assert_int_equal(tally_add(&t, SLICE_LIT("new"), 1, 1), 0);
	assert_int_equal(tally_add(&t, SLICE_LIT("middle"), 2, 5), 0);
	tally_sort(&t);
	assert_string_equal(t.entries[0].key, "new");
	assert_string_equal(t.entries[1].key, "middle");
	assert_string_equal(t.entries[2].key, "old");
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

/* Each allocation fails once: that key is refused with -ENOMEM, and what was counted before stays counted. */
static void memory_runs_out(void **state UNUSED)
{
	unsigned failures = 0;
	char key[16];

	if (!malloc_can_fail())
		skip();
	for (long at = 0;; at++) {
		struct tally t;
		size_t refused = 0;
		bool failed;

		tally_init(&t);
		malloc_fails_at = at;
		for (int i = 0; i < 40; i++) { /* grows twice */
			int r;

			snprintf(key, sizeof(key), "k%d", i);
			r = tally_add(&t, slice_of(key), 0, 1);
			assert_true(r == 0 || r == -ENOMEM);
			refused += r < 0;
		}
		failed = malloc_failed();
		assert_int_equal(refused, failed);
		assert_int_equal(t.n, 40 - refused);
		tally_sort(&t);
		assert_int_equal(t.entries[0].count, 1);
		tally_free(&t);
		if (!failed)
			break;
		failures++;
	}
	assert_true(failures > 40);
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
	        cmocka_unit_test(sums_and_sorts),   cmocka_unit_test(ranks_come_first),
	        cmocka_unit_test(keys_are_bounded), cmocka_unit_test(memory_runs_out),
	        cmocka_unit_test(ages_double),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
