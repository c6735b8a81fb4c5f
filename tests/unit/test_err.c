/* test_err.c - sentences stay one line, whole characters, and keep their code */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

static void set_writes_and_returns_the_code(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, -EINVAL, "%s:%d: wrong", "a.conf", 7), -EINVAL);
	assert_string_equal(e.text, "a.conf:7: wrong");
	assert_int_equal(err_set(NULL, -ENOMEM, "nobody hears"), -ENOMEM);
}

static void each_code_has_a_text(void **state)
{
	(void)state;
	assert_string_equal(err_text(-EINVAL), strerror(EINVAL));
	assert_string_equal(err_text(-EUCLEAN), strerror(EUCLEAN));
	assert_string_equal(err_text(-E_DAMAGED), "the file is damaged");
}

static void prefix_comes_before(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, -EIO, "disk"), -EIO);
	assert_int_equal(err_prefix(&e, -EACCES, "reading %s", "x"), -EACCES);
	assert_string_equal(e.text, "reading x: disk");
	assert_int_equal(err_prefix(NULL, -EACCES, "x"), -EACCES);
}

static void no_control_character_survives(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, -1, "a\nb\x1b[31mc\x7f");
	assert_string_equal(e.text, "a?b?[31mc?");
	err_prefix(&e, -1, "p\n");
	assert_string_equal(e.text, "p?: a?b?[31mc?");
}

static void long_text_is_cut_on_a_character(void **state)
{
	char text[600];
	struct err e;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text + 509, "\xe2\x82\xac\xe2\x82\xac",
	       6); /* bytes 509..511 are one character, one too many for the NUL */
	text[599] = '\0';
	err_set(&e, -1, "%s", text);
	assert_int_equal(strlen(e.text), 509);
	assert_int_equal(utf8_check(e.text, 509), 509);
	err_prefix(&e, -1, "b");
	assert_int_equal(strlen(e.text), 511);
}

static void prefix_that_leaves_no_room_is_left_out(void **state)
{
	char text[600];
	struct err e;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[599] = '\0';
	err_set(&e, -1, "cause");
	err_prefix(&e, -1, "%s", text);
	assert_string_equal(e.text, "cause");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(set_writes_and_returns_the_code),
	        cmocka_unit_test(each_code_has_a_text),
	        cmocka_unit_test(prefix_comes_before),
	        cmocka_unit_test(no_control_character_survives),
	        cmocka_unit_test(long_text_is_cut_on_a_character),
	        cmocka_unit_test(prefix_that_leaves_no_room_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
