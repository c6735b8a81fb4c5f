/* test_log.c - a line is one line, of the level asked for, and floods are counted */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* Whatever is logged between begin() and end() lands in a file. */
static FILE *captured;
static int real_stderr;
static char text[8192];

static void begin(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static const char *end(void)
{
	ssize_t n;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	n = pread(fileno(captured), text, sizeof(text) - 1, 0);
	fclose(captured);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void journal_prefix_and_levels(void **state)
{
	(void)state;
	begin();
	log_init(LOG_LEVEL_INFO, true);
	log_error("one %d", 1);
	log_info("two");
	log_debug("three");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("four");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("five");
	assert_string_equal(end(), "<3>one 1\n<6>two\n<7>four\n");
}

static void terminal_prefix_is_a_time_and_a_word(void **state)
{
	int year, month, day, h, m, s, ms, at = 0;

	(void)state;
	begin();
	log_init(LOG_LEVEL_INFO, false);
	log_warning("hot");
	end();
	assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &h, &m, &s, &ms, &at),
	                 7);
	assert_string_equal(text + at, "warning: hot\n");
}

static void nobody_forges_a_line(void **state)
{
	(void)state;
	begin();
	log_init(LOG_LEVEL_INFO, true);
	log_info("%s", "name\n<3>forged\x1b[2J\x7f\xc3\xa9");
	assert_string_equal(end(), "<6>name?<3>forged?[2J?\xc3\xa9\n");
}

/* Logs under the journal as JSON, and compares what follows the time. */
static void as_json(const char *message, const char *expected)
{
	const char *rest;

	begin();
	log_init(LOG_LEVEL_INFO, true);
	log_set_format(LOG_FORMAT_JSON);
	log_info("%s", message);
	log_set_format(LOG_FORMAT_TEXT);
	end();
	assert_memory_equal(text, "<6>{\"time\":\"20", 14);
	rest = strstr(text, "\",\"level\":\"info\",");
	assert_non_null(rest);
	assert_string_equal(rest + 17, expected);
}

static void json_is_an_object_a_line(void **state)
{
	static char longest[5000];

	(void)state;
	as_json("two\nlines", "\"message\":\"two?lines\"}\n");
	as_json("a \"b\" \\c \xc3\xa9 \xff.", "\"message\":\"a \\\"b\\\" \\\\c \xc3\xa9 ?.\"}\n");
	as_json("", "\"message\":\"\"}\n");
	as_json("batch events=25 stream=web status=204 attempt=1 ms=41 outcome=delivered ids=101-125",
	        "\"message\":\"batch\",\"events\":25,\"stream\":\"web\",\"status\":204,\"attempt\":1,\"ms\":41,"
	        "\"outcome\":\"delivered\",\"ids\":\"101-125\"}\n");
	as_json("batch ms=1 ids=7 maybe-sent error=no \"route\" to x=y suppressed=3",
	        "\"message\":\"batch\",\"ms\":1,\"ids\":\"7\",\"maybe_sent\":true,"
	        "\"error\":\"no \\\"route\\\" to x=y\",\"suppressed\":3}\n");
	/* A member has one type, whatever its value looks like; and 007 is no number of JSON. */
	as_json("batch events=1 stream=007 status=503 suppressed=2",
	        "\"message\":\"batch\",\"events\":1,\"stream\":\"007\",\"status\":503,\"suppressed\":2}\n");
	as_json("batch ids=7 error=503", "\"message\":\"batch\",\"ids\":\"7\",\"error\":\"503\"}\n");
	memset(longest, '"', sizeof(longest) - 1);
	begin();
	log_init(LOG_LEVEL_INFO, false);
	log_set_format(LOG_FORMAT_JSON);
	log_info("%s", longest);
	log_set_format(LOG_FORMAT_TEXT);
	end();
	assert_string_equal(text + strlen(text) - 5, "\\\"\"}\n");
}

static void long_line_is_cut_and_ends(void **state)
{
	char big[4000];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[3999] = '\0';
	begin();
	log_init(LOG_LEVEL_INFO, true);
	log_info("%s", big);
	log_info("next");
	end();
	assert_int_equal(strchr(text, '\n') - text, 2047);
	assert_string_equal(strchr(text, '\n') + 1, "<6>next\n");
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	(void)state;
	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_true(log_level_parse("Error", &level) < 0);
	assert_true(log_level_parse("", &level) < 0);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_string_equal(log_level_name(LOG_LEVEL_WARNING), "warning");
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void journal_is_recognized_by_device_and_inode(void **state)
{
	char where[64];
	struct stat st;
	bool found;

	(void)state;
	begin();
	fstat(STDERR_FILENO, &st);
	snprintf(where, sizeof(where), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", where, 1);
	found = log_stderr_is_journal();
	end();
	assert_true(found);
	assert_false(log_stderr_is_journal()); /* the same variable, another stderr: a shell inherited it */
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(log_stderr_is_journal());
	unsetenv("JOURNAL_STREAM");
	assert_false(log_stderr_is_journal());
}

static void floods_are_counted(void **state)
{
	struct log_limit l = {.interval_us = 100, .burst = 2};
	uint64_t held = 77;

	(void)state;
	assert_true(log_limit_allow(&l, 1000, &held));
	assert_int_equal(held, 0);
	assert_true(log_limit_allow(&l, 1050, NULL));
	assert_false(log_limit_allow(&l, 1051, &held));
	assert_false(log_limit_allow(&l, 1099, NULL));
	assert_true(log_limit_allow(&l, 1100, NULL)); /* does not ask: the count stays for who does */
	assert_true(log_limit_allow(&l, 1101, &held));
	assert_int_equal(held, 2);
	assert_false(log_limit_allow(&l, 1102, &held));
	assert_true(log_limit_allow(&l, 1200, &held));
	assert_int_equal(held, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(journal_prefix_and_levels),
	        cmocka_unit_test(terminal_prefix_is_a_time_and_a_word),
	        cmocka_unit_test(nobody_forges_a_line),
	        cmocka_unit_test(json_is_an_object_a_line),
	        cmocka_unit_test(long_line_is_cut_and_ends),
	        cmocka_unit_test(levels_have_names),
	        cmocka_unit_test(journal_is_recognized_by_device_and_inode),
	        cmocka_unit_test(floods_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
