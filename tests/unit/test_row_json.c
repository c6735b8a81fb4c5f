/* test_row_json.c - the public fields of list, show and export, exactly as ga4relay-ctl(8) names them */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/row_json.h"

static const struct row_view queued = {
        .id = 7,
        .state = "queued",
        .stream = {"web", 3},
        .client = {"1.2", 3},
        .name = {"refund", 6},
        .accepted_us = 1000000,
        .event_us = 900000,
        .next_attempt_ms = 5,
        .bytes = 40,
        .envelope = {"{\"client_id\":\"1.2\"}", 19},
        .body = {"{\"name\":\"refund\",\"params\":{\"value\":1e3}}", 41},
};

static void check(const struct row_view *row, const char *expected)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 16);

	assert_int_equal(row_write(&b, row), 0);
	assert_int_equal(buf_append_char(&b, '\0'), 0);
	assert_string_equal(b.data, expected);
}

static void list_has_these_fields(void **state UNUSED)
{
	check(&queued, "{\"id\":7,\"state\":\"queued\",\"reason\":null,\"stream\":\"web\",\"client\":\"1.2\","
	               "\"name\":\"refund\",\"accepted_micros\":1000000,\"event_micros\":900000,\"attempts\":0,"
	               "\"last_status\":null,\"last_error\":null,\"next_attempt_ms\":5,\"maybe_sent\":false,"
	               "\"bytes\":40}\n");
}

static void what_is_unknown_is_null(void **state UNUSED)
{
	const struct row_view dead = {.id = 8,
	                              .state = "dead",
	                              .reason = "refused",
	                              .attempts = 2,
	                              .last_status = 400,
	                              .last_error = {"bad \033", 5},
	                              .next_attempt_ms = -1,
	                              .maybe_sent = true};

	check(&dead,
	      "{\"id\":8,\"state\":\"dead\",\"reason\":\"refused\",\"stream\":null,\"client\":null,\"name\":null,"
	      "\"accepted_micros\":0,\"event_micros\":null,\"attempts\":2,\"last_status\":400,"
	      "\"last_error\":\"bad \\u001B\",\"next_attempt_ms\":null,\"maybe_sent\":true,\"bytes\":0}\n");
}

static void show_adds_line_and_tries(void **state UNUSED)
{
	struct row_view row = queued;
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 16);

	row.with_line = row.with_tries = true;
	assert_int_equal(row_write(&b, &row), 0);
	assert_int_equal(buf_append_char(&b, '\0'), 0);
	/* The number keeps its text: line is a string, which no JSON tool rewrites. */
	assert_non_null(strstr(b.data, "\\\"params\\\":{\\\"value\\\":1e3}"));
	assert_non_null(strstr(b.data, "\\\"timestamp_micros\\\":900000"));
	assert_non_null(strstr(b.data, "\\\"stream\\\":\\\"web\\\""));
	assert_non_null(strstr(b.data, ",\"tries\":[]}\n"));
}

static void a_rejected_line_stays_as_it_came(void **state UNUSED)
{
	const struct row_view row = {.id = 9,
	                             .state = "rejected",
	                             .next_attempt_ms = -1,
	                             .with_line = true,
	                             .line = {"not \"json", 9},
	                             .code = "JSON_INVALID",
	                             .message = {"no", 2},
	                             .uid = 33,
	                             .pid = 44};
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 16);

	assert_int_equal(row_write(&b, &row), 0);
	assert_int_equal(buf_append_char(&b, '\0'), 0);
	assert_non_null(strstr(b.data, "\"line\":\"not \\\"json\",\"code\":\"JSON_INVALID\",\"field\":null,"
	                               "\"message\":\"no\",\"uid\":33,\"pid\":44,\"address\":null}\n"));
}

static void nothing_is_written_without_room(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(64);

	assert_int_equal(buf_append_char(&b, 'x'), 0);
	assert_int_equal(row_write(&b, &queued), -ENOBUFS);
	assert_int_equal(b.len, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(list_has_these_fields),           cmocka_unit_test(what_is_unknown_is_null),
	        cmocka_unit_test(show_adds_line_and_tries),        cmocka_unit_test(a_rejected_line_stays_as_it_came),
	        cmocka_unit_test(nothing_is_written_without_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
