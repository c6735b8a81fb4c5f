/* test_retry_after.c - every form of Retry-After that was seen, and what it must become */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "net/http_client/retry_after_header.h"

/* Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110. */
#define NOW_US (INT64_C(784111777) * US_PER_S)

struct form {
	const char *text;
	int64_t seconds; /* -1: not usable */
};

static const struct form forms[] = {
        {"0", 0},
        {"1", 1},
        {" 120 \r\n", 120},
        {"3599", 3599},
        {"3600", 3600},
        {"3601", 3600},
        {"86400", 3600},
        {"18446744073709551615", 3600},
        {"18446744073709551616", -1},
        {"99999999999999999999999999", -1},
        {"", -1},
        {"  ", -1},
        {"-1", -1},
        {"+5", -1},
        {"1.5", -1},
        {"5s", -1},
        {"1e3", -1},
        {"0x10", -1},
        {"soon", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:47 GMT", 10},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60},
        {"Sun Nov  6 08:50:37 1994", 60},
        {"Sun, 06 Nov 1994 12:00:00 GMT", 3600},
        {"Sun, 06 Nov 1994 08:49:36 GMT", -1},
        {"Fri, 31 Dec 1999 23:59:59 GMT", 3600},
        {"Thu, 01 Jan 1970 00:00:00 GMT", -1},
        {"Sun, 99 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:47", -1},
        {"Sun, 06 Nov 1994 08:49:47 GMT GMT", -1},
        {"06 Nov 1994 08:49:47 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT and a lot of text that makes it longer than any date is", -1},
};

static void every_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		int64_t want = forms[i].seconds < 0 ? -1 : forms[i].seconds * US_PER_S;
		int64_t got = http_retry_after(slice_of(forms[i].text), NOW_US);

		if (got != want)
			fail_msg("'%s': %lld instead of %lld", forms[i].text, (long long)got, (long long)want);
	}
}

static void a_date_s_microseconds(void **state)
{
	static const struct form dates[] = {
	        {" Sun, 06 Nov 1994 08:49:37 GMT\r\n", 784111777},
	        {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
	        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
	        {"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648}, /* the first second beyond 32 bits */
	        {"Sunday, 01-Jan-40 00:00:00 GMT", 2208988800},
	        {"Fri Jan  6 23:59:59 2040", 2209507199},
	        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
	        {"Sun, 08 Nov 36011994 00:00:00 GMT", 0},
	        {"784111777", 0},
	        {"", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dates); i++)
		if (http_date_us(slice_of(dates[i].text)) != dates[i].seconds * US_PER_S)
			fail_msg("'%s': %lld", dates[i].text, (long long)http_date_us(slice_of(dates[i].text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_form),
	        cmocka_unit_test(a_date_s_microseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
