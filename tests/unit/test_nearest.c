/* test_nearest.c - a slip of the finger is recognized, another word is not */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/nearest.h"

static const char *const names[] = {"max_batch", "max_age", "linger",    "timeout",
                                    "id",        "name",    "retry_min", "retry_max"};

static const char *near(const char *name)
{
	return nearest_name(slice_of(name), names, ARRAY_LEN(names));
}

static void slips(void **state)
{
	(void)state;
	assert_string_equal(near("max_bacth"), "max_batch"); /* swap */
	assert_string_equal(near("max_batc"), "max_batch");
	assert_string_equal(near("maxx_batch"), "max_batch");
	assert_string_equal(near("lingr"), "linger");
	assert_string_equal(near("nmae"), "name");
	assert_string_equal(near("timeuot"), "timeout");
	assert_string_equal(near("retry_mim"), "retry_min");
	assert_string_equal(near("timeout"), "timeout");
}

static void a_third_is_the_limit(void **state)
{
	static const char *const nine[] = {"abcdefghi"};

	(void)state;
	assert_string_equal(nearest_name(SLICE_LIT("abcdefXYZ"), nine, 1), "abcdefghi"); /* 3 of 9 */
	assert_null(nearest_name(SLICE_LIT("abcdeWXYZ"), nine, 1));                      /* 4 of 9 */
}

static void other_words(void **state)
{
	char huge[100] = {0};

	(void)state;
	assert_null(near("ballast"));
	assert_null(near("x"));
	assert_null(near("xy"));
	assert_null(near(""));
	assert_null(nearest_name((struct slice){huge, sizeof(huge)}, names, ARRAY_LEN(names)));
	assert_null(nearest_name(SLICE_LIT("name"), names, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(slips),
	        cmocka_unit_test(a_third_is_the_limit),
	        cmocka_unit_test(other_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
