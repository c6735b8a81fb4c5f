/* test_delivered.c - what is remembered of delivered events, and what is forgotten */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/delivered.h"

/* A request of n events from first on. */
static void deliver(struct delivered_log *l, uint64_t first, unsigned n, int64_t when_us)
{
	delivered_log_begin(l,
	                    &(struct delivered_request){.sid = 3, .when_us = when_us, .status = 204, .n_events = n});
	for (unsigned i = 0; i < n; i++)
		delivered_log_add(l, first + i, i + 1);
}

static void what_is_remembered_of_an_event(void **state)
{
	struct delivered_log *l = delivered_log_new(100);
	struct delivered_event e;

	(void)state;
	assert_non_null(l);
	assert_false(delivered_log_find(l, 1, &e));
	deliver(l, 10, 25, INT64_C(1796112033273000));
	deliver(l, 1, 1, INT64_C(1796112034000000));
	assert_true(delivered_log_find(l, 12, &e));
	assert_int_equal(e.id, 12);
	assert_int_equal(e.sid, 3);
	assert_int_equal(e.status, 204);
	assert_int_equal(e.attempts, 3);
	assert_true(e.when_us == INT64_C(1796112033273000));
	assert_int_equal(e.n_events, 25);
	assert_int_equal(e.first_id, 10);
	assert_int_equal(e.last_id, 34);
	assert_true(delivered_log_find(l, 1, &e));
	assert_int_equal(e.n_events, 1);
	assert_int_equal(e.first_id, 1);
	assert_int_equal(e.last_id, 1);
	assert_false(delivered_log_find(l, 9, &e));
	assert_false(delivered_log_find(l, 35, &e));
	delivered_log_free(l);
}

static void the_oldest_are_forgotten(void **state)
{
	enum { MAX = 20000 }; /* three blocks, the last one in part */
	struct delivered_log *l = delivered_log_new(MAX);
	struct delivered_event e;

	(void)state;
	for (uint64_t id = 1; id <= 3 * MAX; id += 20)
		deliver(l, id, 20, 1);
	assert_true(delivered_log_find(l, 2 * MAX + 1, &e));
	assert_true(delivered_log_find(l, 3 * MAX, &e));
	assert_int_equal(e.first_id, 3 * MAX - 19);
	assert_int_equal(e.last_id, 3 * MAX);
	assert_false(delivered_log_find(l, 2 * MAX, &e));
	assert_false(delivered_log_find(l, 1, &e));
	deliver(l, 3 * MAX + 1, 5, 1); /* of the oldest request 15 are left */
	assert_true(delivered_log_find(l, 2 * MAX + 6, &e));
	assert_int_equal(e.first_id, 2 * MAX + 6);
	assert_int_equal(e.last_id, 2 * MAX + 20);
	assert_int_equal(e.n_events, 20);
	delivered_log_free(l);
}

/* A commit that failed, and the same event delivered again. */
static void the_last_delivery_counts(void **state)
{
	struct delivered_log *l = delivered_log_new(10);
	struct delivered_event e;

	(void)state;
	deliver(l, 1, 2, 1);
	deliver(l, 2, 3, 2);
	assert_true(delivered_log_find(l, 2, &e));
	assert_true(e.when_us == 2);
	assert_int_equal(e.n_events, 3);
	delivered_log_free(l);
}

static void none_at_all(void **state)
{
	struct delivered_log *l = delivered_log_new(0);
	struct delivered_event e;

	(void)state;
	deliver(l, 1, 2, 1);
	assert_false(delivered_log_find(l, 1, &e));
	delivered_log_free(l);
	l = delivered_log_new(1);
	deliver(l, 1, 2, 1);
	assert_false(delivered_log_find(l, 1, &e));
	assert_true(delivered_log_find(l, 2, &e));
	delivered_log_begin(l, &(struct delivered_request){.status = 204, .n_events = 1});
	delivered_log_add(l, 3, 70000);
	assert_true(delivered_log_find(l, 3, &e));
	assert_int_equal(e.attempts, 255);
	delivered_log_free(delivered_log_free(l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_remembered_of_an_event),
	        cmocka_unit_test(the_oldest_are_forgotten),
	        cmocka_unit_test(the_last_delivery_counts),
	        cmocka_unit_test(none_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
