/* test_redact.c - a secret that an error page quotes does not reach the outbox */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "conf/redact.h"
#include "conf/redact_line.h"

static void covers(void **state)
{
	static const struct {
		const char *url, *text, *want;
	} cases[] = {
	        {"https://h/mp?measurement_id=G-1&api_secret=s3cr-et", "GET /mp?api_secret=s3cr-et failed, s3cr-et.",
	         "GET /mp?api_secret=******* failed, *******."},
	        {"https://h/?api_secret=a%2Bb%26c", "a+b&c or a%2Bb%26c", "***** or *********"},
	        {"https://h/?api_secret=s3cr-et", "cut in the middle: s3cr-", "cut in the middle: *****"},
	        {"https://h/?api_secret=s3cr-et", "no telltale: s3c", "no telltale: s3c"},
	        {"https://h/?api_secret=aaaa", "aaaaaaaaa", "********a"},
	        {"https://h/?api_secret=", "nothing to hide", "nothing to hide"},
	        {"https://h/", "nothing to hide", "nothing to hide"},
	        {"https://h/?api_secret=s3cr-et", "", ""},
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "%s", cases[i].text);
		redact_answer(text, cases[i].url);
		assert_string_equal(text, cases[i].want);
	}
}

static void covers_lines(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	        {"{\"x\":\"s3/cr et\"}", "{\"x\":\"********\"}"},
	        {"s3/cr ets3/cr et", "****************"},
	        {"s3\\/cr et", "*********"},
	        {"\\u0073\\u0033/cr et", "******************"},
	        {"s3%2Fcr%20et s3%2fcr%20et", "************ ************"},
	        {"s3\\u00252Fcr%20et", "*****************"},
	        {"s3\\u002Fcr et\\u00e4\\ud83d\\ude00", "*************\\u00e4\\ud83d\\ude00"},
	        {"second \\\"q\\\" and \"q\"9", "second *******nd \"q\"9"},
	        {"p%61ss", "******"},
	        {"cut off: s3/cr", "cut off: *****"},
	        {"cut off: s3%2Fcr", "cut off: *******"},
	        {"no telltale: s3/", "no telltale: s3/"},
	        {"bad escapes: \\u00 \\x % %2 \\", "bad escapes: \\u00 \\x % %2 \\"},
	        {"", ""},
	};
	struct conf_stream streams[] = {{.secret = (char *)(uintptr_t) "s3/cr et"},
	                                {.secret = (char *)(uintptr_t) "\"q\" a"},
	                                {.secret = (char *)(uintptr_t) "pass"},
	                                {.secret = NULL}};
	struct conf conf = {.streams = streams, .n_streams = ARRAY_LEN(streams)};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "%s", cases[i].text);
		redact_line(text, strlen(text), &conf);
		assert_string_equal(text, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(covers),
	        cmocka_unit_test(covers_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
