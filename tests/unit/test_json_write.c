/* test_json_write.c - JSON that is written: each verb, bytes that are no UTF-8, and mistakes that are told at the end
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "json/json_write.h"

static void each_verb(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct json_out *j;

	assert_int_equal(buf_append_slice(&out, SLICE_LIT("before ")), 0);
	j = json_out_begin(&out);
	json_out_object(j);
	json_out_kv_str(j, "s", "a\"b\n");
	json_out_kv_str(j, "none", NULL);
	json_out_kv_i64(j, "i", INT64_MIN);
	json_out_kv_double(j, "d", 0.1);
	json_out_kv_double(j, "inf", INFINITY);
	json_out_kv_bool(j, "b", true);
	json_out_key(j, "raw");
	json_out_raw(j, SLICE_LIT("1e400"));
	json_out_key(j, "list");
	json_out_array(j);
	json_out_slice(j, SLICE_LIT("\xff"
	                            "ok\xc3"));
	json_out_slice(j, (struct slice){NULL, 0});
	json_out_close(j);
	assert_int_equal(json_out_end(j), 0); /* closes the object */
	assert_int_equal(buf_append_char(&out, '\0'), 0);
	assert_string_equal(out.data,
	                    "before {\"s\":\"a\\\"b\\n\",\"none\":null,\"i\":-9223372036854775808,\"d\":0.1,"
	                    "\"inf\":null,\"b\":true,\"raw\":1e400,"
	                    "\"list\":[\"\xef\xbf\xbdok\xef\xbf\xbd\",\"\"]}");
}

static void nest(struct json_out *j, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		json_out_array(j);
}

static void close_too_much(struct json_out *j)
{
	json_out_array(j);
	json_out_close(j);
	json_out_close(j);
}

static void no_name(struct json_out *j)
{
	json_out_object(j);
	json_out_i64(j, 1);
}

static void too_deep(struct json_out *j)
{
	nest(j, 65);
	json_out_object(j);
}

/* The first error stays; what was written of the value is taken back. */
static void mistakes_are_told_at_the_end(void **state UNUSED)
{
	void (*const mistakes[])(struct json_out *) = {close_too_much, no_name, too_deep};

	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
		struct json_out *j;

		assert_int_equal(buf_append_slice(&out, SLICE_LIT("before")), 0);
		j = json_out_begin(&out);
		mistakes[i](j);
		json_out_str(j, "after");
		assert_int_equal(json_out_end(j), -EINVAL);
		assert_int_equal(out.len, 6);
	}
}

static void as_deep_as_it_goes(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct json_out *j = json_out_begin(&out);

	nest(j, 64);
	assert_int_equal(json_out_end(j), 0);
	assert_int_equal(out.len, 128);
}

static void a_full_buffer(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(8);
	struct json_out *j = json_out_begin(&out);

	json_out_array(j);
	json_out_str(j, "0123456789");
	json_out_slice(j, SLICE_LIT("\xff"));
	assert_int_equal(json_out_end(j), -ENOBUFS);
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_verb),
	        cmocka_unit_test(mistakes_are_told_at_the_end),
	        cmocka_unit_test(as_deep_as_it_goes),
	        cmocka_unit_test(a_full_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
