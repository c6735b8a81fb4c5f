/* test_conf.c - what a configuration may say, and the sentence, line and name when it must not */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "conf/conf.h"

#define STREAM "streams = ( { name = \"web\"; measurement_id = \"G-ABC123\"; api_secret = \"CANARY\"; } );\n"

static char dir[] = "/tmp/ga4relay-test-conf-XXXXXX";
static char path[64], secret_path[64];

static void write_file(const char *name, const char *text, mode_t mode)
{
	int fd;

	unlink(name); /* one of mode 0400 cannot be written again, but by root */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(fd);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/c", dir);
	snprintf(secret_path, sizeof(secret_path), "%s/secret", dir);
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	unlink(secret_path);
	return rmdir(dir);
}

static struct conf *good(const char *text)
{
	struct conf *conf = NULL;
	struct err err = {""};

	if (conf_parse(&conf, text, "t.conf", &err) < 0)
		fail_msg("refused: %s", err.text);
	return conf;
}

/* The text is refused with exactly this sentence. */
static void bad(const char *text, const char *sentence)
{
	struct conf *conf = (struct conf *)&conf;
	struct err err = {""};

	assert_int_equal(conf_parse(&conf, text, "t.conf", &err), -EINVAL);
	assert_ptr_equal(conf, &conf); /* untouched */
	assert_string_equal(err.text, sentence);
	assert_null(strstr(err.text, "CANARY"));
}

/* The text is good, and this is among what is logged. */
static void warned(const char *text, const char *sentence)
{
	FILE *log = tmpfile();
	int real_stderr = dup(STDERR_FILENO);
	char said[1000] = "";
	struct conf *conf;

	assert_non_null(log);
	dup2(fileno(log), STDERR_FILENO);
	log_set_level(LOG_LEVEL_WARNING);
	conf = good(text);
	log_set_level(LOG_LEVEL_ERROR);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	conf_free(conf);
	rewind(log);
	assert_true(fread(said, 1, sizeof(said) - 1, log) > 0);
	fclose(log);
	assert_non_null(strstr(said, sentence));
	assert_null(strstr(said, "CANARY"));
}

/* ---- what is right ---- */

static void one_stream_is_enough(void **state)
{
	struct conf *c = good(STREAM);

	(void)state;
	assert_int_equal(c->n_streams, 1);
	assert_string_equal(c->streams[0].name, "web");
	assert_string_equal(c->streams[0].id, "G-ABC123");
	assert_string_equal(c->streams[0].secret, "CANARY");
	assert_int_equal(c->streams[0].type, STREAM_WEB);
	assert_false(c->streams[0].paused);
	assert_string_equal(c->streams[0].endpoint, "https://www.google-analytics.com/mp/collect");
	assert_string_equal(c->streams[0].validation_endpoint, "https://www.google-analytics.com/debug/mp/collect");
	assert_int_equal(c->default_stream, 0);
	conf_free(c);
}

/* ga4relay.conf(5)'s table */
static void defaults_are_the_specification_s(void **state)
{
	struct conf *c = good(STREAM);

	(void)state;
	assert_string_equal(c->listen.socket, "/run/ga4relay.sock");
	assert_int_equal(c->listen.mode, 0660);
	assert_string_equal(c->listen.group, "");
	assert_int_equal(c->listen.max_connections, 1024);
	assert_int_equal(c->listen.max_line, 1 << 20);
	assert_int_equal(c->listen.max_unread_replies, 256 << 10);
	assert_true(c->listen.reply_patience_us == US_PER_S);
	assert_int_equal(c->listen.max_memory, 64 << 20);
	assert_true(c->listen.idle_timeout_us == 5 * US_PER_MIN);
	assert_string_equal(c->control.socket, "/run/ga4relay/control.sock");
	assert_string_equal(c->outbox.path, "/var/lib/ga4relay/outbox.db");
	assert_true(c->outbox.sync_full);
	assert_int_equal(c->outbox.max_events, 10000000);
	assert_true(c->outbox.max_bytes == UINT64_C(8) << 30);
	assert_int_equal(c->outbox.min_free_disk, 128 << 20);
	assert_int_equal(c->outbox.ballast, 16 << 20);
	assert_true(c->outbox.dedup_window_us == 24 * US_PER_H);
	assert_true(c->outbox.gather_us == 100 * US_PER_MS);
	assert_true(c->outbox.keep_delivered_us == 0);
	assert_true(c->outbox.keep_dead_us == 7 * US_PER_DAY);
	assert_int_equal(c->outbox.keep_rejected, 1000);
	assert_int_equal(c->outbox.remember_delivered, 100000);
	assert_int_equal(c->validation, VALIDATION_STANDARD);
	assert_false(c->limits_360);
	assert_true(c->delivery.linger_us == 200 * US_PER_MS);
	assert_int_equal(c->delivery.max_batch, 25);
	assert_int_equal(c->delivery.max_requests, 64);
	assert_false(c->delivery.http2);
	assert_true(c->delivery.connect_timeout_us == 10 * US_PER_S);
	assert_true(c->delivery.timeout_us == 30 * US_PER_S);
	assert_true(c->delivery.retry_min_us == US_PER_S);
	assert_true(c->delivery.retry_max_us == 5 * US_PER_MIN);
	assert_true(c->delivery.max_age_us == 72 * US_PER_H);
	assert_int_equal(c->delivery.ambiguous, AMBIGUOUS_RETRY);
	assert_true(c->delivery.drain_timeout_us == 10 * US_PER_S);
	assert_true(c->delivery.refuse_after_us == US_PER_MIN);
	assert_string_equal(c->delivery.proxy, "");
	assert_string_equal(c->delivery.ca_file, "");
	assert_false(c->delivery.allow_plaintext);
	assert_string_equal(c->http.listen, "");
	assert_string_equal(c->http.hosts[0], "localhost");
	assert_string_equal(c->http.hosts[2], "[::1]");
	assert_null(c->http.hosts[3]);
	assert_string_equal(c->control.read_group, "");
	assert_string_equal(c->http.metrics, "");
	assert_int_equal(c->log.level, LOG_LEVEL_INFO);
	assert_int_equal(c->log.format, LOG_FORMAT_TEXT);
	conf_free(c);
}

static void every_option_can_be_set(void **state)
{
	struct conf *c = good(
	        "streams = ( { name = \"a\"; measurement_id = \"G-1\"; api_secret = \"x\"; },\n"
	        "  { name = \"b.-_9\"; firebase_app_id = \"1:123:ios:abc\"; api_secret = \"y\"; paused = true;\n"
	        "    endpoint = \"http://[::1]:8080/x/mp/collect\"; validation = \"off\"; ambiguous = "
	        "\"retry\"; } );\n"
	        "default_stream = \"b.-_9\";\n"
	        "listen: { socket = \"/a\"; mode = \"0777\"; group = \"root\"; max_connections = 65536; "
	        "max_line = \"16M\";\n"
	        "  max_unread_replies = \"1K\"; reply_patience = \"1h\"; max_memory = \"3G\"; "
	        "idle_timeout = \"100ms\"; };\n"
	        "control = { socket = \"/b\"; group = \"root\"; read_group = \"root\"; };\n"
	        "outbox = { path = \"/c\"; sync = \"normal\"; max_events = 1000000000; max_bytes = \"65536G\";\n"
	        "  min_free_disk = \"0\"; ballast = \"0\"; dedup_window = \"30d\"; keep_delivered = \"1h\"; "
	        "keep_dead = \"1s\";\n"
	        "  keep_rejected = 0; gather = \"0\"; remember_delivered = 0; };\n"
	        "validation = \"strict\"; limits = \"360\";\n"
	        "delivery = { endpoint = \"https://tags.example/mp/collect\"; validation_endpoint = "
	        "\"https://v.example/\";\n"
	        "  linger = \"0\"; max_batch = 1; max_requests = 1024; http2 = true; connect_timeout = \"1s\"; "
	        "timeout = \"2s\";\n"
	        "  retry_min = \"10ms\"; retry_max = \"10ms\"; max_age = \"30d\"; ambiguous = \"park\"; "
	        "drain_timeout = \"0\";\n"
	        "  proxy = \"http://u:p@proxy.example:3128\"; ca_file = \"/dev/null\"; allow_plaintext = true; };\n"
	        "http = { listen = \"[::1]:8125\"; hosts = [ \"relay.example\" ]; metrics = \"0.0.0.0:9125\"; };\n"
	        "log = { level = \"debug\"; format = \"json\"; };\n");

	(void)state;
	assert_int_equal(c->default_stream, 1);
	assert_int_equal(c->streams[1].type, STREAM_APP);
	assert_true(c->streams[1].paused);
	assert_int_equal(c->streams[0].validation, VALIDATION_STRICT);
	assert_int_equal(c->streams[1].validation, VALIDATION_OFF);
	assert_int_equal(c->streams[0].ambiguous, AMBIGUOUS_PARK);
	assert_int_equal(c->streams[1].ambiguous, AMBIGUOUS_RETRY);
	assert_string_equal(c->streams[0].validation_endpoint, "https://v.example/");
	assert_string_equal(c->streams[1].validation_endpoint, "http://[::1]:8080/debug/x/mp/collect");
	assert_int_equal(c->listen.max_connections, 65536);
	assert_true(c->listen.max_memory == (size_t)3 << 30);
	assert_false(c->outbox.sync_full);
	assert_true(c->outbox.max_bytes == UINT64_C(1) << 46);
	assert_true(c->limits_360);
	assert_string_equal(c->delivery.proxy, "http://u:p@proxy.example:3128");
	assert_string_equal(c->http.hosts[0], "relay.example");
	assert_null(c->http.hosts[1]);
	assert_string_equal(c->http.metrics, "0.0.0.0:9125");
	assert_string_equal(c->control.read_group, "root");
	assert_int_equal(c->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->log.format, LOG_FORMAT_JSON);
	conf_free(c);
}

static void comments_and_empty_groups(void **state)
{
	(void)state;
	conf_free(good("# \"one\n// \"two\n/* \"three\n\" */ " STREAM "listen = { # \"\n };\nlog: {};\n"));
}

/* ---- what is wrong: file, line, option, and the name that was meant ---- */

static void unknown_options(void **state)
{
	(void)state;
	bad(STREAM "delivery = {\n  lingr = \"1s\";\n};",
	    "t.conf:3: delivery.lingr: unknown option; did you mean \"delivery.linger\"?");
	bad(STREAM "\n\nvalidaton = \"off\";", "t.conf:4: validaton: unknown option; did you mean \"validation\"?");
	bad(STREAM "max_batch = 5;", "t.conf:2: max_batch: unknown option; did you mean \"delivery.max_batch\"?");
	bad(STREAM "listen = { path = \"/x\"; };",
	    "t.conf:2: listen.path: unknown option; did you mean \"outbox.path\"?");
	bad(STREAM "colour = 1;", "t.conf:2: colour: unknown option");
	bad(STREAM "http = { pth = 5; };", "t.conf:2: http.pth: unknown option");
	bad(STREAM "delivery = { level = 5; };",
	    "t.conf:2: delivery.level: unknown option; did you mean \"log.level\"?");
	bad(STREAM "listn = { socket = \"/x\"; };", "t.conf:2: listn: unknown group; did you mean \"listen\"?");
	bad(STREAM "colours = { red = 1; };", "t.conf:2: colours: unknown group");
	bad("streams = ( { name = \"web\"; measurment_id = \"G-1\"; } );",
	    "t.conf:1: streams[0].measurment_id: unknown option; did you mean \"measurement_id\"?");
}

static void wrong_types(void **state)
{
	(void)state;
	bad(STREAM "delivery = { linger = 200; };", "t.conf:2: delivery.linger: expected a duration in quotes and "
	                                            "with its unit, such as \"200ms\", \"30s\", \"5m\" or "
	                                            "\"72h\", not an integer");
	bad(STREAM "delivery = { linger = \"200\"; };", "t.conf:2: delivery.linger: expected a duration in quotes "
	                                                "and with its unit, such as \"200ms\", \"30s\", \"5m\" or "
	                                                "\"72h\", not \"200\"");
	bad(STREAM "listen = { max_line = 1048576; };", "t.conf:2: listen.max_line: expected a size in quotes and "
	                                                "with its unit, such as \"64K\", \"1M\" or \"8G\", not an "
	                                                "integer");
	bad(STREAM "delivery = { max_batch = \"25\"; };",
	    "t.conf:2: delivery.max_batch: expected an integer, not a string");
	bad(STREAM "delivery = { max_batch = 2.5; };",
	    "t.conf:2: delivery.max_batch: expected an integer, not a number with a point");
	bad(STREAM "delivery = { max_batch = true; };",
	    "t.conf:2: delivery.max_batch: expected an integer, not true or false");
	bad(STREAM "delivery = { max_batch = [ 25 ]; };",
	    "t.conf:2: delivery.max_batch: expected an integer, not a list");
	bad(STREAM "delivery = { max_batch = ( 25 ); };",
	    "t.conf:2: delivery.max_batch: expected an integer, not a list");
	bad(STREAM "delivery = { http2 = 1; };",
	    "t.conf:2: delivery.http2: expected true or false, without quotes, not an integer");
	bad(STREAM "listen = { mode = 660; };",
	    "t.conf:2: listen.mode: expected octal digits in quotes, such as \"0660\", not an integer");
	bad(STREAM "listen = { mode = \"0668\"; };",
	    "t.conf:2: listen.mode: expected octal digits in quotes, such as \"0660\", not \"0668\"");
	bad(STREAM "listen = { mode = \"\"; };",
	    "t.conf:2: listen.mode: expected octal digits in quotes, such as \"0660\", not \"\"");
	bad(STREAM "listen = { mode = \"000000660\"; };",
	    "t.conf:2: listen.mode: expected octal digits in quotes, such as \"0660\", not \"000000660\"");
	bad(STREAM "listen = 5;", "t.conf:2: listen: expected a group: listen = { … };");
	bad(STREAM "validation = { };", "t.conf:2: validation: expected a word in quotes, not a group");
	bad(STREAM "http = { hosts = \"localhost\"; };",
	    "t.conf:2: http.hosts: expected a list of strings: [ \"localhost\", \"127.0.0.1\" ], not a string");
	bad("streams = { };", "t.conf:1: streams: expected a list of groups: ( { name = \"…\"; … }, { … } )");
	bad("streams = ( 5 );", "t.conf:1: streams: streams[0] must be a group: { name = \"…\"; … }");
}

static void out_of_range(void **state)
{
	(void)state;
	bad(STREAM "delivery = { max_batch = 0; };", "t.conf:2: delivery.max_batch: 0 is out of range (1 to 25)");
	bad(STREAM "delivery = { max_batch = 26; };", "t.conf:2: delivery.max_batch: 26 is out of range (1 to 25)");
	bad(STREAM "delivery = { max_batch = -1; };", "t.conf:2: delivery.max_batch: -1 is out of range (1 to 25)");
	bad(STREAM "delivery = { max_batch = 5000000000L; };",
	    "t.conf:2: delivery.max_batch: 5000000000 is out of range (1 to 25)");
	bad(STREAM "delivery = { max_age = \"59m\"; };",
	    "t.conf:2: delivery.max_age: \"59m\" is out of range (1h to 30d)");
	bad(STREAM "delivery = { max_age = \"31d\"; };",
	    "t.conf:2: delivery.max_age: \"31d\" is out of range (1h to 30d)");
	bad(STREAM "delivery = { max_age = \"99999999999999999999d\"; };",
	    "t.conf:2: delivery.max_age: \"99999999999999999999d\" is out of range (1h to 30d)");
	bad(STREAM "listen = { max_line = \"0\"; };", "t.conf:2: listen.max_line: \"0\" is out of range (1K to 16M)");
	bad(STREAM "listen = { mode = \"1777\"; };",
	    "t.conf:2: listen.mode: \"1777\" is out of range (0000 to 0777)");
	bad(STREAM "http = { hosts = [ ]; };",
	    "t.conf:2: http.hosts: 0 is out of range (1 to 64 names, without a port)");
	bad("streams = ( );", "t.conf:1: streams: 0 is out of range (1 to 250 streams)");
}

/* A size_t of 32 bits would make 0 of it. */
static void what_32_bits_can_address(void **state)
{
	(void)state;
#if SIZE_MAX > UINT32_MAX
	struct conf *c = good(STREAM "listen = { max_memory = \"16G\"; };");

	assert_true(c->listen.max_memory == (size_t)16 << 30);
	conf_free(c);
#else
	bad(STREAM "listen = { max_memory = \"16G\"; };",
	    "t.conf:2: listen.max_memory: \"16G\" is more than a process of 32 bits can address");
#endif
}

/* Trap 22: libconfig has lost the value before anybody can look at it. */
static void integers_do_not_wrap(void **state)
{
	(void)state;
	bad(STREAM "delivery = { max_batch = 4294967301; };",
	    "t.conf:2: the number 4294967301 is out of range (a size or a duration is a string: \"8G\")");
	bad(STREAM "outbox = {\nmax_events = 5000000000; };",
	    "t.conf:3: the number 5000000000 is out of range (a size or a duration is a string: \"8G\")");
	bad(STREAM "delivery = { max_batch = 0x100000001; };",
	    "t.conf:2: the number 0x100000001 is out of range (a size or a duration is a string: \"8G\")");
	bad(STREAM "delivery = { max_batch = 99999999999999999999L; };",
	    "t.conf:2: the number 99999999999999999999L is out of range (a size or a duration is a string: \"8G\")");
	bad(STREAM "delivery = { max_batch = 0x10000000000000001; };",
	    "t.conf:2: the number 0x10000000000000001 is out of range (a size or a duration is a string: \"8G\")");
	bad(STREAM "delivery = { max_batch = 0x1g; };",
	    "t.conf:2: the number 0x1g is not a decimal or hexadecimal number");
	bad(STREAM "outbox = { max_events = 5000000000keep_rejected = 1; };",
	    "t.conf:2: the number 5000000000keep_rejected is not a decimal or hexadecimal number");
	bad(STREAM "delivery = { max_batch = -2147483649; };",
	    "t.conf:2: the number -2147483649 is out of range (a size or a duration is a string: \"8G\")");
	bad(STREAM "delivery = { max_batch = -0x19; };",
	    "t.conf:2: the number -0x19 is not a decimal or hexadecimal number");
	bad(STREAM "delivery = { max_batch = 25LLL; };",
	    "t.conf:2: the number 25LLL is not a decimal or hexadecimal number");
	conf_free(good(STREAM "delivery = { max_batch = 0x19; max_requests = 64L; };"));
	conf_free(good(STREAM "delivery = { max_batch = +25; max_requests = 0x40LL; };"));
}

#define OCTAL " has a leading zero, which some versions of libconfig take for octal: write it without"

/* 010 is 10 in libconfig 1.5 and 8 in 1.7, 08 is 8 and an error, 0b10 is a number from 1.8 on. */
static void numbers_mean_one_thing(void **state)
{
	(void)state;
	bad(STREAM "delivery = { max_batch = 010; };", "t.conf:2: the number 010" OCTAL);
	bad(STREAM "delivery = {\n\tmax_batch = 08; };", "t.conf:3: the number 08" OCTAL);
	bad(STREAM "delivery = { max_batch = -010; };", "t.conf:2: the number -010" OCTAL);
	bad(STREAM "delivery = { max_batch = +010L; };", "t.conf:2: the number +010L" OCTAL);
	bad(STREAM "delivery = { max_batch = 00; };", "t.conf:2: the number 00" OCTAL);
	bad(STREAM "delivery = { max_batch = 010.5; };", "t.conf:2: the number 010.5" OCTAL);
	bad(STREAM "delivery = { max_batch = [ 1, /* 02 */ 03 ]; };", "t.conf:2: the number 03" OCTAL);
	bad(STREAM "delivery = { max_batch = 0b10; };",
	    "t.conf:2: the number 0b10 is not a decimal or hexadecimal number");
	bad(STREAM "delivery = { max_batch = 0o17; };",
	    "t.conf:2: the number 0o17 is not a decimal or hexadecimal number");
	bad(STREAM "delivery = { max_batch = 0.5; };",
	    "t.conf:2: delivery.max_batch: expected an integer, not a number with a point");
	bad(STREAM "delivery = { max_batch = -.5e+10; };",
	    "t.conf:2: delivery.max_batch: expected an integer, not a number with a point");
	bad(STREAM "delivery = { max_batch = 1e; };",
	    "t.conf:2: the number 1e is not a decimal or hexadecimal number");
	conf_free(good(STREAM "# 010\n// 010\n/* 010\n*/ outbox = { path = \"/010 08, )\"; keep_rejected = 0; };"));
}

#define TRAILING ": nothing follows this comma: take it out"

/* libconfig 1.5 refuses those of lists and arrays and lets the others pass, 1.7 lets all pass. */
static void no_trailing_commas(void **state)
{
	(void)state;
	bad(STREAM "http = { hosts = [ \"a\",\n ]; };", "t.conf:2" TRAILING);
	bad(STREAM "http = { hosts = ( \"a\", // )\n \"b\" , /* , */\n ); };", "t.conf:3" TRAILING);
	bad(STREAM "http = { hosts = [ \"a\",, \"b\" ]; };", "t.conf:2" TRAILING);
	bad(STREAM "log = { level = \"info\", };", "t.conf:2" TRAILING);
	bad(STREAM "log = { level = \"info\",; };", "t.conf:2" TRAILING);
	bad(STREAM "validation = \"off\",\n# the end\n", "t.conf:2" TRAILING);
	bad("streams = ( { name = \"web\"; measurement_id = \"G-1\"; api_secret = \"x\"; },\n\n);",
	    "t.conf:1" TRAILING);
	bad("streams = ( { name = \"web\", measurement_id = \"G-1\", api_secret = \"x\", } );", "t.conf:1" TRAILING);
	conf_free(good(STREAM "log = { level = \"info\" }, http = { hosts = [ \"a\" , \"b\" ] }\n"));
}

static void no_setting_twice(void **state)
{
	(void)state;
	bad(STREAM "validation = \"off\";\nlimits = \"360\";\nvalidation = \"off\";",
	    "t.conf:4: validation is given twice: here and on line 2");
	bad(STREAM "log = { };\nlog = { };", "t.conf:3: log is given twice: here and on line 2");
	bad(STREAM STREAM, "t.conf:2: streams is given twice: here and on line 1");
	bad(STREAM "outbox: { keep_rejected = 1;\nmax_events = 1000;\nkeep_rejected /* so\nit */ : 1 };",
	    "t.conf:5: keep_rejected is given twice: here and on line 2");
	bad("streams = ( { name = \"web\"; measurement_id = \"G-1\";\nname = \"web\"; api_secret = \"CANARY\"; } );",
	    "t.conf:2: name is given twice: here and on line 1");
	/* the same name in another group, a value that is a word, and a string that looks like a setting */
	conf_free(good(STREAM "log = { level = \"info\"; };\noutbox = { path = \"/log = 1; path = 2\"; };\n"
	                      "delivery = { http2 = true; allow_plaintext = true; };"));
}

/* What versions of libconfig make of \a and of a NUL differs. */
static void strings_mean_one_thing(void **state)
{
	struct conf *c;

	(void)state;
	bad(STREAM "outbox = { path = \"/x\\x00y\"; };", "t.conf:2: a string must not contain the escape \\x00");
	bad(STREAM "outbox = { path = \"/x\\ay\"; };",
	    "t.conf:2: the escapes \\a, \\b and \\v are not supported: libconfig's versions read them differently");
	bad(STREAM "\v\n", "t.conf:2: a control character stands here");
	c = good(STREAM "outbox = { path = \"/\\x41\\\\a\\\"\\q\"; };");
	assert_string_equal(c->outbox.path, "/A\\a\"\\q");
	conf_free(c);
}

/* Trap 23 */
static void strings_do_not_join(void **state)
{
	(void)state;
	bad(STREAM "http = { hosts = [ \"a\"\n \"b\" ]; };",
	    "t.conf:3: two strings follow each other: a comma or a semicolon is missing before this one");
	bad("streams = ( { name = \"web\" /* x */ \"CANARY\"; } );",
	    "t.conf:1: two strings follow each other: a comma or a semicolon is missing before this one");
	bad(STREAM "log = { level = \"in\\\"fo; };\nvalidation = \"off\";",
	    "t.conf:2: a string that begins on this line is not closed on it");
}

static void what_is_no_configuration(void **state)
{
	char deep[200] = STREAM "a = ";

	(void)state;
	memset(deep + strlen(deep), '(', 17);
	bad(deep, "t.conf:2: groups and lists are nested more than 16 deep");
	bad(STREAM "log = { level \"info\"; };", "t.conf:2: syntax error");
	bad(STREAM "log = { level = \"info\"; level = \"info\"; };",
	    "t.conf:2: level is given twice: here and on line 2");
	bad(STREAM "\n/* open\n\n", "t.conf:3: a comment that begins here is not closed");
	bad("\xef\xbb\xbf" STREAM, "t.conf:1: the file begins with a byte order mark: save it as plain UTF-8");
	bad(STREAM "@include \"/etc/passwd\"\n",
	    "t.conf:2: @include is not supported: a configuration is one file, and secrets have files of their own");
	bad("", "t.conf: streams: missing: name at least one stream, its id and its secret");
}

static void words_and_paths(void **state)
{
	(void)state;
	bad(STREAM "validation = \"strickt\";",
	    "t.conf:2: validation: \"strickt\" is none of standard, strict, off; did you mean \"strict\"?");
	bad(STREAM "log = { level = \"verbose\"; };",
	    "t.conf:2: log.level: \"verbose\" is none of error, warning, info, debug");
	bad(STREAM "outbox = { path = \"outbox.db\"; };",
	    "t.conf:2: outbox.path: \"outbox.db\": a path must be absolute (begin with /)");
	bad(STREAM "outbox = { path = \"\"; };", "t.conf:2: outbox.path: must not be empty");
	bad(STREAM "listen = { group = \"no-such-group\"; };",
	    "t.conf:2: listen.group: \"no-such-group\": there is no such group on this machine");
}

/* 107 bytes fit, 108 do not. */
static void socket_paths_fit_sun_path(void **state)
{
	char name[120], text[400], sentence[400];
	struct conf *conf;
	struct err err;

	(void)state;
	memset(name, 'a', sizeof(name));
	name[0] = '/';
	name[107] = '\0';
	snprintf(text, sizeof(text), STREAM "listen = { socket = \"%s\"; };", name);
	conf_free(good(text));
	name[107] = 'a';
	name[108] = '\0';
	snprintf(text, sizeof(text), STREAM "listen = { socket = \"%s\"; };", name);
	assert_int_equal(conf_parse(&conf, text, "t.conf", &err), -EINVAL);
	snprintf(sentence, sizeof(sentence),
	         "t.conf:2: listen.socket: \"%s\": the path of a socket may have 107 bytes at most", name);
	assert_string_equal(err.text, sentence);
}

static void pairs(void **state)
{
	(void)state;
	bad(STREAM "delivery = { retry_max = \"1s\";\nretry_min = \"2s\"; };",
	    "t.conf:3: delivery.retry_min: must not be longer than delivery.retry_max");
	bad(STREAM "delivery = { retry_max = \"500ms\"; };",
	    "t.conf:2: delivery.retry_min: must not be longer than delivery.retry_max");
	bad(STREAM "delivery = { ca_file = \"/nonexistent/ca.pem\"; };",
	    "t.conf:2: delivery.ca_file: /nonexistent/ca.pem cannot be read: No such file or directory");
	bad(STREAM "listen = { max_line = \"2M\"; max_memory = \"1M\"; };",
	    "t.conf:2: listen.max_line: must not be larger than listen.max_memory");
	bad(STREAM "listen = { max_unread_replies = \"2M\"; max_memory = \"1M\"; };",
	    "t.conf:2: listen.max_unread_replies: must not be larger than listen.max_memory");
	bad(STREAM "control = { socket = \"/run/ga4relay.sock\"; };",
	    "t.conf:2: control.socket: must not be listen.socket");
}

#define SIXTY_FOUR "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* What %s becomes is so long that the text ends in this complaint. */
static void too_long(const char *format, size_t n, const char *complaint)
{
	char text[8192], filler[4100];
	struct conf *conf;
	struct err err;

	memset(filler, 'x', n);
	filler[n] = '\0';
	n = (size_t)snprintf(text, sizeof(text), "%s", STREAM);
	snprintf(text + n, sizeof(text) - n, format, filler);
	assert_int_equal(conf_parse(&conf, text, "t.conf", &err), -EINVAL);
	assert_non_null(strstr(err.text, complaint));
}

static void endpoints(void **state)
{
	(void)state;
	bad(STREAM "delivery = { endpoint = \"http://10.0.0.1/mp/collect\"; };",
	    "t.conf:2: delivery.endpoint: \"http://10.0.0.1/mp/collect\" would send the secret in plain text: use "
	    "https, or set "
	    "delivery.allow_plaintext");
	bad(STREAM "delivery = { endpoint = \"http://localhost.example/\"; };",
	    "t.conf:2: delivery.endpoint: \"http://localhost.example/\" would send the secret in plain text: use "
	    "https, or set "
	    "delivery.allow_plaintext");
	bad(STREAM "delivery = { endpoint = \"https://u:CANARY@h/\"; };",
	    "t.conf:2: delivery.endpoint: \"https://***@h/\": an endpoint takes no user and password");
	bad(STREAM "delivery = { endpoint = \"https://h/mp?x=1\"; };",
	    "t.conf:2: delivery.endpoint: \"https://h/mp?x=1\": an endpoint takes no query: the id and the secret "
	    "belong to the "
	    "stream");
	bad(STREAM "delivery = { endpoint = \"ftp://h/\"; };",
	    "t.conf:2: delivery.endpoint: \"ftp://h/\": its scheme must be https");
	bad(STREAM "delivery = { endpoint = \"h/mp/collect\"; };",
	    "t.conf:2: delivery.endpoint: \"h/mp/collect\": it has no scheme such as https://");
	bad(STREAM "delivery = { endpoint = \"https:///mp\"; };",
	    "t.conf:2: delivery.endpoint: \"https:///mp\": it has no valid host");
	bad(STREAM "delivery = { endpoint = \"https://h:0/\"; };",
	    "t.conf:2: delivery.endpoint: \"https://h:0/\": its port is none");
	bad(STREAM "delivery = { endpoint = \"https://h/a b\"; };",
	    "t.conf:2: delivery.endpoint: \"https://h/a b\": it holds a character that must be percent-encoded");
	bad("streams = ( { name = \"w\"; measurement_id = \"G-1\"; api_secret = \"CANARY\";\n endpoint = "
	    "\"http://h/\"; } );",
	    "t.conf:2: streams[0].endpoint: \"http://h/\" would send the secret in plain text: use https, or set "
	    "delivery.allow_plaintext");
	bad(STREAM "delivery = { endpoint = \"https://h~/\"; };",
	    "t.conf:2: delivery.endpoint: \"https://h~/\": it has no valid host");
	bad(STREAM "delivery = { endpoint = \"https://[::1/\"; };",
	    "t.conf:2: delivery.endpoint: \"https://[::1/\": it has no valid host");
	bad(STREAM "delivery = { endpoint = \"http://" SIXTY_FOUR ".example/\"; };",
	    "t.conf:2: delivery.endpoint: \"http://" SIXTY_FOUR
	    ".example/\" would send the secret in plain text: use "
	    "https, or set delivery.allow_plaintext");
	too_long("delivery = { endpoint = \"https://h/%s\"; };", 2000, "it is longer than 2000 bytes");
	too_long("delivery = { proxy = \"http://h/%s\"; };", 4001, "it is longer than 4000 bytes");
	conf_free(good(STREAM "delivery = { endpoint = \"http://127.8.8.8:80/mp\"; };"));
	conf_free(good(STREAM "delivery = { endpoint = \"http://LOCALHOST/mp\"; };"));
	conf_free(good(STREAM "delivery = { endpoint = \"http://10.0.0.1/\"; allow_plaintext = true; };"));
}

static void proxies_show_no_password(void **state)
{
	(void)state;
	bad(STREAM "delivery = { proxy = \"http://u:CANARY@h:99999\"; };",
	    "t.conf:2: delivery.proxy: \"http://***@h:99999\": its port is none");
	bad(STREAM "delivery = { proxy = \"u:CANARY@h:3128\"; };",
	    "t.conf:2: delivery.proxy: \"***@h:3128\": it has no scheme such as https://");
	bad(STREAM "delivery = { proxy = \"http://u:CANARY/x@h:3128/\"; };",
	    "t.conf:2: delivery.proxy: \"http://***@h:3128/\": its port is none");
	bad(STREAM "delivery = { proxy = \"ftp://h:1\"; };",
	    "t.conf:2: delivery.proxy: \"ftp://h:1\": its scheme must be one of http, https, socks4, socks4a, "
	    "socks5, socks5h");
	bad(STREAM "delivery = { proxy = \"http://h:1/x\"; };",
	    "t.conf:2: delivery.proxy: \"http://h:1/x\": a proxy has no path");
	conf_free(good(STREAM "delivery = { proxy = \"socks5h://u:CANARY@[fe80::1]:1080/\"; };"));
}

static void door_addresses(void **state)
{
	static const char *const right[] = {"127.0.0.1:8125", "[::1]:8125", "unix:/run/x.sock", "localhost:80",
	                                    "0.0.0.0:1"};
	static const char *const wrong[] = {"8125",        ":8125",           "127.0.0.1",
	                                    "127.0.0.1:0", "127.0.0.1:65536", "::1:8125",
	                                    "unix:x",      "127.0.0.1:80/",   "http://127.0.0.1:80"};
	char text[400];
	struct conf *conf;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		snprintf(text, sizeof(text), STREAM "http = { listen = \"%s\"; };", right[i]);
		conf_free(good(text));
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(text, sizeof(text), STREAM "http = { listen = \"%s\"; };", wrong[i]);
		if (conf_parse(&conf, text, "t.conf", &err) == 0)
			fail_msg("%s was taken", wrong[i]);
		assert_memory_equal(err.text, "t.conf:2: http.listen: ", 23);
	}
	bad(STREAM "http = { hosts = [ \"a:80\" ]; };",
	    "t.conf:2: http.hosts: \"a:80\" is no host name (without a port; an IPv6 address in brackets)");
	bad(STREAM "http = { hosts = [ \"\" ]; };",
	    "t.conf:2: http.hosts: \"\" is no host name (without a port; an IPv6 address in brackets)");
	warned("streams = ( { name = \"a\"; measurement_id = \"G-1\"; api_secret = \"CANARY\"; },\n"
	       "{ name = \"b\"; measurement_id = \"G-1\"; api_secret = \"CANARY\"; } );\n"
	       "http = { listen = \"127.0.0.1:8125\"; };",
	       "t.conf:3: http.listen: streams \"a\" and \"b\" have the same id: what comes over HTTP goes to the "
	       "first");
}

/* ---- streams ---- */

#define GROUP(members) "streams = (\n { " members " } );"

static void streams_are_checked(void **state)
{
	(void)state;
	bad(GROUP("measurement_id = \"G-1\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].name: missing: every stream has a name");
	bad(GROUP("name = \"-a\"; measurement_id = \"G-1\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].name: \"-a\": a name has 1 to 63 of A-Z a-z 0-9 _ . - and begins with a letter or "
	    "digit");
	bad(GROUP("name = \"a\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].measurement_id: stream \"a\" needs exactly one of measurement_id and "
	    "firebase_app_id");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\";\n firebase_app_id = \"1:1:ios:a\"; api_secret = "
	          "\"CANARY\";"),
	    "t.conf:3: streams[0].measurement_id: stream \"a\" needs exactly one of measurement_id and "
	    "firebase_app_id");
	bad(GROUP("name = \"a\"; measurement_id = \"UA-1\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].measurement_id: \"UA-1\" does not look like G-ABC1234567 (G- and letters or "
	    "digits)");
	bad(GROUP("name = \"a\"; measurement_id = \"G-\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].measurement_id: \"G-\" does not look like G-ABC1234567 (G- and letters or digits)");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1 2\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].measurement_id: \"G-1 2\" does not look like G-ABC1234567 (G- and letters or "
	    "digits)");
	bad(GROUP("name = \"a\"; measurement_id = 5; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].measurement_id: expected a string, not an integer");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret = \"CANARY\"; paused = 5;"),
	    "t.conf:2: streams[0].paused: expected true or false, without quotes, not an integer");
	bad(GROUP("name = \"a\"; firebase_app_id = \"12:1:ios:a\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].firebase_app_id: \"12:1:ios:a\" does not look like 1:123:android:abc");
	bad(GROUP("name = \"a\"; firebase_app_id = \"1:1:ios:a:\"; api_secret = \"CANARY\";"),
	    "t.conf:2: streams[0].firebase_app_id: \"1:1:ios:a:\" does not look like 1:123:android:abc");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\";"),
	    "t.conf:2: streams[0].api_secret_file: stream \"a\" needs exactly one of api_secret_file, "
	    "api_secret_credential, api_secret_env and api_secret");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret = \"CANARY\"; api_secret_file = \"/x\";"),
	    "t.conf:2: streams[0].api_secret: stream \"a\" needs exactly one of api_secret_file, "
	    "api_secret_credential, api_secret_env and api_secret");
	bad("streams = ( { name = \"a\"; measurement_id = \"G-1\"; api_secret = \"CANARY\"; },\n"
	    "{ name = \"a\"; measurement_id = \"G-2\"; api_secret = \"CANARY\"; } );",
	    "t.conf:2: streams[1].name: \"a\" is streams[0]'s name already");
	bad(STREAM "default_stream = \"wbe\";",
	    "t.conf:2: default_stream: there is no stream \"wbe\"; did you mean \"web\"?");
}

static void names_have_63_characters_at_most(void **state)
{
	char name[65], text[300];
	struct conf *conf;
	struct err err;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[63] = '\0';
	snprintf(text, sizeof(text), GROUP("name = \"%s\"; measurement_id = \"G-1\"; api_secret = \"x\";"), name);
	conf_free(good(text));
	name[63] = 'n';
	name[64] = '\0';
	snprintf(text, sizeof(text), GROUP("name = \"%s\"; measurement_id = \"G-1\"; api_secret = \"x\";"), name);
	assert_int_equal(conf_parse(&conf, text, "t.conf", &err), -EINVAL);
}

static void secrets_in_the_text_are_checked(void **state)
{
	(void)state;
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret = \"\";"),
	    "t.conf:2: streams[0].api_secret: must not be empty");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret = \"CANARY \";"),
	    "t.conf:2: streams[0].api_secret: the secret holds a space, a line break, a control or a non-ASCII "
	    "character");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret = \"CANARY\\x01\";"),
	    "t.conf:2: streams[0].api_secret: it holds a control character");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret = 5;"),
	    "t.conf:2: streams[0].api_secret: expected a string, not an integer");
}

/* ---- files ---- */

static void load_with_secret(const char *secret, const char *want, const char *wrong)
{
	char text[300], sentence[600];
	struct conf *conf;
	struct err err = {""};

	write_file(secret_path, secret, 0600);
	snprintf(text, sizeof(text), GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_file = \"%s\";"),
	         secret_path);
	write_file(path, text, 0644);
	if (want) {
		assert_int_equal(conf_load(&conf, path, &err), 0);
		assert_string_equal(conf->streams[0].secret, want);
		assert_string_equal(conf->path, path);
		conf_free(conf);
		return;
	}
	assert_int_equal(conf_load(&conf, path, &err), -EINVAL);
	snprintf(sentence, sizeof(sentence), "%s:2: streams[0].api_secret_file: %s: %s", path, secret_path, wrong);
	assert_string_equal(err.text, sentence);
	assert_null(strstr(err.text, "CANARY"));
}

static void secrets_from_files(void **state)
{
	static const char odd[] = "the secret holds a space, a line break, a control or a non-ASCII character";
	char big[5000];

	(void)state;
	load_with_secret("CANARY", "CANARY", NULL);
	load_with_secret("CANARY\n", "CANARY", NULL);
	load_with_secret("CANARY\r\n", "CANARY", NULL);
	load_with_secret("CANARY\n\n", NULL, odd);
	load_with_secret("CAN ARY", NULL, odd);
	load_with_secret("\xef\xbb\xbf"
	                 "CANARY",
	                 NULL, odd);
	load_with_secret("", NULL, "the secret is empty");
	load_with_secret("\n", NULL, "the secret is empty");
	memset(big, 'x', sizeof(big));
	big[512] = '\0';
	load_with_secret(big, big, NULL);
	big[512] = 'x';
	big[513] = '\0';
	load_with_secret(big, NULL, "the secret is longer than 512 bytes: is this the right file?");
	big[513] = 'x';
	big[4999] = '\0';
	load_with_secret(big, NULL, "the file is too large to be a secret");
}

static void missing_files(void **state)
{
	char text[300], sentence[300];
	struct conf *conf;
	struct err err;

	(void)state;
	unlink(path);
	unlink(secret_path);
	assert_int_equal(conf_load(&conf, path, &err), -ENOENT);
	snprintf(sentence, sizeof(sentence), "cannot read %s: No such file or directory", path);
	assert_string_equal(err.text, sentence);
	snprintf(text, sizeof(text), GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_file = \"%s\";"),
	         secret_path);
	write_file(path, text, 0600);
	assert_int_equal(conf_load(&conf, path, &err), -ENOENT);
	snprintf(sentence, sizeof(sentence),
	         "%s:2: streams[0].api_secret_file: cannot open %s: No such file or directory", path, secret_path);
	assert_string_equal(err.text, sentence);
	assert_int_equal(conf_load(&conf, dir, &err), -EISDIR);
}

static void files_that_are_no_text(void **state)
{
	static char large[1 << 20];
	char sentence[300];
	struct conf *conf;
	struct err err;
	int fd;

	(void)state;
	write_file(path, STREAM, 0600);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(fd_write_all(fd, "", 1), 0);
	assert_int_equal(conf_load(&conf, path, &err), -EINVAL);
	snprintf(sentence, sizeof(sentence), "%s: the file holds a NUL byte: it is no configuration", path);
	assert_string_equal(err.text, sentence);
	memset(large, '#', sizeof(large));
	assert_int_equal(fd_write_all(fd, large, sizeof(large)), 0);
	fd_close(fd);
	assert_int_equal(conf_load(&conf, path, &err), -EFBIG);
	snprintf(sentence, sizeof(sentence), "%s is larger than 1048576 bytes", path);
	assert_string_equal(err.text, sentence);
}

/* libconfig 1.5 does not know where such a comment ends. */
static void a_comment_may_be_the_last_line_and_not_end(void **state)
{
	struct conf *conf;
	struct err err = {""};

	(void)state;
	write_file(path, STREAM "# the end", 0600);
	if (conf_load(&conf, path, &err) < 0)
		fail_msg("refused: %s", err.text);
	conf_free(conf);
}

static void a_secret_in_a_file_that_others_read(void **state)
{
	struct conf *conf;
	struct err err = {""};

	(void)state;
	write_file(path, STREAM, 0644);
	assert_int_equal(conf_load(&conf, path, &err), -EINVAL);
	assert_non_null(strstr(err.text, "c:1: streams[0].api_secret: this file can be read by everybody"));
	assert_null(strstr(err.text, "CANARY"));
	write_file(path, STREAM, 0640);
	assert_int_equal(conf_load(&conf, path, &err), 0);
	conf_free(conf);
}

static void credentials(void **state)
{
	struct conf *c;

	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_credential = \"secret\";"),
	    "t.conf:2: streams[0].api_secret_credential: $CREDENTIALS_DIRECTORY is not set: this needs systemd's "
	    "LoadCredential=secret:PATH");
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	write_file(secret_path, "CANARY\n", 0400);
	c = good(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_credential = \"secret\";"));
	assert_string_equal(c->streams[0].secret, "CANARY");
	conf_free(c);
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_credential = \"../secret\";"),
	    "t.conf:2: streams[0].api_secret_credential: a credential's name has no / and does not begin with a dot");
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void secrets_from_the_environment(void **state)
{
	char *value;

	(void)state;
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_env = \"GA4RELAY_TEST\";"),
	    "t.conf:2: streams[0].api_secret_env: $GA4RELAY_TEST is not set");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_env = \"GA4=TEST\";"),
	    "t.conf:2: streams[0].api_secret_env: \"GA4=TEST\" is no variable's name");
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_env = \"4GA\";"),
	    "t.conf:2: streams[0].api_secret_env: \"4GA\" is no variable's name");
	setenv("GA4RELAY_TEST", "CANARY", 1);
	value = getenv("GA4RELAY_TEST");
	for (int i = 0; i < 2; i++) { /* read once, known at the next reload */
		struct conf *c =
		        good(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_env = \"GA4RELAY_TEST\";"));

		assert_string_equal(c->streams[0].secret, "CANARY");
		conf_free(c);
		assert_memory_equal(value, "\0\0\0\0\0\0", 6);
	}
	bad(GROUP("name = \"a\"; measurement_id = \"G-1\"; api_secret_env = \"X\"; api_secret = \"x\";"),
	    "t.conf:2: streams[0].api_secret: stream \"a\" needs exactly one of api_secret_file, "
	    "api_secret_credential, api_secret_env and api_secret");
}

static void second_addresses(void **state)
{
	char text[400];

	(void)state;
	bad(STREAM "http = { listen = \"127.0.0.1:1\";\n metrics = \"127.0.0.1:1\"; };",
	    "t.conf:3: http.metrics: must not be http.listen, which serves /metrics and /healthz too");
	bad(STREAM "http = {\n page = true; };",
	    "t.conf:3: http.page: needs http.listen, the address that serves it");
	snprintf(text, sizeof(text), STREAM "control = { read_group = \"root\"; socket = \"/%0102d\"; };", 0);
	bad(text,
	    "t.conf:2: control.socket: is too long: with read_group a second socket has .read behind this name");
	snprintf(text, sizeof(text), STREAM "control = { read_group = \"root\"; socket = \"/%0101d\"; };", 0);
	conf_free(good(text));
}

static void placeholders_are_known(void **state)
{
	static const struct {
		const char *id, *secret;
		bool found;
	} cases[] = {
	        {"G-ABC1234567", "x", true},
	        {"g-abc1234567", "x", true},
	        {"G-XXXXXXXXXX", "x", true},
	        {"1:123:ios:abc", "x", true},
	        {"G-1", "YOUR_API_SECRET", true},
	        {"G-1", "<secret_value>", true},
	        {"G-1", "ChangeMe", true},
	        {"G-1", "secret", true},
	        {"G-1", "xxxxxxxx", true},
	        {"G-ABC1234568", "tH1s-is_A.r3al0neXxXx", false},
	        {"G-XX", "x", false},
	        {"G-1", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char id[32], secret[32];
		struct conf_stream stream = {.id = id, .secret = cases[i].secret ? secret : NULL};

		snprintf(id, sizeof(id), "%s", cases[i].id);
		snprintf(secret, sizeof(secret), "%s", cases[i].secret ? cases[i].secret : "");
		assert_int_equal(conf_placeholder(&stream) != NULL, cases[i].found);
	}
	warned(GROUP("name = \"a\"; measurement_id = \"G-ABC1234567\"; api_secret = \"your_api_secret\";"),
	       "t.conf:2: streams[0]: the id and the secret are placeholders: events would be answered 204");
	warned(GROUP("name = \"a\"; measurement_id = \"G-ABC1234567\"; api_secret = \"CANARY\";"),
	       "t.conf:2: streams[0]: the id is the sample's: events would be answered 204 and never be seen");
}

/* ---- reload ---- */

static void remember(void *arg, const char *option)
{
	strcat(arg, option);
	strcat(arg, " ");
}

static void what_needs_a_restart_is_kept(void **state)
{
	struct conf *now = good(STREAM), *next;
	char warned[1000] = "";

	(void)state;
	next = good("streams = ( { name = \"new\"; measurement_id = \"G-1\"; api_secret = \"x\"; } );\n"
	            "listen = { socket = \"/elsewhere\"; max_connections = 5; };\n"
	            "outbox = { sync = \"normal\"; max_events = 7; keep_dead = \"1d\"; dedup_window = \"1h\"; };\n"
	            "delivery = { linger = \"1s\"; }; http = { hosts = [ \"x\" ]; };\n"
	            "validation = \"off\"; limits = \"360\"; log = { level = \"debug\"; };\n");
	assert_int_equal(conf_keep_fixed(now, next, remember, warned), 0);
	assert_string_equal(warned,
	                    "listen.socket listen.max_connections outbox.sync outbox.dedup_window http.hosts ");
	assert_string_equal(next->listen.socket, "/run/ga4relay.sock");
	assert_int_equal(next->listen.max_connections, 1024);
	assert_true(next->outbox.sync_full);
	assert_true(next->outbox.dedup_window_us == 24 * US_PER_H);
	assert_string_equal(next->http.hosts[0], "localhost");
	assert_string_equal(next->streams[0].name, "new");
	assert_int_equal(next->outbox.max_events, 7);
	assert_true(next->outbox.keep_dead_us == US_PER_DAY);
	assert_true(next->delivery.linger_us == US_PER_S);
	assert_int_equal(next->validation, VALIDATION_OFF);
	assert_true(next->limits_360);
	assert_int_equal(next->log.level, LOG_LEVEL_DEBUG);
	conf_free(now);
	assert_string_equal(next->listen.socket, "/run/ga4relay.sock"); /* a copy of its own */
	conf_free(next);
}

static void the_same_file_warns_of_nothing(void **state)
{
	struct conf *now = good(STREAM), *next = good(STREAM);
	char warned[1000] = "";

	(void)state;
	assert_int_equal(conf_keep_fixed(now, next, remember, warned), 0);
	assert_string_equal(warned, "");
	conf_free(now);
	conf_free(next);
}

/* ---- table, sample and manual ---- */

static void rows_are_complete(void **state)
{
	size_t n;
	const struct conf_option_info *o = conf_options(&n);

	(void)state;
	assert_in_range(n, 40, 64);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(o[i].name);
		assert_non_null(o[i].type);
		assert_non_null(o[i].range);
		assert_non_null(o[i].def);
		assert_non_null(o[i].help);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(o[i].name, o[j].name);
	}
}

static char *read_document(const char *name)
{
	struct buf b = BUF_INIT(1 << 20);
	struct err err;

	if (file_read(name, &b, &err) < 0 || buf_append_char(&b, '\0') < 0)
		fail_msg("%s (run from the top directory)", err.text);
	return b.data;
}

/* Each option stands in the text as the pattern makes it, after the one before it. */
static void assert_in_order(const char *document, void (*make)(const struct conf_option_info *, char *, size_t))
{
	char *text = read_document(document), *at = text, pattern[300];
	size_t n;
	const struct conf_option_info *o = conf_options(&n);

	for (size_t i = 0; i < n; i++) {
		make(&o[i], pattern, sizeof(pattern));
		at = strstr(at, pattern);
		if (!at)
			fail_msg("%s: %s is missing or out of order: %s", document, o[i].name, pattern);
	}
	free(text);
}

static void manual_item(const struct conf_option_info *o, char *out, size_t size)
{
	snprintf(out, size, "\n.It Va %s\n", o->name);
}

static void sample_line(const struct conf_option_info *o, char *out, size_t size)
{
	const char *dot = strrchr(o->name, '.'), *name = dot ? dot + 1 : o->name;
	bool bare = strcmp(o->type, "integer") == 0 || strcmp(o->type, "boolean") == 0;

	if (strcmp(o->name, "streams") == 0)
		snprintf(out, size, "\nstreams = (\n");
	else if (strcmp(o->name, "http.hosts") == 0)
		snprintf(out, size, "\n\t#hosts = [ \"localhost\", \"127.0.0.1\", \"[::1]\" ];\n");
	else
		snprintf(out, size, "\n%s#%s = %s%s%s;\n", dot ? "\t" : "", name, bare ? "" : "\"", o->def,
		         bare ? "" : "\"");
}

static void documents_follow_the_table(void **state)
{
	(void)state;
	assert_in_order("etc/ga4relay.conf", sample_line);
	assert_in_order("man/ga4relay.conf.5", manual_item);
}

/* The sample with every option's comment taken away, and a secret that is there, is a good configuration. */
static void sample_is_good(void **state)
{
	char *text = read_document("etc/ga4relay.conf"), *out = calloc(1, strlen(text) + 100), *save = NULL, *at;
	bool in_streams = false;

	(void)state;
	assert_non_null(out);
	write_file(secret_path, "x", 0600);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		in_streams = in_streams ? strcmp(line, ");") != 0 : strcmp(line, "streams = (") == 0;
		at = line + strspn(line, "\t");
		if (strncmp(at, "api_secret_file", 15) == 0)
			sprintf(out + strlen(out), "api_secret_file = \"%s\";\n", secret_path);
		else if (!in_streams && at[0] == '#' && at[1] != ' ' && at[1] != '\0')
			sprintf(out + strlen(out), "%s\n", at + 1);
		else
			sprintf(out + strlen(out), "%s\n", line);
	}
	conf_free(good(out));
	free(out);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_stream_is_enough),
	        cmocka_unit_test(defaults_are_the_specification_s),
	        cmocka_unit_test(every_option_can_be_set),
	        cmocka_unit_test(comments_and_empty_groups),
	        cmocka_unit_test(unknown_options),
	        cmocka_unit_test(wrong_types),
	        cmocka_unit_test(out_of_range),
	        cmocka_unit_test(what_32_bits_can_address),
	        cmocka_unit_test(integers_do_not_wrap),
	        cmocka_unit_test(numbers_mean_one_thing),
	        cmocka_unit_test(no_trailing_commas),
	        cmocka_unit_test(no_setting_twice),
	        cmocka_unit_test(strings_mean_one_thing),
	        cmocka_unit_test(strings_do_not_join),
	        cmocka_unit_test(what_is_no_configuration),
	        cmocka_unit_test(words_and_paths),
	        cmocka_unit_test(socket_paths_fit_sun_path),
	        cmocka_unit_test(pairs),
	        cmocka_unit_test(endpoints),
	        cmocka_unit_test(proxies_show_no_password),
	        cmocka_unit_test(door_addresses),
	        cmocka_unit_test(streams_are_checked),
	        cmocka_unit_test(names_have_63_characters_at_most),
	        cmocka_unit_test(secrets_in_the_text_are_checked),
	        cmocka_unit_test(secrets_from_files),
	        cmocka_unit_test(missing_files),
	        cmocka_unit_test(files_that_are_no_text),
	        cmocka_unit_test(a_comment_may_be_the_last_line_and_not_end),
	        cmocka_unit_test(a_secret_in_a_file_that_others_read),
	        cmocka_unit_test(credentials),
	        cmocka_unit_test(secrets_from_the_environment),
	        cmocka_unit_test(second_addresses),
	        cmocka_unit_test(placeholders_are_known),
	        cmocka_unit_test(what_needs_a_restart_is_kept),
	        cmocka_unit_test(the_same_file_warns_of_nothing),
	        cmocka_unit_test(rows_are_complete),
	        cmocka_unit_test(documents_follow_the_table),
	        cmocka_unit_test(sample_is_good),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
