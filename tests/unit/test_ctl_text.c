/* test_ctl_text.c - what people read: figures at their boundaries, and hostile names on a terminal */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ctl/output/terminal_text.h"

static void durations(void **state UNUSED)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
	        {-1, "0s"},
	        {0, "0s"},
	        {999999, "0s"},
	        {1000000, "1s"},
	        {59 * US_PER_S, "59s"},
	        {60 * US_PER_S, "1m00s"},
	        {3599 * US_PER_S, "59m59s"},
	        {3600 * US_PER_S, "1h00m"},
	        {86399 * US_PER_S, "23h59m"},
	        {86400 * US_PER_S, "1d00h"},
	        {100 * US_PER_DAY - 1, "99d23h"},
	        {100 * US_PER_DAY, "100d"},
	};
	char buf[16];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(text_duration(cases[i].us, buf), cases[i].text);
		assert_true(strlen(buf) <= 6);
	}
	assert_string_equal(text_duration(INT64_MAX, buf), "106751991d");
}

static void times_are_absolute_and_relative(void **state UNUSED)
{
	const int64_t at = INT64_C(1795471124) * US_PER_S;
	char buf[64];

	assert_string_equal(text_when(at, at + 192 * US_PER_S, buf), "2026-11-23 21:58:44 (3m12s ago)");
	assert_string_equal(text_when(at, at, buf), "2026-11-23 21:58:44 (0s ago)");
	assert_string_equal(text_when(at, at - 5 * US_PER_S, buf), "2026-11-23 21:58:44 (in 5s)");
	assert_string_equal(text_time_short(at, buf), "11-23 21:58");
}

static void counts_and_bytes(void **state UNUSED)
{
	char buf[32];

	assert_string_equal(text_count(0, buf), "0");
	assert_string_equal(text_count(999, buf), "999");
	assert_string_equal(text_count(1000, buf), "1,000");
	assert_string_equal(text_count(1234567, buf), "1,234,567");
	assert_string_equal(text_count(UINT64_MAX, buf), "18,446,744,073,709,551,615");
	assert_string_equal(text_bytes(1023, buf), "1023 B");
	assert_string_equal(text_bytes(1024, buf), "1.0 KiB");
	assert_string_equal(text_bytes(1024 * 1024 - 1, buf), "1.0 MiB");
	assert_string_equal(text_bytes(UINT64_C(8) << 30, buf), "8.0 GiB");
	assert_string_equal(text_bytes(UINT64_MAX, buf), "16.0 EiB");
}

static void check_safe(const char *in, size_t n, const char *out)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);

	assert_int_equal(text_safe(&b, (struct slice){in, n}), 0);
	assert_int_equal(b.len, strlen(out));
	assert_memory_equal(b.data, out, b.len);
}
#define CHECK_SAFE(in, out) check_safe(in, sizeof(in) - 1, out)

static void terminals_are_not_steered(void **state UNUSED)
{
	CHECK_SAFE("plain \xc3\xa4\xf0\x9f\x98\x80", "plain \xc3\xa4\xf0\x9f\x98\x80");
	CHECK_SAFE("\033[2Jx", "\\x1b[2Jx");
	CHECK_SAFE("a\nb\rc\td\0e", "a\\x0ab\\x0dc\\x09d\\x00e");
	CHECK_SAFE("\x7f", "\\x7f");
	CHECK_SAFE("\xc2\x9b"
	           "31m",
	           "\\u{009b}31m");              /* CSI as one character */
	CHECK_SAFE("\xe2\x80\xae", "\\u{202e}"); /* right-to-left override */
	CHECK_SAFE("\xc2\xa0", "\xc2\xa0");      /* the first after C1 */
	CHECK_SAFE("\xff\xc3", "\\xff\\xc3");
	CHECK_SAFE("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
}

static void json_keeps_its_value(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);

	assert_int_equal(text_safe_json(&b, SLICE_LIT("{\"a\":\"\xc2\x9b\x7f\xc3\xa4\"}")), 0);
	assert_int_equal(b.len, strlen("{\"a\":\"\\u009b\\u007f\xc3\xa4\"}"));
	assert_memory_equal(b.data, "{\"a\":\"\\u009b\\u007f\xc3\xa4\"}", b.len);
	assert_false(text_is_safe(SLICE_LIT("\xc2\x9b")));
	assert_true(text_is_safe(SLICE_LIT("{\"a\":\"\xc3\xa4\"}")));
}

static void check_cell(struct slice s, size_t width, bool right, const char *out)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);

	assert_int_equal(text_cell(&b, s, width, right), 0);
	assert_int_equal(b.len, strlen(out));
	assert_memory_equal(b.data, out, b.len);
}

static void cells_have_their_width(void **state UNUSED)
{
	check_cell(SLICE_LIT("ab"), 4, false, "ab  ");
	check_cell(SLICE_LIT("ab"), 4, true, "  ab");
	check_cell(SLICE_LIT("abcd"), 4, false, "abcd");
	check_cell(SLICE_LIT("abcde"), 4, false, "abc\xe2\x80\xa6");
	check_cell(SLICE_LIT("\xc3\xa4\xc3\xa4\xc3\xa4"), 3, false, "\xc3\xa4\xc3\xa4\xc3\xa4");
	check_cell(SLICE_LIT("\xc3\xa4\xc3\xa4\xc3\xa4"), 2, false, "\xc3\xa4\xe2\x80\xa6");
	check_cell(SLICE_LIT("\033x"), 5, false, "\\x1bx");
	/* Two columns each; a combining mark takes none. */
	check_cell(SLICE_LIT("東京"), 6, false, "東京  ");
	check_cell(SLICE_LIT("東京都"), 5, false, "東京…");
	check_cell(SLICE_LIT("東京都"), 4, false, "東… ");
	check_cell(SLICE_LIT("e\xcc\x81x"), 3, false, "e\xcc\x81x ");
	check_cell(SLICE_LIT(""), 2, false, "  ");
	check_cell((struct slice){NULL, 0}, 1, true, " ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(durations),
	        cmocka_unit_test(times_are_absolute_and_relative),
	        cmocka_unit_test(counts_and_bytes),
	        cmocka_unit_test(terminals_are_not_steered),
	        cmocka_unit_test(json_keeps_its_value),
	        cmocka_unit_test(cells_have_their_width),
	};
	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
