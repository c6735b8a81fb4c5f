/* test_utf8.c - every boundary of strict UTF-8, at every alignment of the fast path */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/macros.h"
#include "base/utf8.h"

static void encode(uint32_t c, size_t n, char out[4])
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(n == 1 ? c : lead[n] | c);
}

static size_t shortest(uint32_t c)
{
	return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

static void every_code_point(void **state)
{
	char text[4];

	(void)state;
	for (uint32_t c = 0; c < 0x1fffff; c++) {
		bool valid = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
		size_t n = shortest(c);

		encode(c, n, text);
		assert_int_equal(utf8_check(text, n), valid ? n : 0);
		if (n > 1)
			assert_int_equal(utf8_check(text, n - 1), 0);
		if (n < 4) { /* the same one byte longer: overlong */
			encode(c, n + 1, text);
			assert_int_equal(utf8_check(text, n + 1), 0);
		}
	}
}

static void reports_the_first_wrong_byte(void **state)
{
	char text[70];

	(void)state;
	for (size_t at = 0; at < sizeof(text); at++) {
		static const char wrong[] = {(char)0x80, (char)0xbf, (char)0xc0, (char)0xc1, (char)0xf5, (char)0xff};

		for (size_t i = 0; i < sizeof(wrong); i++) {
			memset(text, 'a', sizeof(text));
			text[at] = wrong[i];
			assert_int_equal(utf8_check(text, sizeof(text)), at);
		}
		memset(text, 'a', sizeof(text));
		if (at + 3 <= sizeof(text)) {
			memcpy(text + at, "\xe2\x82\xac", 3);
			assert_int_equal(utf8_check(text, sizeof(text)), sizeof(text));
			assert_int_equal(utf8_check(text, at + 2), at);
			text[at + 2] = 'x';
			assert_int_equal(utf8_check(text, sizeof(text)), at);
		}
	}
	assert_int_equal(utf8_check("", 0), 0);
}

static void counts_code_points(void **state)
{
	(void)state;
	assert_int_equal(utf8_count("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10), 4);
	assert_int_equal(utf8_count("", 0), 0);
}

static void truncates_between_characters(void **state)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

	(void)state;
	for (size_t max = 0; max < ARRAY_LEN(want); max++)
		assert_int_equal(utf8_truncate(text, 10, max), want[max]);
	assert_int_equal(utf8_truncate("\x80\x80\x80\x80\x80\x80", 6, 5), 5);
}

static void drops_a_cut_character(void **state)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(want); n++)
		assert_int_equal(utf8_whole(text, n), want[n]);
	assert_int_equal(utf8_whole("\x80\x80\x80\x80", 4), 4); /* no character began here */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_code_point),      cmocka_unit_test(reports_the_first_wrong_byte),
	        cmocka_unit_test(counts_code_points),    cmocka_unit_test(truncates_between_characters),
	        cmocka_unit_test(drops_a_cut_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
