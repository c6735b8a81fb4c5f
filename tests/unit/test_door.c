/* test_door.c - who may knock at the HTTP door, and verdicts in Google's words */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "ga4/google_verdict.h"
#include "http/door_access.h"
#include "json/json_read.h"

static char name[] = "localhost", ipv4[] = "127.0.0.1", ipv6[] = "[::1]";
static char *const loopback[] = {name, ipv4, ipv6, NULL};

static void hosts_allowed(void **state)
{
	static const char *const good[] = {
	        "localhost", "localhost:8125", "LocalHost",     "127.0.0.1",     "127.0.0.1:80",
	        "[::1]",     "[::1]:8125",     "10.1.2.3:9125", "[2001:db8::1]", "[::ffff:10.1.2.3]:80"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!door_host_allowed(good[i], loopback))
			fail_msg("%s was refused", good[i]);
}

static void hosts_refused(void **state)
{
	static const char *const bad[] = {"",
	                                  ":8125",
	                                  "evil.example",
	                                  "localhost.evil.example:8125",
	                                  "localhost.",
	                                  "localhos",
	                                  "localhostx",
	                                  "::1",
	                                  "[::1",
	                                  "[::g]:8125",
	                                  "127.0.0.256",
	                                  "127.0.0.1.x",
	                                  "127.1",
	                                  "0x7f.0.0.1",
	                                  "[127.0.0.1]",
	                                  "[]",
	                                  "2130706433",
	                                  "[::1%eth0]",
	                                  "1.2.3.4.",
	                                  " localhost",
	                                  "localhost evil",
	                                  "[::1]x"};

	(void)state;
	assert_false(door_host_allowed(NULL, loopback));
	assert_false(door_host_allowed("localhost", NULL));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (door_host_allowed(bad[i], loopback))
			fail_msg("'%s' was let in", bad[i]);
}

static void origins(void **state)
{
	(void)state;
	assert_true(door_same_origin(NULL, NULL, NULL));
	assert_true(door_same_origin(NULL, "none", "a"));
	assert_true(door_same_origin("http://LocalHost:1", "same-origin", "localhost:1"));
	assert_false(door_same_origin("http://localhost:1", "same-origin", "localhost:2"));
	assert_false(door_same_origin("http://localhost:1", NULL, NULL));
	assert_false(door_same_origin("https://localhost:1", NULL, "localhost:1"));
	assert_false(door_same_origin("null", NULL, "null"));
	assert_false(door_same_origin(NULL, "same-site", "localhost:1"));
	assert_false(door_same_origin("http://localhost:1", "cross-site", "localhost:1"));
}

static void secrets(void **state)
{
	(void)state;
	assert_true(door_secret_equal("s3cret", "s3cret"));
	assert_false(door_secret_equal("s3creT", "s3cret"));
	assert_false(door_secret_equal("S3cret", "s3cret"));
	assert_false(door_secret_equal("s3cre", "s3cret"));
	assert_false(door_secret_equal("s3crett", "s3cret"));
	assert_false(door_secret_equal("", "s3cret"));
	assert_false(door_secret_equal("", ""));
}

static void streams_by_id(void **state)
{
	struct conf_stream streams[] = {
	        {.type = STREAM_WEB, .id = (char *)(uintptr_t) "G-ONE"},
	        {.type = STREAM_APP, .id = (char *)(uintptr_t) "1:2:ios:3"},
	        {.type = STREAM_WEB, .id = (char *)(uintptr_t) "G-TWO"},
	};
	struct conf conf = {.streams = streams, .n_streams = ARRAY_LEN(streams)};
	size_t i = 99;

	(void)state;
	assert_int_equal(door_find_stream(&conf, "G-TWO", NULL, &i), DOOR_STREAM_FOUND);
	assert_int_equal(i, 2);
	assert_int_equal(door_find_stream(&conf, NULL, "1:2:ios:3", &i), DOOR_STREAM_FOUND);
	assert_int_equal(i, 1);
	assert_int_equal(door_find_stream(&conf, "1:2:ios:3", NULL, &i), DOOR_STREAM_UNKNOWN);
	assert_int_equal(door_find_stream(&conf, "g-one", NULL, &i), DOOR_STREAM_UNKNOWN);
	assert_int_equal(door_find_stream(&conf, "", NULL, &i), DOOR_STREAM_UNKNOWN);
	assert_int_equal(door_find_stream(&conf, NULL, NULL, &i), DOOR_STREAM_NOT_NAMED);
	assert_int_equal(door_find_stream(&conf, "G-ONE", "1:2:ios:3", &i), DOOR_STREAM_NOT_NAMED);
	assert_int_equal(i, 1);
}

/* ---- Google's form ---- */

static void expect_verdict(const char *payload, enum code code, const char *field, const char *message,
                           const char *wanted)
{
	struct json_in *in = json_in_new(32);
	_cleanup_(buf_free) struct buf out = BUF_INIT(8192);
	const struct json_doc *d = NULL;
	struct finding f = {.code = code};

	if (json_in_read(in, slice_of(payload), &d, NULL) < 0)
		d = NULL;
	snprintf(f.field, sizeof(f.field), "%s", field);
	snprintf(f.message, sizeof(f.message), "%s", message);
	assert_int_equal(google_verdict_write(&out, &f, 1, d), 0);
	assert_int_equal(buf_append_char(&out, '\0'), 0);
	assert_string_equal(out.data, wanted);
	json_in_free(in);
}

#define VERDICT(path, text, code)                                                                                    \
	"{\"validationMessages\":[{\"fieldPath\":\"" path "\",\"description\":\"" text                               \
	"\",\"validationCode\":\"" code "\"}]}"

static void nothing_wrong(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(100);

	(void)state;
	assert_int_equal(google_verdict_write(&out, NULL, 0, NULL), 0);
	assert_int_equal(out.len, strlen("{\"validationMessages\":[]}"));
	assert_memory_equal(out.data, "{\"validationMessages\":[]}", out.len);
}

static void googles_own_sentences(void **state)
{
	(void)state;
	expect_verdict(
	        "{\"events\":[{\"name\":\"_badEventName\"}]}", CODE_NAME_INVALID, "events[0].name", "ours",
	        VERDICT("events",
	                "Event at index: [0] has invalid name [_badEventName]. Names must start with an alphabetic "
	                "character.",
	                "NAME_INVALID"));
	expect_verdict("{\"events\":[{\"name\":\"a\"},{\"name\":\"b@c\"}]}", CODE_NAME_INVALID, "events[1].name",
	               "ours",
	               VERDICT("events",
	                       "Event at index: [1] has invalid name [b@c]. Only alphanumeric characters and "
	                       "underscores are "
	                       "allowed.",
	                       "NAME_INVALID"));
	expect_verdict("{}", CODE_VALUE_REQUIRED, "client_id", "ours",
	               VERDICT("client_id", "Measurement requires a client_id.", "VALUE_REQUIRED"));
	expect_verdict("{}", CODE_VALUE_REQUIRED, "app_instance_id", "ours",
	               VERDICT("app_instance_id", "Measurement requires an app_instance_id.", "VALUE_REQUIRED"));
	expect_verdict("{", CODE_JSON_INVALID, "", "ends too soon",
	               "{\"validationMessages\":[{\"description\":\"Unable to parse Measurement Protocol JSON "
	               "payload. ends too "
	               "soon\",\"validationCode\":\"VALUE_INVALID\"}]}");
}

static void our_own_sentences(void **state)
{
	(void)state;
	expect_verdict("{\"events\":[{\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
	               CODE_NAME_INVALID, "events[0].name", "too long",
	               VERDICT("events[0].name", "too long", "NAME_INVALID"));
	expect_verdict("{\"events\":[]}", CODE_NAME_INVALID, "events[7].name", "ours",
	               VERDICT("events[7].name", "ours", "NAME_INVALID"));
	expect_verdict("{\"events\":[{\"name\":5}]}", CODE_NAME_INVALID, "events[0].name", "ours",
	               VERDICT("events[0].name", "ours", "NAME_INVALID"));
	expect_verdict("{\"events\":[{\"params\":{}}]}", CODE_NAME_INVALID, "events[0].params.x", "ours",
	               VERDICT("events[0].params.x", "ours", "NAME_INVALID"));
	expect_verdict("{}", CODE_TIMESTAMP_EXPIRED, "timestamp_micros", "old",
	               VERDICT("timestamp_micros", "old", "VALUE_OUT_OF_BOUNDS"));
	expect_verdict("{}", CODE_STREAM_UNKNOWN, "stream", "which", VERDICT("stream", "which", "INTERNAL_ERROR"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(hosts_allowed),
	        cmocka_unit_test(hosts_refused),
	        cmocka_unit_test(origins),
	        cmocka_unit_test(secrets),
	        cmocka_unit_test(streams_by_id),
	        cmocka_unit_test(nothing_wrong),
	        cmocka_unit_test(googles_own_sentences),
	        cmocka_unit_test(our_own_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
