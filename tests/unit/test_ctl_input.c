/* test_ctl_input.c - lines for send and validate: blank ones, the last one, export's objects, endless ones */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/input.h"

static char path[] = "/tmp/ga4relay-test-input.XXXXXX";

static void open_with(struct input *in, const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(input_open(in, path), CTL_DONE);
}

static enum input_got next(struct input *in, struct slice *ret)
{
	enum input_got got;

	while ((got = input_next(in, ret)) == INPUT_MORE)
		assert_int_equal(input_fill(in), 0);
	return got;
}

static void expect(struct input *in, uint64_t number, const char *text)
{
	struct slice line;

	assert_int_equal(next(in, &line), INPUT_LINE);
	assert_int_equal(in->number, number);
	assert_int_equal(line.n, strlen(text));
	assert_memory_equal(line.p, text, line.n);
}

static void numbers_lines_as_an_editor_does(void **state UNUSED)
{
	static const char text[] = "{\"a\":1}\n\n \t\r\n{\"b\":2}\r\nlast";
	struct slice line;
	struct input in;

	open_with(&in, text, sizeof(text) - 1);
	expect(&in, 1, "{\"a\":1}");
	expect(&in, 4, "{\"b\":2}\r");
	expect(&in, 5, "last");
	assert_int_equal(next(&in, &line), INPUT_END);
	assert_int_equal(next(&in, &line), INPUT_END);
	input_close(&in);
}

static void unwraps_what_export_printed(void **state UNUSED)
{
	static const char text[] = "{\"id\":1,\"line\":\"{\\\"client_id\\\":\\\"1\\\",\\\"v\\\":1e3}\"}\n"
	                           "{\"client_id\":\"1\",\"name\":\"x\",\"params\":{\"line\":\"4\"}}\n"
	                           "{\"line\":5}\n"
	                           "{\"line\":\"cut";
	struct input in;

	open_with(&in, text, sizeof(text) - 1);
	expect(&in, 1, "{\"client_id\":\"1\",\"v\":1e3}");
	expect(&in, 2, "{\"client_id\":\"1\",\"name\":\"x\",\"params\":{\"line\":\"4\"}}");
	expect(&in, 3, "{\"line\":5}");
	expect(&in, 4, "{\"line\":\"cut");
	input_close(&in);
}

static void skips_an_endless_line_in_bounded_memory(void **state UNUSED)
{
	size_t n = 2 * (size_t)INPUT_LINE_MAX;
	char *text = malloc(n + 16);
	struct slice line;
	struct input in;

	assert_non_null(text);
	memset(text, 'x', n);
	strcpy(text + n, "\n{\"a\":1}\n");
	open_with(&in, text, n + 9);
	assert_int_equal(next(&in, &line), INPUT_LONG);
	assert_int_equal(in.number, 1);
	assert_true(in.buf.cap <= 3 * (size_t)INPUT_LINE_MAX);
	expect(&in, 2, "{\"a\":1}");
	assert_int_equal(next(&in, &line), INPUT_END);
	input_close(&in);
	free(text);
}

static void an_empty_file_has_no_lines(void **state UNUSED)
{
	struct slice line;
	struct input in;

	open_with(&in, "", 0);
	assert_int_equal(next(&in, &line), INPUT_END);
	input_close(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers_lines_as_an_editor_does),
	        cmocka_unit_test(unwraps_what_export_printed),
	        cmocka_unit_test(skips_an_endless_line_in_bounded_memory),
	        cmocka_unit_test(an_empty_file_has_no_lines),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
