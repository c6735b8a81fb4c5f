/* test_buf.c - a buffer grows to its maximum and not a byte further */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "sanitized.h"

static void holds(const struct buf *b, const char *text)
{
	assert_int_equal(b->len, strlen(text));
	assert_memory_equal(b->data, text, b->len);
}

static void appends_up_to_the_maximum(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(5);

	(void)state;
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	assert_int_equal(buf_append(&b, "def", 3), -ENOBUFS);
	holds(&b, "abc");
	assert_int_equal(buf_append(&b, "de", 2), 0);
	assert_int_equal(buf_append_char(&b, 'f'), -ENOBUFS);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	holds(&b, "abcde");
	assert_true(b.cap <= b.max);
}

static void printf_fills_the_last_byte(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(5);

	(void)state;
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_printf(&b, "%d", 123), 0);
	assert_int_equal(buf_printf(&b, "%d", 456), -ENOBUFS);
	holds(&b, "123");
	assert_int_equal(buf_printf(&b, "%d", 45), 0);
	holds(&b, "12345");
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(buf_printf(&b, "%s", "x"), -ENOBUFS);
}

static void integers_at_their_ends(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(200);

	(void)state;
	assert_int_equal(buf_append_u64(&b, UINT64_MAX), 0);
	assert_int_equal(buf_append_char(&b, ' '), 0);
	assert_int_equal(buf_append_i64(&b, INT64_MIN), 0);
	assert_int_equal(buf_append_char(&b, ' '), 0);
	assert_int_equal(buf_append_i64(&b, 0), 0);
	assert_int_equal(buf_append_slice(&b, SLICE_LIT(" end")), 0);
	holds(&b, "18446744073709551615 -9223372036854775808 0 end");
}

static void reserve_never_overflows(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1000);

	(void)state;
	assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, 1000), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, 999), 0);
	assert_true(b.cap == 1000);
	holds(&b, "x");
}

static void no_memory_leaves_the_content(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(SIZE_MAX - 1);

	(void)state;
	assert_int_equal(buf_append(&b, "x", 1), 0);
	/* No malloc gives more than PTRDIFF_MAX; sanitizers abort on such a request instead of failing it. */
	if (!SANITIZED)
		assert_int_equal(buf_reserve(&b, SIZE_MAX / 2 + 1), -ENOMEM);
	holds(&b, "x");
}

static void consume_moves_the_rest_to_the_front(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_append(&b, "hello", 5), 0);
	buf_consume(&b, 0);
	holds(&b, "hello");
	buf_consume(&b, 2);
	holds(&b, "llo");
	buf_consume(&b, 3);
	assert_int_equal(b.len, 0);
}

static void trim_keeps_what_is_in_use(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(10000);
	char big[5000] = {0};

	(void)state;
	assert_int_equal(buf_append(&b, big, sizeof(big)), 0);
	buf_trim(&b, 100);
	assert_true(b.cap >= 5000);
	buf_clear(&b);
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	buf_trim(&b, 100);
	assert_int_equal(b.cap, 100);
	holds(&b, "abc");
	buf_clear(&b);
	buf_trim(&b, 0);
	assert_null(b.data);
	assert_int_equal(b.max, 10000);
	assert_int_equal(buf_append(&b, "again", 5), 0);
	holds(&b, "again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(appends_up_to_the_maximum),    cmocka_unit_test(printf_fills_the_last_byte),
	        cmocka_unit_test(integers_at_their_ends),       cmocka_unit_test(reserve_never_overflows),
	        cmocka_unit_test(no_memory_leaves_the_content), cmocka_unit_test(consume_moves_the_rest_to_the_front),
	        cmocka_unit_test(trim_keeps_what_is_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
