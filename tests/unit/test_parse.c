/* test_parse.c - numbers, durations and sizes are read whole or not at all */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"

static int u64(const char *text, uint64_t *ret)
{
	return parse_u64(slice_of(text), ret);
}

static void unsigned_numbers(void **state)
{
	static const char *const wrong[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1e3", "a"};
	uint64_t v = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(u64(wrong[i], &v), -EINVAL);
	assert_int_equal(u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(u64("99999999999999999999999", &v), -ERANGE);
	assert_int_equal(v, 42);
	assert_int_equal(u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(u64("007", &v), 0);
	assert_int_equal(v, 7);
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} right[] = {
	        {"0", 0},
	        {"0s", 0},
	        {"200ms", 200000},
	        {"30s", 30000000},
	        {"5m", 300000000},
	        {"72h", 72 * US_PER_H},
	        {"7d", 7 * US_PER_DAY},
	        {"9223372036854s", INT64_C(9223372036854000000)},
	};
	static const char *const wrong[] = {"",    "5",    "00",   "10",  "s",   "5 s",  "5S",
	                                    "5us", "5min", "1.5s", "-5s", "5s ", "1h30m"};
	int64_t us = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		assert_int_equal(parse_duration_us(slice_of(right[i].text), &us), 0);
		assert_true(us == right[i].us);
	}
	us = 42;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(parse_duration_us(slice_of(wrong[i]), &us), -EINVAL);
	assert_int_equal(parse_duration_us(SLICE_LIT("9223372036855s"), &us), -ERANGE);
	assert_int_equal(parse_duration_us(SLICE_LIT("99999999999999999999d"), &us), -ERANGE);
	assert_int_equal(us, 42);
}

static void sizes(void **state)
{
	static const char *const wrong[] = {"", "1", "1024", "K", "1k", "1KB", "1 K", "1.5G", "-1K"};
	uint64_t v = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(parse_size(slice_of(wrong[i]), &v), -EINVAL);
	assert_int_equal(parse_size(SLICE_LIT("17179869184G"), &v), -ERANGE);
	assert_int_equal(v, 42);
	assert_int_equal(parse_size(SLICE_LIT("17179869183G"), &v), 0);
	assert_true(v == UINT64_C(17179869183) << 30);
	assert_int_equal(parse_size(SLICE_LIT("64K"), &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(parse_size(SLICE_LIT("0"), &v), 0);
	assert_int_equal(v, 0);
}

static void formats_read_back(void **state)
{
	static const char *const same[] = {"0", "1ms", "200ms", "30s", "90s", "5m", "23h", "3d", "1001ms"};
	static const char *const same_sizes[] = {"0", "64K", "1M", "8G", "1025K"};
	char text[32];
	int64_t us;
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		assert_int_equal(parse_duration_us(slice_of(same[i]), &us), 0);
		assert_string_equal(format_duration(us, text), same[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(same_sizes); i++) {
		assert_int_equal(parse_size(slice_of(same_sizes[i]), &v), 0);
		assert_string_equal(format_size(v, text), same_sizes[i]);
	}
	assert_string_equal(format_duration(72 * US_PER_H, text), "3d");
	assert_string_equal(format_duration(1500, text), "1ms");
	assert_string_equal(format_duration(-1, text), "0");
	assert_string_equal(format_size(1000, text), "1000");
	assert_string_equal(format_size(UINT64_MAX, text), "18446744073709551615");
}

static void json_numbers_equal_strtod(void **state)
{
	static const char *const right[] = {
	        "0",
	        "-0",
	        "9.5",
	        "-9.50",
	        "19.99",
	        "0.1",
	        "123456789012345",
	        "1e3",
	        "1E+3",
	        "1.5e-3",
	        "1e-400",
	        "1.797e308",
	        "5e-324",
	        "0.000000000000001",
	        "1234567890.12345",
	        "999999999999999.9",
	        "9223372036854775808",
	        "0.30000000000000004",
	        "-1e308",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		double v = NAN, want = strtod(right[i], NULL);

		assert_int_equal(parse_json_double(slice_of(right[i]), &v), 0);
		assert_memory_equal(&v, &want, sizeof(v)); /* to the bit, the sign of zero too */
	}
}

static void json_numbers_that_are_none(void **state)
{
	static const char *const wrong[] = {"",    "-",     "+1",   "01",  "-01", ".5", "5.", "1e",
	                                    "1e+", "1e1.5", "0x10", "NaN", "inf", "1 ", " 1", "1,5"};
	char digits[1000];
	double v = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(parse_json_double(slice_of(wrong[i]), &v), -EINVAL);
	assert_int_equal(parse_json_double(SLICE_LIT("1e400"), &v), -ERANGE);
	assert_int_equal(parse_json_double(SLICE_LIT("-1e400"), &v), -ERANGE);
	memset(digits, '9', sizeof(digits));
	assert_int_equal(parse_json_double((struct slice){digits, sizeof(digits)}, &v), -ERANGE);
	assert_true(v == 42);
	assert_int_equal(parse_json_double((struct slice){digits, 300}, &v), 0);
	assert_true(v == 1e300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(unsigned_numbers),
	        cmocka_unit_test(durations),
	        cmocka_unit_test(sizes),
	        cmocka_unit_test(formats_read_back),
	        cmocka_unit_test(json_numbers_equal_strtod),
	        cmocka_unit_test(json_numbers_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
