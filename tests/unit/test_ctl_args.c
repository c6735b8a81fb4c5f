/* test_ctl_args.c - ga4relay-ctl's command line: options anywhere, wrong ones named with the nearest right one */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "ctl/ctl.h"

enum { WORDS_MAX = 12 };

static int parse(struct ctl_args *ret, struct err *err, const char *line, char *copy, size_t size)
{
	char *argv[WORDS_MAX + 1] = {(char *)"ga4relay-ctl"};
	int argc = 1;

	assert_true(strlen(line) < size);
	strcpy(copy, line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = word;
	}
	return args_parse(ret, argc, argv, err);
}

static void refuses_with_a_hint(void **state UNUSED)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
	        {"", "no command given"},
	        {"lits", "did you mean \"list\"?"},
	        {"xyzzyplugh", "--help lists them"},
	        {"list --stat dead", "did you mean --state?"},
	        {"--stat dead list", "did you mean --state?"},
	        {"list --qqqqqqqq", "list: there is no option --qqqqqqqq"},
	        {"list -q", "there is no option -q"},
	        {"list --state", "--state needs a value"},
	        {"list --state=", "--state: its value is empty"},
	        {"drop --yes ALL --client=", "--client: its value is empty"},
	        {"list --reverse=1", "--reverse takes no value"},
	        {"list --limit x", "not a whole number"},
	        {"list --limit -1", "not a whole number"},
	        {"list --older 5", "not a duration"},
	        {"list --older 0", "not a duration"},
	        {"list 5", "list: unexpected \"5\""},
	        {"pause a b", "pause: unexpected \"b\""},
	        {"status --yes", "status does not take --yes"},
	        {"--watch list", "list does not take --watch"},
	        {"send --offline x", "send does not take --offline"},
	        {"drop --limit 3", "drop"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ctl_args args;
		struct err err = {""};
		char copy[256];

		assert_int_equal(parse(&args, &err, cases[i].line, copy, sizeof(copy)), -EINVAL);
		if (!strstr(err.text, cases[i].says))
			fail_msg("\"%s\" says: %s", cases[i].line, err.text);
		assert_null(strstr(err.text, "ga4relay-ctl: ")); /* ctl_complain() says that */
	}
}

static void takes_options_anywhere(void **state UNUSED)
{
	static const char *const lines[] = {
	        "--json list --state dead,held --older 5m -s /x --limit 0",
	        "list --json --state=dead,held --older=5m -s/x --limit=0",
	        "-s /x list --state dead,held --limit 0 --older 300s --json",
	        "--control /x --state dead,held list --limit 0 --older 300s --json",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct ctl_args args;
		struct err err;
		char copy[256];

		assert_int_equal(parse(&args, &err, lines[i], copy, sizeof(copy)), 0);
		assert_string_equal(args.command->name, "list");
		assert_true(args.json);
		assert_string_equal(args.socket, "/x");
		assert_int_equal(args.n_states, 1);
		assert_string_equal(args.states[0], "dead,held");
		assert_int_equal(args.older_us, 300 * INT64_C(1000000));
		assert_int_equal(args.limit, 0);
		args_clear(&args);
	}
}

static void has_the_defaults(void **state UNUSED)
{
	struct ctl_args args;
	struct err err;
	char copy[256];

	assert_int_equal(parse(&args, &err, "list", copy, sizeof(copy)), 0);
	assert_string_equal(args.socket, "/run/ga4relay/control.sock");
	assert_int_equal(args.limit, 20);
	assert_false(args.json);
	args_clear(&args);
}

static void keeps_words_in_order(void **state UNUSED)
{
	struct ctl_args args;
	struct err err;
	char copy[256];

	assert_int_equal(parse(&args, &err, "retry 1 - --json -- --dead", copy, sizeof(copy)), 0);
	assert_int_equal(args.n_words, 3);
	assert_string_equal(args.words[0], "1");
	assert_string_equal(args.words[1], "-");
	assert_string_equal(args.words[2], "--dead");
	assert_false(args.dead);
	assert_true(args.json);
	args_clear(&args);
}

static void helps_without_and_with_a_command(void **state UNUSED)
{
	struct ctl_args args;
	struct err err;
	char copy[256];

	assert_int_equal(parse(&args, &err, "--help", copy, sizeof(copy)), 0);
	assert_true(args.help && !args.command);
	args_clear(&args);
	assert_int_equal(parse(&args, &err, "drop -h --watch", copy, sizeof(copy)), 0);
	assert_true(args.help && args.command);
	args_clear(&args);
}

/* Each row whole: the tables are the documentation. */
static void tables_are_complete(void **state UNUSED)
{
	size_t n, n_options;
	const struct ctl_command *c = ctl_commands(&n);
	const struct ctl_option_info *o = ctl_options(&n_options);
	uint32_t known = 0;

	for (size_t i = 0; i < n_options; i++) {
		assert_int_equal(known & o[i].bit, 0);
		known |= o[i].bit;
		assert_true(strlen(o[i].help) <= 80 - 24);
	}
	for (size_t i = 0; i < n; i++) {
		assert_true(c[i].run && c[i].help[0]);
		assert_int_equal(c[i].options & ~known, 0);
		/* What help prints of it fits a screen. */
		assert_true(strlen(c[i].help) <= 80 - 24);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(refuses_with_a_hint),
	        cmocka_unit_test(takes_options_anywhere),
	        cmocka_unit_test(has_the_defaults),
	        cmocka_unit_test(keeps_words_in_order),
	        cmocka_unit_test(helps_without_and_with_a_command),
	        cmocka_unit_test(tables_are_complete),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
