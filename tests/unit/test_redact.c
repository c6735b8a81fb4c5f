/* test_redact.c - a secret that an error page quotes does not reach the outbox */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/macros.h"
#include "daemon/redact.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(covers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
