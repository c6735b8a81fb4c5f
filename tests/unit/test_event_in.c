/* test_event_in.c - what a good line becomes: envelope, bodies to the byte, ids from cookies, times; and the replies
 */
#include "line_fixture.h"

#include <errno.h>

#include "event/reply.h"
#include "ga4/cookie.h"
#include "ga4/limits.h"
#include "json/json_read.h"

#define assert_slice(s, wanted) assert_slice_at((s), (wanted), __FILE__, __LINE__)
static void assert_slice_at(struct slice s, const char *wanted, const char *file, int line)
{
	if (slice_eq(s, slice_of(wanted)))
		return;
	print_error("got    %.*s\nwanted %s\n", SLICE_ARG(s), wanted);
	_fail(file, line);
}

static const struct submission *read_off(struct fixture *f, const char *line)
{
	fixture_set(f, OFF);
	assert_string_equal(fixture_read(f, line), "ok");
	return f->result.sub;
}

/* ---- envelopes ---- */

static void envelopes_are_equal_as_values(void **state)
{
	static const char wanted[] =
	        "{\"client_id\":\"1.2\",\"consent\":{\"ad_personalization\":\"DENIED\",\"ad_user_data\":"
	        "\"GRANTED\"},\"user_id\":\"\xc3\xa9/\",\"user_properties\":{\"a\":{\"value\":1.0},\"b\":{"
	        "\"timestamp_micros\":5,\"value\":\"x\"}}}";
	static const char *const lines[] = {
	        "{\"client_id\":\"1.2\",\"consent\":{\"ad_user_data\":\"GRANTED\",\"ad_personalization\":\"DENIED\"},"
	        "\"user_id\":\"é/"
	        "\",\"user_properties\":{\"a\":{\"value\":1.0},\"b\":{\"value\":\"x\",\"timestamp_micros\":5}},"
	        "\"name\":\"n\"}",
	        "{ \"name\" : \"n\" , \"user_properties\" : { \"b\" : { \"timestamp_micros\" : \"5\" , \"value\" : "
	        "\"\\u0078\" } ,"
	        "\"a\" : { \"value\" : 1.0 } } , \"user_id\" : \"\\u00e9\\/\" , \"consent\" : { "
	        "\"ad_personalization\" :\t\"DENIED\","
	        " \"ad_user_data\" : \"GRANTED\" } , \"cl\\u0069ent_id\" : \"1.2\" }",
	        "{\"timestamp_micros\":1760000000000000,\"stream\":\"web\",\"dedup_key\":\"k\",\"session_cookie\":"
	        "\"GS1.1.5.1\","
	        "\"user_properties\":{\"b\":{\"timestamp_micros\":5.0,\"value\":\"x\"},\"a\":{\"value\":1.0}},"
	        "\"client_id\":\"GA1.1.1.2\","
	        "\"events\":[{\"name\":\"n\"}],\"user_id\":\"é/"
	        "\",\"consent\":{\"ad_personalization\":\"DENIED\",\"ad_user_data\":"
	        "\"GRANTED\"}}",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_slice(read_off(*state, lines[i])->envelope, wanted);
}

static void envelopes_differ_by_value(void **state)
{
	/* Numbers compare by their text. */
	assert_slice(read_off(*state, "{\"client_id\":\"1.2\",\"name\":\"a\",\"x\":1.0}")->envelope,
	             "{\"client_id\":\"1.2\",\"x\":1.0}");
	assert_slice(read_off(*state, "{\"client_id\":\"1.2\",\"name\":\"a\",\"x\":1}")->envelope,
	             "{\"client_id\":\"1.2\",\"x\":1}");
	/* Arrays have an order. */
	assert_slice(read_off(*state, "{\"client_id\":\"1.2\",\"name\":\"a\",\"x\":[ {\"b\":1,\"a\":null}, true "
	                              ",\"\\n\\u0001\\u007f\"]}")
	                     ->envelope,
	             "{\"client_id\":\"1.2\",\"x\":[{\"a\":null,\"b\":1},true,\"\\n\\u0001\x7f\"]}");
}

static void members_are_sorted_by_bytes(void **state)
{
	struct fixture *f = *state;

	assert_slice(read_off(f, "{\"client_id\":\"1.2\",\"name\":\"a\",\"x\":{\"b\":1,\"ab\":2,\"a\":3,\"\":4,\"B\":"
	                         "5,\"é\":6,\"z\":7}}")
	                     ->envelope,
	             "{\"client_id\":\"1.2\",\"x\":{\"\":4,\"B\":5,\"a\":3,\"ab\":2,\"b\":1,\"z\":7,\"é\":6}}");
	/* More than insertion sort takes. */
	assert_slice(read_off(f, "{\"client_id\":\"1.2\",\"name\":\"a\",\"x\":{\"s\":1,\"r\":1,\"q\":1,\"p\":1,\"o\":"
	                         "1,\"n\":1,\"m\":1,\"l\":1,\"k\":1,"
	                         "\"j\":1,\"i\":1,\"h\":1,\"g\":1,\"f\":1,\"e\":1,\"d\":1,\"c\":1,\"b\":1,\"a\":1}}")
	                     ->envelope,
	             "{\"client_id\":\"1.2\",\"x\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
	             "\"i\":1,\"j\":1,\"k\":1,\"l\":1,"
	             "\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1,\"s\":1}}");
}

/* ---- bytes ---- */

static void parameters_keep_their_bytes(void **state)
{
	static const char params[] = "{ \"a\" : 1e2,\"b\":-0, \"c\":1.10,\"d\":12345678901234567890 "
	                             ",\"e\":\"\\u00e9\\/\\ud83d\\ude00\xc3\xa9\","
	                             "\"f\":0.1000,\"items\":[ { \"price\" : 1E+2 } ] }";
	struct fixture *f = *state;
	char line[1024], wanted[1024];

	snprintf(line, sizeof(line), "{\"params\":%s,\"client_id\":\"1.2\",\"name\":\"n\"}", params);
	snprintf(wanted, sizeof(wanted), "{\"name\":\"n\",\"params\":%s}", params);
	assert_slice(read_off(f, line)->events[0].body, wanted);
	assert_slice(f->result.sub->events[0].name, "n");
	snprintf(line, sizeof(line),
	         "{\"client_id\":\"1.2\",\"events\":[{\"params\":%s,\"name\":\"n\"},{\"name\":\"m\"}]}", params);
	assert_slice(read_off(f, line)->events[0].body, wanted);
	assert_slice(f->result.sub->events[1].body, "{\"name\":\"m\"}");
	assert_int_equal(f->result.sub->n_events, 2);
}

/* A payload from the HTTP door may have many lines: what is stored has one. */
static void line_feeds_become_spaces(void **state)
{
	assert_slice(read_off(*state, "{\"client_id\":\"1.2\",\n\"events\":[{\"name\":\"n\",\n\"params\":{\n\"a\":"
	                              "\n\"\\n\"\n}\n}]}")
	                     ->events[0]
	                     .body,
	             "{\"name\":\"n\",\"params\":{ \"a\": \"\\n\" }}");
}

static void off_keeps_what_it_does_not_know(void **state)
{
	const struct submission *sub = read_off(*state, "{\"client_id\":\"1.2\",\"x\":1,\"events\":[{\"y\":[ 1 "
	                                                "],\"name\":\"a\\\"b\",\"timestamp_micros\":7}]}");

	assert_slice(sub->envelope, "{\"client_id\":\"1.2\",\"x\":1}");
	assert_slice(sub->events[0].body, "{\"name\":\"a\\\"b\",\"y\":[ 1 ]}");
	assert_slice(sub->events[0].name, "a\\\"b");
}

static void one_block_holds_everything(void **state)
{
	struct fixture *f = *state;
	const struct submission *sub = read_off(
	        f, "{\"client_id\":\"GA1.1.7.8\",\"dedup_key\":\"k\\u00e9\",\"stream\":\"web\",\"name\":\"n\"}");

	assert_ptr_equal(sub, f->block);
	assert_slice(sub->client, "7.8");
	assert_slice(sub->dedup_key, "k\xc3\xa9");
	assert_int_equal(sub->sid, 1);
	assert_int_equal(sub->refs, 1);
	assert_int_equal(sub->first_id, 0);
	assert_true(sub->accepted_us == FIXTURE_WALL);
	assert_int_equal(f->result.stream, 0);
	assert_slice(read_off(f, "{\"app_instance_id\":\"AB\",\"stream\":\"app\",\"name\":\"n\"}")->client, "AB");
	assert_int_equal(f->result.stream, 1);
	assert_int_equal(f->result.sub->sid, 2);
	assert_int_equal(f->result.sub->dedup_key.n, 0);
}

/* ---- cookies ---- */

static void client_id_cookies(void **state)
{
	static const char *const cases[][2] = {
	        {"GA1.1.123.456", "123.456"},
	        {"GA1.2.123.456", "123.456"},
	        {"GA1.2-2.123.456", "123.456"},
	        {"GA1.10-3.1.2", "1.2"},
	        {"GA2.1.1.2", "1.2"},
	        {"123.456", NULL},
	        {"GA1.1.123", NULL},
	        {"GA1.1.1.2.3", NULL},
	        {"GA1.1.a.2", NULL},
	        {"GA1.1.1.2 ", NULL},
	        {"ga1.1.1.2", NULL},
	        {"GA1.1-.1.2", NULL},
	        {"GA.1.1.2", NULL},
	        {"GA1.1..2", NULL},
	        {"GA1.1.1.", NULL},
	        {"", NULL},
	        {"GA1.-2.1.2", NULL},
	        {"GA1", NULL},
	        {"GA1-1.1.2", NULL},
	        {"GA1.x.1.2", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice id = SLICE_LIT("untouched");

		assert_int_equal(cookie_client_id(slice_of(cases[i][0]), &id), cases[i][1] != NULL);
		assert_slice(id, cases[i][1] ? cases[i][1] : "untouched");
	}
}

static void session_cookies(void **state)
{
	static const char *const cases[][2] = {
	        {"GS1.1.1700000000.3.1.1700000100.0.0.0", "1700000000"},
	        {"GS1.1.1700000000", "1700000000"},
	        {"GS1.2-2.5.1", "5"},
	        {"GS2.1.s1700000000$o1$g0$t1700000000$j60$l0$h0", "1700000000"},
	        {"GS2.1-2.s5", "5"},
	        {"GS2.1.o3$s1700000000$g1", "1700000000"},
	        {"GS1.1.0.1", NULL},
	        {"GS1.1.000", NULL},
	        {"GS1.1.12a.1", NULL},
	        {"GS1.1..1", NULL},
	        {"GS2.1.s17x$o1", NULL},
	        {"GS2.1.1700000000$o1", NULL},
	        {"GS2.1.s$o1", NULL},
	        {"GS2.1.sx$o1", NULL},
	        {"GS2.1.$$$", NULL},
	        {"GS2.1.", NULL},
	        {"GS1.1.9999999999999999999", "9999999999999999999"},
	        {"GS1.1.99999999999999999999", NULL},
	        {"GA1.1.1.2", NULL},
	        {"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice id = SLICE_LIT("untouched");

		assert_int_equal(cookie_session_id(slice_of(cases[i][0]), &id), cases[i][1] != NULL);
		if (cases[i][1])
			assert_slice(id, cases[i][1]);
	}
}

static void session_is_filled_in(void **state)
{
	struct fixture *f = *state;
	const struct submission *sub =
	        read_off(f, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\"},{\"name\":\"b\",\"params\":{ "
	                    "}},{\"name\":\"c\",\"params\":{ \"x\":1}},"
	                    "{\"name\":\"d\",\"params\":{\"session_id\":9}}],\"session_cookie\":\"GS2.1.s17$o1\"}");

	assert_slice(sub->events[0].body, "{\"name\":\"a\",\"params\":{\"session_id\":\"17\"}}");
	assert_slice(sub->events[1].body, "{\"name\":\"b\",\"params\":{\"session_id\":\"17\" }}");
	assert_slice(sub->events[2].body, "{\"name\":\"c\",\"params\":{\"session_id\":\"17\", \"x\":1}}");
	assert_slice(sub->events[3].body, "{\"name\":\"d\",\"params\":{\"session_id\":9}}");
	assert_slice(sub->envelope, "{\"client_id\":\"1.2\"}");
}

/* The whole cookie for its number, with judging and without; null says that there is none, unless null is sent on. */
static void session_of_an_event_and_of_a_line(void **state)
{
	static const struct {
		unsigned flags;
		const char *line, *own, *session; /* the line's cookie; what the event has; what is sent */
	} cases[] = {
	        {WEB, NULL, "\"GS1.1.1700000000.3\"", "\"1700000000\""},
	        {OFF, NULL, "\"GS2.1.o3$s1700000000$g1\"", "\"1700000000\""},
	        {OFF, NULL, "\"17\"", "\"17\""},
	        {OFF, NULL, "null", "null"},
	        {OFF, "GS1.1.5.1", "null", "null"},
	        {OFF, "GS1.1.5.1", "\"GS1.1.6.1\"", "\"6\""},
	        {WEB, "GS1.1.5.1", "6", "6"},
	        {WEB, "GS1.1.5.1", "\"GS1.1.6.1\"", "\"6\""},
	};
	struct fixture *f = *state;
	char line[256], wanted[256];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fixture_set(f, cases[i].flags);
		snprintf(line, sizeof(line),
		         "{\"client_id\":\"1.2\",\"session_cookie\":%s%s%s,\"name\":\"a\",\"params\":{\"session_id\":"
		         "%s,"
		         "\"engagement_time_msec\":1}}",
		         cases[i].line ? "\"" : "", cases[i].line ? cases[i].line : "null", cases[i].line ? "\"" : "",
		         cases[i].own);
		snprintf(wanted, sizeof(wanted),
		         "{\"name\":\"a\",\"params\":{\"session_id\":%s,\"engagement_time_msec\":1}}",
		         cases[i].session);
		assert_string_equal(fixture_read(f, line), "ok");
		assert_slice(f->result.sub->events[0].body, wanted);
	}
	fixture_set(f, WEB);
	assert_string_equal(fixture_read(f, "{\"client_id\":\"1.2\",\"session_cookie\":\"GS1.1.5.1\",\"name\":\"a\","
	                                    "\"params\":{\"session_id\":null,\"engagement_time_msec\":1}}"),
	                    "ok VALUE_INVALID:params.session_id");
	assert_slice(f->result.sub->events[0].body,
	             "{\"name\":\"a\",\"params\":{\"session_id\":\"5\",\"engagement_time_msec\":1}}");
}

/* ---- times ---- */

static void times_are_own_inherited_or_now(void **state)
{
	struct fixture *f = *state;
	const struct submission *sub;

	fixture_set(f, OFF);
	sub = read_off(f, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"timestamp_micros\":"
	                  "\"1759999999999999\"},{\"name\":\"b\"}],"
	                  "\"timestamp_micros\":1759999999999990}");
	assert_true(sub->events[0].time_us == 1759999999999999);
	assert_true(sub->events[1].time_us == 1759999999999990);
	assert_true(sub->events[0].props_us == 1759999999999990);
	sub = read_off(f, "{\"client_id\":\"1.2\",\"name\":\"a\"}");
	assert_true(sub->events[0].time_us == FIXTURE_WALL);
	assert_true(sub->events[0].props_us == 0);
	sub = read_off(f, "{\"client_id\":\"1.2\",\"name\":\"a\",\"timestamp_micros\":1759999999999990}");
	assert_true(sub->events[0].time_us == 1759999999999990);
	assert_true(sub->events[0].props_us == 0); /* an Event line's time is its event's own */
	sub = read_off(f, "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"value\":1}},\"timestamp_micros\":"
	                  "1759999999999990}");
	assert_int_equal(sub->n_events, 1);
	assert_int_equal(sub->events[0].body.n, 0);
	assert_int_equal(sub->events[0].name.n, 0);
	assert_true(sub->events[0].time_us == 1759999999999990);
}

static void skew_becomes_now(void **state)
{
	static const unsigned modes[] = {WEB, OFF};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		fixture_set(f, modes[i]);
		fixture_read(f, "{\"client_id\":\"1.2\",\"name\":\"a\",\"timestamp_micros\":1760000300000000}");
		assert_non_null(f->result.sub);
		assert_true(f->result.sub->events[0].time_us == FIXTURE_WALL);
	}
}

static void max_age_is_the_configuration_s(void **state)
{
	struct fixture *f = *state;
	static const char line[] =
	        "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{\"session_id\":1,\"engagement_time_msec\":1},"
	        "\"timestamp_micros\":1759996400000000}";

	fixture_set(f, WEB);
	f->ctx.max_age_us = US_PER_H;
	assert_string_equal(fixture_read(f, line), "ok");
	f->ctx.max_age_us = US_PER_H - 1;
	assert_string_equal(fixture_read(f, line), "TIMESTAMP_EXPIRED:timestamp_micros");
	f->ctx.max_age_us = 72 * US_PER_H;
}

/* ---- sizes ---- */

/* {"client_id":"1.2","events":[{"name":"a","params":{"x":"…"},"timestamp_micros":1760000000000000}]} less the … */
static const size_t request_overhead =
        sizeof("{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"params\":{\"x\":\"\"},"
               "\"timestamp_micros\":1760000000000000}]}") -
        1;

static const char *read_request_of(struct fixture *f, const char *format, size_t bytes)
{
	char line[256];

	snprintf(line, sizeof(line), format, bytes - request_overhead);
	return fixture_read(f, line);
}

static void requests_below_130000_bytes(void **state)
{
	static const char event[] = "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{\"x\":\"~%zu:y~\"}}";
	static const char payload[] = "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"b\"},{\"name\":\"a\","
	                              "\"params\":{\"x\":\"~%zu:y~\"}}]}";
	struct fixture *f = *state;

	fixture_set(f, OFF);
	assert_string_equal(read_request_of(f, event, 129999), "ok");
	assert_string_equal(read_request_of(f, event, 130000), "VALUE_OUT_OF_BOUNDS:");
	assert_non_null(strstr(f->result.refusal.message, "130000"));
	assert_string_equal(read_request_of(f, payload, 129999), "ok");
	assert_string_equal(read_request_of(f, payload, 130000), "VALUE_OUT_OF_BOUNDS:events[1]");
	fixture_set(f, STRICT); /* a warning earlier in the line comes first */
	assert_string_equal(read_request_of(f, event, 130000), "VALUE_OUT_OF_BOUNDS:params.x");
	/* Many small events together are split, not refused. */
	fixture_set(f, OFF);
	assert_string_equal(
	        fixture_read(f,
	                     "{\"client_id\":\"1.2\",\"events\":[~1000,{\"name\":\"a\",\"params\":{\"x\":"
	                     "\"0123456789012345678901234567890123456789012345678901234567890123456789012345\","
	                     "\"y\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}}~]}"),
	        "ok");
	assert_int_equal(f->result.sub->n_events, 1000);
}

/* Only user properties: the envelope alone counts, with the times that they are given. */
static void requests_without_events_have_a_size_too(void **state)
{
	static const char line[] = "{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"value\":\"~%zu:y~\"}}}";
	static const size_t overhead =
	        sizeof("{\"client_id\":\"1.2\",\"user_properties\":{\"a\":{\"timestamp_micros\":"
	               "1760000000000000,\"value\":\"\"}},\"timestamp_micros\":1760000000000000}") -
	        1;
	struct fixture *f = *state;
	char text[256];

	fixture_set(f, OFF);
	snprintf(text, sizeof(text), line, 129999 - overhead);
	assert_string_equal(fixture_read(f, text), "ok");
	snprintf(text, sizeof(text), line, 130000 - overhead);
	assert_string_equal(fixture_read(f, text), "VALUE_OUT_OF_BOUNDS:");
}

/* Every request repeats what stands beside the events: a payload that is mostly repetition is warned of. */
static void a_large_envelope_is_worth_a_warning(void **state)
{
	static const char some[] = "{\"client_id\":\"1.2\",\"user_agent\":\"~%u:y~\",\"events\":[~%u,{\"name\":\"a\","
	                           "\"params\":{\"session_id\":1,\"engagement_time_msec\":1,\"x\":\"%s\"}}~]}";
	static const char x90[] =
	        "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
	static const struct {
		unsigned envelope, events;
		const char *x, *verdict;
	} cases[] = {
	        {9000, 25, "", "ok"},  /* one request */
	        {8000, 100, "", "ok"}, /* not large */
	        {9000, 26, "", "ok VALUE_OUT_OF_BOUNDS:user_agent"},
	        {9000, 1000, "", "ok VALUE_OUT_OF_BOUNDS:user_agent"},
	        {9000, 26, x90, "ok VALUE_OUT_OF_BOUNDS:user_agent"},
	        {90000, 1000, x90, "ok VALUE_OUT_OF_BOUNDS:user_agent"},
	};
	struct fixture *f = *state;
	char text[1024];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), some, cases[i].envelope, cases[i].events, cases[i].x);
		fixture_set(f, WEB);
		assert_string_equal(fixture_read(f, text), cases[i].verdict);
		fixture_set(f, OFF);
		assert_string_equal(fixture_read(f, text), "ok");
		fixture_set(f, STRICT);
		assert_string_equal(fixture_read(f, text), cases[i].verdict + (strlen(cases[i].verdict) > 2 ? 3 : 0));
	}
	fixture_set(f, WEB);
	snprintf(text, sizeof(text), some, 9000, 26, "");
	fixture_read(f, text);
	assert_non_null(memmem(f->result.warnings_json.p, f->result.warnings_json.n,
	                       "each of this payload's 2 requests", 33));
	/* Events that are larger together than what is repeated. */
	assert_string_equal(
	        fixture_read(f, "{\"client_id\":\"1.2\",\"user_agent\":\"~9000:y~\",\"events\":[~50,{\"name\":\"a\","
	                        "\"params\":{\"session_id\":1,\"engagement_time_msec\":1,"
	                        "\"a\":\"01234567890123456789012345678901234567890123456789\","
	                        "\"b\":\"01234567890123456789012345678901234567890123456789\","
	                        "\"c\":\"01234567890123456789012345678901234567890123456789\","
	                        "\"d\":\"01234567890123456789012345678901234567890123456789\","
	                        "\"e\":\"01234567890123456789012345678901234567890123456789\"}}~]}"),
	        "ok");
}

/* ---- warnings and messages ---- */

static void at_most_20_warnings(void **state)
{
	struct fixture *f = *state;
	const char *verdict;

	fixture_set(f, WEB);
	verdict = fixture_read(f, "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{~18,\"p$\":null~}}");
	assert_null(strstr(verdict, "omitted"));
	assert_int_equal(f->result.warning_counts[CODE_VALUE_INVALID], 18);
	assert_int_equal(f->result.warning_counts[CODE_VALUE_REQUIRED], 2);
	verdict = fixture_read(f, "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{~19,\"p$\":null~}}");
	assert_non_null(strstr(verdict, "+1 omitted"));
	assert_null(strstr(verdict, "engagement_time_msec"));
	assert_int_equal(f->result.warning_counts[CODE_VALUE_REQUIRED], 2);
	fixture_read(
	        f, "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{\"session_id\":1,\"engagement_time_msec\":1}}");
	assert_int_equal(f->result.warnings_json.n, 0);
	assert_int_equal(f->result.warning_counts[CODE_VALUE_INVALID], 0);
}

/* That of the requests is found last, and listed all the same: it takes the place of the 20th. */
static void the_warning_of_a_large_envelope_is_never_omitted(void **state)
{
	static const unsigned events[] = {30, 26, 1000}; /* with two warnings each */
	struct fixture *f = *state;
	char line[256], omitted[64];

	fixture_set(f, WEB);
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		const char *verdict, *last;

		snprintf(line, sizeof(line),
		         "{\"client_id\":\"1.2\",\"user_agent\":\"~9000:y~\",\"events\":[~%u,{\"name\":\"a\"}~]}",
		         events[i]);
		verdict = fixture_read(f, line);
		snprintf(omitted, sizeof(omitted), " VALUE_OUT_OF_BOUNDS:user_agent +%u omitted",
		         2 * events[i] + 1 - 20);
		last = strstr(verdict, omitted);
		assert_non_null(last);
		assert_string_equal(last, omitted);
		assert_int_equal(f->result.warning_counts[CODE_VALUE_REQUIRED], 2 * events[i]);
		assert_int_equal(f->result.warning_counts[CODE_VALUE_OUT_OF_BOUNDS], 1);
		for (unsigned n = 0; n < 19; n++)
			verdict = strstr(verdict + 1, "VALUE_REQUIRED");
		assert_non_null(verdict);
		assert_null(strstr(verdict + 1, "VALUE_REQUIRED"));
	}
}

static void messages_advise(void **state)
{
	static const char *const cases[][2] = {
	        {"{\"clientid\":\"1.2\",\"name\":\"a\"}", "did you mean 'client_id'"},
	        {"{\"client_id\":\"1.2\",\"stream\":\"wbe\",\"name\":\"a\"}", "did you mean 'web'"},
	        {"{\"client_id\":\"1.2\",\"name\":\"a\",\"consent\":{\"ad_userdata\":\"GRANTED\"}}",
	         "did you mean 'ad_user_data'"},
	        {"{\"client_id\":\"1.2\",\"name\":\"a\",\"transaction_id\":\"T\"}", "belongs into params"},
	        {"{\"client_id\":\"1.2\",\"name\":\"~41:a~\"}", "40 characters at most"},
	        {"{\"client_id\":\"1.2\",\"name\":\"a\",\"user_id\":\"~257:a~\"}", "256"},
	        {"{\"client_id\":\"1.2\",\"events\":[~1001,{\"name\":\"a\"}~]}", "1001 events"},
	        {"{\"client_id\":\"1.2\",\"name\":\"a\",\"timestamp_micros\":1}", "72 hours"},
	};
	struct fixture *f = *state;

	fixture_set(f, WEB);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fixture_read(f, cases[i][0]);
		if (f->result.sub || !strstr(f->result.refusal.message, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], f->result.refusal.message);
	}
}

/* Names of any length and content: what is told stays one line of valid JSON, and says no value. */
static void hostile_names(void **state)
{
	static const char *const lines[] = {
	        "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{\"~300:😀~\":null}}",
	        "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{\"\\u0000\\n\\\"\\\\~500:é~\":\"canary\"}}",
	        "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{\"a~254:é~\":null}}",
	        "{\"client_id\":\"1.2\",\"name\":\"~90:漢~\"}",
	        "{\"client_id\":\"1.2\",\"stream\":\"~900:漢~\",\"name\":\"a\"}",
	        "{\"client_id\":\"1.2\",\"name\":\"a\",\"\\u007f\\r~999:x~\":\"canary\"}",
	        "{\"client_id\":\"1.2\",\"name\":\"a\",\"user_id\":\"canary~300:x~\"}",
	        "{\"client_id\":\"canary\",\"name\":\"a\",\"params\":{\"currency\":\"canary\",\"value\":\"canary\"}}",
	        "{\"client_id\":\"1.2\",\"user_id\":\"u\",\"user_data\":{\"sha256_phone_number\":\"canary\"}}",
	};
	struct fixture *f = *state;
	struct json_in *json = json_in_new(32);
	_cleanup_(buf_free) struct buf reply = BUF_INIT(1 << 20);

	fixture_set(f, WEB);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const struct json_doc *doc;
		struct err err;

		assert_int_equal(event_in_read(f->in, fixture_expand(f, lines[i]), &f->ctx, FIXTURE_WALL,
		                               fixture_alloc, f, &f->result),
		                 0);
		buf_clear(&reply);
		if (f->result.sub)
			assert_int_equal(reply_write_ok(&reply, 1, 1, false, f->result.warnings_json), 0);
		else
			assert_int_equal(reply_write_refusal(&reply, &f->result.refusal), 0);
		assert_int_equal(json_in_read(json, (struct slice){reply.data, reply.len - 1}, &doc, &err), 0);
		assert_null(memchr(reply.data, '\n', reply.len - 1));
		assert_null(memmem(reply.data, reply.len, "canary", 6));
	}
	json_in_free(json);
}

static void memory_runs_out(void **state)
{
	struct fixture *f = *state;
	struct line_result before = {.stream = 77}, after = before;

	fixture_set(f, OFF);
	f->no_memory = true;
	assert_int_equal(event_in_read(f->in, SLICE_LIT("{\"client_id\":\"1.2\",\"name\":\"a\"}"), &f->ctx,
	                               FIXTURE_WALL, fixture_alloc, f, &after),
	                 -ENOMEM);
	f->no_memory = false;
	assert_memory_equal(&before, &after, sizeof(before));
	assert_string_equal(fixture_read(f, "{\"client_id\":\"1.2\",\"name\":\"a\"}"), "ok");
}

static void carriage_return_is_space(void **state)
{
	assert_slice(read_off(*state, "{\"client_id\":\"1.2\",\"name\":\"a\"}\r")->events[0].body,
	             "{\"name\":\"a\"}");
}

/* ---- replies ---- */

static void replies(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	struct finding refusal = {CODE_QUEUE_FULL, "a\"b", "say \\ \xc3\xa9", SUB_NONE};

	(void)state;
	assert_int_equal(reply_write_ok(&b, 4711, 1, false, (struct slice){NULL, 0}), 0);
	assert_slice(buf_slice(&b), "{\"ok\":true,\"id\":4711,\"count\":1}\n");
	buf_clear(&b);
	assert_int_equal(reply_write_ok(&b, UINT64_MAX, 1000, true, SLICE_LIT(",\"warnings\":[]")), 0);
	assert_slice(buf_slice(&b),
	             "{\"ok\":true,\"id\":18446744073709551615,\"count\":1000,\"duplicate\":true,\"warnings\":[]}\n");
	buf_clear(&b);
	assert_int_equal(reply_write_refusal(&b, &refusal), 0);
	assert_slice(buf_slice(&b), "{\"ok\":false,\"code\":\"QUEUE_FULL\",\"field\":\"a\\\"b\",\"message\":\"say "
	                            "\\\\ \xc3\xa9\",\"retry\":true}\n");
	buf_clear(&b);
	refusal.code = CODE_NAME_RESERVED;
	assert_int_equal(reply_write_refusal(&b, &refusal), 0);
	assert_non_null(memmem(b.data, b.len, "\"retry\":false", 13));
}

static void replies_fit_or_fail_whole(void **state)
{
	static const char ok[] = "{\"ok\":true,\"id\":7,\"count\":1}\n";
	struct finding refusal = {CODE_VALUE_INVALID, "f", "m", SUB_NONE};
	_cleanup_(buf_free) struct buf exact = BUF_INIT(sizeof(ok) - 1), small = BUF_INIT(sizeof(ok) - 2);

	(void)state;
	assert_int_equal(reply_write_ok(&exact, 7, 1, false, (struct slice){NULL, 0}), 0);
	assert_slice(buf_slice(&exact), ok);
	assert_int_equal(reply_write_ok(&small, 7, 1, false, (struct slice){NULL, 0}), -ENOBUFS);
	assert_int_equal(reply_write_refusal(&small, &refusal), -ENOBUFS);
	assert_int_equal(small.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(envelopes_are_equal_as_values),
	        cmocka_unit_test(envelopes_differ_by_value),
	        cmocka_unit_test(members_are_sorted_by_bytes),
	        cmocka_unit_test(parameters_keep_their_bytes),
	        cmocka_unit_test(line_feeds_become_spaces),
	        cmocka_unit_test(off_keeps_what_it_does_not_know),
	        cmocka_unit_test(one_block_holds_everything),
	        cmocka_unit_test(client_id_cookies),
	        cmocka_unit_test(session_cookies),
	        cmocka_unit_test(session_of_an_event_and_of_a_line),
	        cmocka_unit_test(session_is_filled_in),
	        cmocka_unit_test(times_are_own_inherited_or_now),
	        cmocka_unit_test(skew_becomes_now),
	        cmocka_unit_test(max_age_is_the_configuration_s),
	        cmocka_unit_test(requests_below_130000_bytes),
	        cmocka_unit_test(requests_without_events_have_a_size_too),
	        cmocka_unit_test(a_large_envelope_is_worth_a_warning),
	        cmocka_unit_test(at_most_20_warnings),
	        cmocka_unit_test(the_warning_of_a_large_envelope_is_never_omitted),
	        cmocka_unit_test(messages_advise),
	        cmocka_unit_test(hostile_names),
	        cmocka_unit_test(memory_runs_out),
	        cmocka_unit_test(carriage_return_is_space),
	        cmocka_unit_test(replies),
	        cmocka_unit_test(replies_fit_or_fail_whole),
	};

	return cmocka_run_group_tests(tests, fixture_up, fixture_down);
}
