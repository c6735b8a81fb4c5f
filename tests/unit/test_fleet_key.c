/* test_fleet_key.c - the hash and the lane of an event: part of the schema, the same on every machine for ever */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/macros.h"
#include "fleet/key.h"
#include "fleet/sql.h"

static struct submission *make(void)
{
	struct submission *sub = calloc(1, sizeof(*sub) + sizeof(struct event));

	assert_non_null(sub);
	sub->accepted_us = INT64_C(1700000000000000);
	sub->envelope = SLICE_LIT("{\"client_id\":\"1.2\"}");
	sub->client = SLICE_LIT("1.2");
	sub->n_events = 1;
	sub->events[0].body = SLICE_LIT("{\"name\":\"refund\"}");
	sub->events[0].time_us = INT64_C(1700000000000001);
	return sub;
}

static void numbers_that_never_change(void **state UNUSED)
{
	struct submission *sub = make();
	const struct forward_event e = {.sub = sub, .id = 7, .stream = "web"};

	assert_int_equal(fleet_content_hash(&e), INT64_C(6968030084991900830));
	assert_int_equal(fleet_lane(&e), 163);
	free(sub);
}

static void what_is_sent_counts_and_nothing_else(void **state UNUSED)
{
	struct submission *sub = make();
	const struct forward_event e = {.sub = sub, .id = 7, .stream = "web"};
	struct forward_event other = {.sub = sub, .id = 8, .stream = "web", .maybe_sent = true, .no_expiry = true};

	assert_int_equal(fleet_content_hash(&e), fleet_content_hash(&other));
	other.stream = "app";
	assert_int_not_equal(fleet_content_hash(&e), fleet_content_hash(&other));
	other.stream = "web";
	sub->events[0].props_us = 1;
	assert_int_not_equal(fleet_content_hash(&other), INT64_C(6968030084991900830));
	assert_in_range(fleet_lane(&other), 0, FLEET_LANES - 1);
	free(sub);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers_that_never_change),
	        cmocka_unit_test(what_is_sent_counts_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
