/* test_idmap.c - the map against a plain array, through growth, collisions and removals */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/collections/idmap.h"

enum { IDS = 5000, STEPS = 200000 };

/* A fixed sequence, so that a failure comes back. */
static uint32_t next_number(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void empty_map(void **state)
{
	struct idmap m;
	uint64_t id;
	size_t at = 0;

	(void)state;
	idmap_init(&m);
	assert_null(idmap_get(&m, 1));
	assert_null(idmap_get(&m, 0));
	assert_null(idmap_remove(&m, 1));
	assert_null(idmap_next(&m, &at, &id));
	idmap_free(&m);
}

static void replaces(void **state)
{
	struct idmap m;
	int a, b;

	(void)state;
	idmap_init(&m);
	assert_int_equal(idmap_put(&m, UINT64_MAX, &a), 0);
	assert_int_equal(idmap_put(&m, UINT64_MAX, &b), 0);
	assert_int_equal(m.len, 1);
	assert_ptr_equal(idmap_get(&m, UINT64_MAX), &b);
	assert_null(idmap_get(&m, 0));
	assert_ptr_equal(idmap_remove(&m, UINT64_MAX), &b);
	assert_null(idmap_remove(&m, UINT64_MAX));
	assert_int_equal(m.len, 0);
	idmap_free(&m);
}

static void behaves_as_an_array(void **state)
{
	static char values[IDS], *model[IDS];
	uint32_t seed = 1;
	size_t len = 0, at = 0, seen = 0;
	struct idmap m;
	uint64_t id;
	char *v;

	(void)state;
	idmap_init(&m);
	for (int step = 0; step < STEPS; step++) {
		size_t i = next_number(&seed) % IDS;
		/* multiples of a large power of two share their low bits: long probe runs */
		uint64_t key = ((uint64_t)i + 1) << (i % 3 ? 0 : 40);

		if (next_number(&seed) % 2) {
			len += !model[i];
			model[i] = &values[next_number(&seed) % IDS];
			assert_int_equal(idmap_put(&m, key, model[i]), 0);
		} else {
			assert_ptr_equal(idmap_remove(&m, key), model[i]);
			len -= !!model[i];
			model[i] = NULL;
		}
		assert_int_equal(m.len, len);
		i = next_number(&seed) % IDS;
		assert_ptr_equal(idmap_get(&m, ((uint64_t)i + 1) << (i % 3 ? 0 : 40)), model[i]);
	}
	while ((v = idmap_next(&m, &at, &id))) {
		size_t i = (size_t)(id >> 40 ? id >> 40 : id) - 1;

		assert_ptr_equal(model[i], v);
		seen++;
	}
	assert_int_equal(seen, len);
	idmap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(empty_map),
	        cmocka_unit_test(replaces),
	        cmocka_unit_test(behaves_as_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
