/* test_messages.c - a refusal's words: the offending name, the limit, and what was probably meant */
#include "line_fixture.h"

#include "base/macros.h"

#define X "{\"client_id\":\"1.2\",\"name\":\"x\","
#define P X "\"params\":{\"session_id\":1,\"engagement_time_msec\":1,"

struct row {
	const char *line, *words[3];
};
/* All in strict mode, where a warning is a refusal with the same words. */
static const struct row rows[] = {
        /* the nearest known member, wherever an unknown one stands */
        {X "\"parms\":{}}", {"'parms'", "did you mean 'params'?"}},
        {X "\"userid\":\"u\"}", {"'userid'", "did you mean 'user_id'?"}},
        {X "\"value\":1}", {"'value'", "belongs into params"}},
        {X "\"consent\":{\"ad_userdata\":\"GRANTED\"}}", {"'ad_userdata'", "did you mean 'ad_user_data'?"}},
        {X "\"device\":{\"modell\":\"x\"}}", {"'modell'", "did you mean 'model'?"}},
        {X "\"user_location\":{\"town\":\"x\",\"citi\":\"x\"}}", {"'town'"}},
        {X "\"user_properties\":{\"a\":{\"val\":1}}}", {"'val'", "did you mean 'value'?"}},
        {X "\"user_properties\":{\"a\":{\"timestamp\":1}}}", {"'timestamp'", "value and timestamp_micros"}},
        {"{\"client_id\":\"1.2\",\"events\":[{\"nme\":\"x\"}]}", {"'nme'", "did you mean 'name'?"}},
        {"{\"client_id\":\"1.2\",\"events\":[{\"parms\":{}}]}", {"'parms'", "did you mean 'params'?"}},
        {"{\"client_id\":\"1.2\",\"events\":[{\"value\":1}]}", {"'value'", "belongs into params"}},
        {"{\"client_id\":\"1.2\",\"params\":{},\"events\":[{\"name\":\"x\"}]}", {"'params'", "stands in an event"}},
        /* the name and the limit */
        {P "\"a\":\"~101:x~\"}}", {"'a'", "101", "100"}},
        {P "\"page_title\":\"~301:x~\"}}", {"'page_title'", "301", "300"}},
        {P "\"a\":null}}", {"'a'"}},
        {P "\"items\":[{\"item_id\":\"i\",\"b\":[]}]}}", {"'b'"}},
        {P "\"a\":1e400}}", {"'a'", "1.8e308"}},
        {P "\"~41:n~\":1}}", {"40 characters", "'nnnn"}},
        {P "\"ga_session_id\":1}}", {"'ga_session_id'", "you probably mean session_id"}},
        {P "\"c\":1,~25,\"p$\":1~}}", {"28 parameters", "25"}},
        {X "\"user_properties\":{\"tier\":{\"value\":\"~37:x~\"}}}", {"'tier'", "37", "36"}},
        {X "\"user_properties\":{\"tier\":{\"value\":null}}}", {"'tier'"}},
        {X "\"user_id\":\"u\",\"user_data\":{\"sha256_email_address\":\"a@b.c\"}}", {"'sha256_email_address'", "64"}},
        {X "\"user_id\":\"u\",\"user_data\":{\"sha256_phone_number\":[\"5\"]}}", {"this value", "64"}},
        {X "\"user_id\":\"~257:u~\"}", {"user_id", "256"}},
        {X "\"timestamp_micros\":1700000000}", {"72 hours ago", "delivery.max_age", "16 digits"}},
        {"{\"client_id\":\"1.2\",\"name\":\"~41:n~\"}", {"40 characters", "'nnnn"}},
        {"{\"client_id\":\"1.2\",\"name\":\"ad_click\"}", {"'ad_click'"}},
};

static void judge_row(struct fixture *f, const struct row *row)
{
	const char *message;

	assert_int_equal(event_in_read(f->in, fixture_expand(f, row->line), &f->ctx, FIXTURE_WALL, fixture_alloc, f,
	                               &f->result),
	                 0);
	assert_null(f->result.sub);
	message = f->result.refusal.message;
	for (size_t w = 0; w < ARRAY_LEN(row->words) && row->words[w]; w++)
		if (!strstr(message, row->words[w]))
			fail_msg("%s\n  is answered: %s\n  without: %s", row->line, message, row->words[w]);
}

/* What strict mode refuses for another reason before. */
static void words_of_standard(void **state)
{
	static const struct row standard[] = {
	        {"{\"client_id\":\"1.2\",\"user_data\":{\"sha256_email_address\":\"a@b.c\"},\"events\":[]}",
	         {"neither user_properties nor user_data", "hash"}},
	        {"{\"client_id\":\"1.2\",\"events\":[]}", {"neither user_properties nor user_data"}},
	};
	struct fixture *f = *state;

	fixture_set(f, WEB);
	for (size_t i = 0; i < ARRAY_LEN(standard); i++)
		judge_row(f, &standard[i]);
}

static void one_hour_is_no_hours(void **state)
{
	static const struct row hour = {X "\"timestamp_micros\":1700000000}", {"1 hour ago"}};
	struct fixture *f = *state;

	fixture_set(f, STRICT);
	f->ctx.max_age_us = US_PER_H;
	judge_row(f, &hour);
}

static void words(void **state)
{
	struct fixture *f = *state;

	fixture_set(f, STRICT);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		judge_row(f, &rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(words),
	        cmocka_unit_test(words_of_standard),
	        cmocka_unit_test(one_hour_is_no_hours),
	};

	return cmocka_run_group_tests(tests, fixture_up, fixture_down);
}
