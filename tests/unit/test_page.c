/* test_page.c - what the live page keeps and says of lines and events */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ga4/hint.h"
#include "ga4/realtime.h"
#include "http/page/journal.h"
#include "http/page/journal_json.h"

/* ---- the rules ---- */

static void expect_realtime(const char *event, int64_t age_us, const char *why_not)
{
	struct json_in *in = json_in_new(8);
	const struct json_doc *d;
	const char *got;

	assert_int_equal(json_in_read(in, slice_of(event), &d, NULL), 0);
	got = realtime_why_not(d, age_us);
	if (why_not)
		assert_string_equal(got, why_not);
	else
		assert_null(got);
	json_in_free(in);
}

static void realtime(void **state)
{
	static const char neither[] = "it lacks session_id and a positive engagement_time_msec";
	static const char both[] = "{\"name\":\"a\",\"params\":{\"session_id\":1,\"engagement_time_msec\":\"1\"}}";

	(void)state;
	expect_realtime("{\"name\":\"a\"}", 0, neither);
	expect_realtime("{\"name\":\"a\",\"params\":[]}", 0, neither);
	expect_realtime("{\"params\":{\"session_id\":null,\"engagement_time_msec\":{}}}", 0, neither);
	expect_realtime("{\"params\":{\"engagement_time_msec\":1}}", 0, "it lacks session_id");
	expect_realtime("{\"params\":{\"session_id\":\"1\",\"engagement_time_msec\":0}}", 0,
	                "it lacks a positive engagement_time_msec");
	expect_realtime("{\"params\":{\"session_id\":\"1\",\"engagement_time_msec\":\"x\"}}", 0,
	                "it lacks a positive engagement_time_msec");
	expect_realtime(both, 30 * US_PER_MIN, NULL);
	expect_realtime(both, 30 * US_PER_MIN + 1, "it happened more than 30 minutes ago");
}

static void every_code_has_a_hint(void **state)
{
	(void)state;
	for (int code = CODE_NONE + 1; code < CODE_COUNT; code++)
		assert_non_null(hint_of((enum code)code));
}

/* ---- the journal ---- */

static char conf_stream_name[] = "web";
static struct conf_stream stream = {.name = conf_stream_name};
static struct conf conf = {.streams = &stream, .n_streams = 1};
static struct stream_rules rules[1] = {{.sid = 1}};
static struct streams streams = {.conf = &conf, .rules = rules, .context = {.streams = rules, .n_streams = 1}};

/* A submission and its events, which lie behind it as in one of intake's. */
struct one {
	union {
		struct submission sub;
		char block[sizeof(struct submission) + 2 * sizeof(struct event)];
	};
};

static struct one one_of(const char *body, uint64_t id, uint32_t n)
{
	struct one o = {.sub = {.sid = 1,
	                        .accepted_us = 1000,
	                        .envelope = SLICE_LIT("{\"client_id\":\"1.2\"}"),
	                        .client = SLICE_LIT("1.2"),
	                        .first_id = id,
	                        .n_events = n}};

	for (uint32_t i = 0; i < n; i++)
		o.sub.events[i] = (struct event){.body = slice_of(body), .name = {body + 9, 1}, .time_us = 1000};
	return o;
}

static char *entry_text(const struct journal_entry *e, bool is_update)
{
	struct buf out = BUF_INIT(1 << 20);

	assert_int_equal(journal_write(&out, e, &streams, is_update), 0);
	assert_int_equal(buf_append_char(&out, '\0'), 0);
	return out.data;
}

static void accept_line(struct journal *j, struct one *o, const char *line, const char *warnings)
{
	journal_line(j,
	             &(struct tap_line){.line = slice_of(line),
	                                .sub = &o->sub,
	                                .first_id = o->sub.first_id,
	                                .warnings_json = slice_of(warnings)},
	             2000);
}

static void step(struct journal *j, const struct one *o, enum tap_what what, int status)
{
	journal_event(j,
	              &(struct tap_event){.what = what,
	                                  .sub = &o->sub,
	                                  .id = o->sub.first_id,
	                                  .attempts = 1,
	                                  .request_events = 3,
	                                  .last_status = status,
	                                  .last_error = "no"},
	              3000);
}

static void expect_has(char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s is not in %s", part, text);
}

static void what_an_operator_did(void **state)
{
	static const uint64_t ids[] = {6, 7};
	static const char *const said[] = {[TAP_QUEUED] = "\"state\":\"queued\",\"reason\":null",
	                                   [TAP_HELD] = "\"state\":\"held\"",
	                                   [TAP_DROPPED] = "\"because\":\"an operator dropped it\""};
	struct one o = one_of("{\"name\":\"a\",\"params\":{}}", 7, 1);
	struct journal j;

	(void)state;
	assert_int_equal(journal_init(&j, true, 5000), 0);
	accept_line(&j, &o, "the line", "");
	for (size_t what = TAP_QUEUED; what <= TAP_DROPPED; what++) {
		uint64_t seen = j.last;
		const struct journal_entry *e;
		char *text;

		journal_act(&j, (enum tap_act)what, ids, 2, 4000);
		assert_int_equal(j.last, seen + 1);
		e = journal_after(&j, seen);
		assert_non_null(e);
		text = entry_text(e, true);
		expect_has(text, said[what]);
		free(text);
	}
	assert_int_equal(j.n, 1);
	journal_free(&j);
}

static void an_event_and_its_states(void **state)
{
	struct one o = one_of("{\"name\":\"a\",\"params\":{}}", 7, 1);
	struct journal j;
	const struct journal_entry *e;
	uint64_t seen;
	char *text;

	(void)state;
	assert_int_equal(journal_init(&j, true, 5000), 0);
	assert_null(journal_after(&j, 0));
	accept_line(&j, &o, "the line", ",\"warnings\":[{\"code\":\"X\"}]");
	step(&j, &o, TAP_ACCEPTED, 0);
	e = journal_after(&j, 0);
	assert_int_equal(e->changed, 5001);
	text = entry_text(e, false);
	expect_has(text, "\"verdict\":\"warned\"");
	expect_has(text, "\"state\":\"queued\"");
	expect_has(text, "\"stream\":\"web\"");
	expect_has(text, "\"line\":\"the line\"");
	expect_has(text, "\"warnings\":[{\"code\":\"X\"}]");
	expect_has(text, "\"because\":\"it lacks session_id and");
	free(text);
	seen = e->changed;
	for (int i = 0; i < JOURNAL_STEPS; i++) {
		step(&j, &o, TAP_SENT, 0);
		step(&j, &o, TAP_FAILED, 503);
	}
	step(&j, &o, TAP_DELIVERED, 204);
	e = journal_after(&j, seen);
	assert_int_equal(e->n_steps, JOURNAL_STEPS);
	assert_int_equal(e->steps[0].state, JOURNAL_QUEUED);
	assert_int_equal(e->steps[JOURNAL_STEPS - 1].status, 204);
	assert_null(journal_after(&j, e->changed));
	text = entry_text(e, true);
	expect_has(text, "\"state\":\"delivered\"");
	expect_has(text, "\"request_events\":3");
	expect_has(text, "\"update\":true");
	assert_null(strstr(text, "the line"));
	free(text);
	journal_free(&j);
}

static void an_event_of_the_process_before(void **state)
{
	struct one o = one_of("{\"name\":\"a\",\"params\":{}}", 9, 1);
	struct journal j;
	char *text;

	(void)state;
	assert_int_equal(journal_init(&j, true, 1), 0);
	step(&j, &o, TAP_DEAD, 400);
	text = entry_text(journal_after(&j, 0), false);
	expect_has(text, "\"event_id\":9");
	expect_has(text, "\"state\":\"dead\"");
	expect_has(text, "\"because\":\"it was not delivered\"");
	free(text);
	journal_free(&j);
}

/* Of a line, only its events' names, and the code of its refusal. */
static void without_contents(void **state)
{
	struct one o = one_of("{\"name\":\"a\",\"params\":{\"SECRET\":1}}", 7, 1);
	const struct finding refusal = {.code = CODE_NAME_INVALID, .field = "SECRET", .message = "SECRET"};
	struct journal j;
	char *text;

	(void)state;
	o.sub.client = SLICE_LIT("SECRET");
	assert_int_equal(journal_init(&j, false, 1), 0);
	accept_line(&j, &o, "SECRET", ",\"warnings\":[\"SECRET\"]");
	journal_line(&j, &(struct tap_line){.line = SLICE_LIT("SECRET"), .refusal = &refusal}, 2);
	for (const struct journal_entry *e = journal_after(&j, 0); e; e = TAILQ_NEXT(e, by_change)) {
		text = entry_text(e, false);
		assert_null(strstr(text, "SECRET"));
		expect_has(text, e->id ? "\"name\":\"a\"" : "\"code\":\"NAME_INVALID\"");
		free(text);
	}
	assert_int_equal(j.n, 2);
	journal_free(&j);
}

static unsigned forgotten;

static void on_forget(void *arg, const struct journal_entry *e)
{
	(void)arg, (void)e;
	forgotten++;
}

static void memory_is_bounded(void **state)
{
	static char line[64 << 10];
	struct one two = one_of("{\"name\":\"a\",\"params\":{}}", 1, 2);
	struct journal j;

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	assert_int_equal(journal_init(&j, true, 1), 0);
	j.on_forget = on_forget;
	for (int i = 0; i < 3000; i++) {
		two.sub.first_id = (uint64_t)(1 + 2 * i);
		accept_line(&j, &two, line, "");
		assert_true(j.n <= JOURNAL_ENTRIES && j.bytes <= JOURNAL_BYTES);
	}
	assert_int_equal(forgotten, 6000 - j.n);
	assert_int_equal(j.by_id.len, j.n);
	accept_line(&j, &two, line, "");
	journal_free(&j);
}

static void a_duplicate_is_told_from_the_first(void **state)
{
	struct one o = one_of("{\"name\":\"a\",\"params\":{}}", 0, 1);
	struct journal j;
	char *text;

	(void)state;
	assert_int_equal(journal_init(&j, true, 1), 0);
	journal_line(&j,
	             &(struct tap_line){.line = SLICE_LIT("x"), .sub = &o.sub, .first_id = 4, .is_duplicate = true},
	             2);
	text = entry_text(journal_after(&j, 0), false);
	expect_has(text, "\"verdict\":\"duplicate\"");
	expect_has(text, "\"state\":null");
	expect_has(text, "\"event_id\":4");
	expect_has(text, "it is a duplicate");
	free(text);
	journal_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(realtime),
	        cmocka_unit_test(every_code_has_a_hint),
	        cmocka_unit_test(an_event_and_its_states),
	        cmocka_unit_test(what_an_operator_did),
	        cmocka_unit_test(an_event_of_the_process_before),
	        cmocka_unit_test(without_contents),
	        cmocka_unit_test(memory_is_bounded),
	        cmocka_unit_test(a_duplicate_is_told_from_the_first),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
