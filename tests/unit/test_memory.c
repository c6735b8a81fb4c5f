/* test_memory.c - a whole relay in one process, and each of its allocations fails once: at its start, at its work,
 * and while it delivers
 *
 * Never a crash, never an answer that is none, never an event that was acknowledged and is not there; and the next
 * line is taken again. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../fuzz/world.h"
#include "base/macros.h"
#include "base/parse.h"
#include "failing_malloc.h"
#include "http_script.h"
#include "json/json_read.h"

static struct world world;
static struct json_in *reader;
static struct script endpoint; /* in a loop of its own, whose allocations do not fail */

static int setup(void **state UNUSED)
{
	struct loop *loop;
	struct err err;

	reader = json_in_new(32);
	if (!reader || loop_new(&loop, &err) < 0)
		return -1;
	script_open(&endpoint, loop);
	SCRIPT(&endpoint, {WHEN_WHOLE, "HTTP/1.1 204 No Content\r\n\r\n", THEN_KEEP, false});
	return 0;
}

static int teardown(void **state UNUSED)
{
	world_close(&world);
	script_close(&endpoint);
	loop_free(endpoint.loop);
	reader = json_in_free(reader);
	return 0;
}

/* `at`: so many allocations succeed before one fails; below 0: none does. Ours is made before. */
static struct buf talk(const char *socket_name, struct slice said, long at)
{
	struct buf answer = BUF_INIT(16 << 20);

	assert_int_equal(buf_reserve(&answer, 4 << 20), 0);
	malloc_fails_at = at;
	(void)world_talk(&world, socket_name, said.p, said.n, said.n, &answer);
	return answer;
}

/* The number behind the key, in every line of the answer that is good and no duplicate. */
static uint64_t sum_of(const struct buf *answer, const char *key)
{
	struct slice left = buf_slice(answer);
	uint64_t sum = 0;

	while (left.n) {
		const char *end = memchr(left.p, '\n', left.n);
		struct slice line = {left.p, end ? (size_t)(end - left.p) : left.n};
		const struct json_node *m;
		const struct json_doc *d;
		struct err err;
		uint64_t v;

		if (!end)
			break; /* cut off with its connection */
		assert_int_equal(json_in_read(reader, line, &d, &err), 0);
		m = json_member(d, d->nodes, key);
		if (m && !json_member(d, d->nodes, "duplicate") && parse_u64(json_value(d, m), &v) == 0)
			sum += v;
		left = (struct slice){end + 1, left.n - line.n - 1};
	}
	return sum;
}

static uint64_t stored(const char *client)
{
	char request[128];
	struct buf answer;
	uint64_t n;

	snprintf(request, sizeof(request), "{\"command\":\"count\",\"client\":\"%s\"}\n", client);
	answer = talk("control.sock", slice_of(request), -1);
	n = sum_of(&answer, "count");
	buf_free(&answer);
	return n;
}

/* After a failure: a relay that gave up (its writer promises nothing more) is begun anew; another takes the next
 * line. */
static void goes_on(void)
{
	static const char line[] = "{\"client_id\":\"7.7\",\"name\":\"after\"}\n";
	struct buf answer;

	malloc_fails_at = -1;
	if (writer_is_fatal(world.d.writer)) {
		world_close(&world);
		world_open(&world);
	}
	answer = talk("event.sock", SLICE_LIT(line), -1);
	assert_int_equal(sum_of(&answer, "count"), 1);
	buf_free(&answer);
}

/* What has strings, a list, a file of its own, and more in another one than may change while a relay runs. */
static void write_configuration(const char *socket_name)
{
	static const char format[] =
	        "streams = ( { name = \"web\"; measurement_id = \"G-1\"; api_secret_file = \"%1$s/secret\"; },\n"
	        "{ name = \"app\"; firebase_app_id = \"1:123:ios:a\"; api_secret = \"s\"; endpoint = "
	        "\"https://h/mp\"; } );\n"
	        "http: { listen = \"127.0.0.1:8125\"; hosts = [ \"localhost\", \"a.example\" ]; };\n"
	        "listen: { socket = \"%1$s/%2$s\"; }; control: { socket = \"%1$s/control.sock\"; };\n";
	char path[96], text[2048];
	int n = snprintf(text, sizeof(text), format, world.dir, socket_name), fd;

	snprintf(path, sizeof(path), "%s/secret", world.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_all(fd, "s3cret\n", 7), 0);
	fd_close(fd);
	snprintf(path, sizeof(path), "%s/conf", world.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_all(fd, text, (size_t)n), 0);
	fd_close(fd);
}

static void ignore_option(void *arg UNUSED, const char *option UNUSED) {}

static void at_configuration(void **state UNUSED)
{
	char path[96];
	struct conf *now, *next;
	struct err err;
	unsigned refused = 0;
	bool failed = true;
	long at;

	if (!malloc_can_fail())
		skip();
	world_prepare(&world, 0);
	snprintf(path, sizeof(path), "%s/conf", world.dir);
	write_configuration("event.sock");
	assert_int_equal(conf_load(&now, path, &err), 0);
	write_configuration("other.sock");
	malloc_spares = "libconfig"; /* ends the process without memory */
	for (at = 0; failed; at++) {
		int r;

		next = NULL;
		err.text[0] = '\0';
		malloc_fails_at = at;
		r = conf_load(&next, path, &err);
		if (r < 0 && !err.text[0])
			fail_msg("allocation %ld: refused without a word", at);
		if (r == 0)
			r = conf_keep_fixed(now, next, ignore_option, NULL);
		failed = malloc_failed();
		if (r < 0 && !failed)
			fail_msg("%d after %ld allocations that did not fail", r, at);
		/* asprintf() can do without the last of its own. */
		if (r == 0)
			assert_string_equal(next->streams[1].validation_endpoint, "https://h/debug/mp");
		refused += r < 0;
		conf_free(next);
	}
	malloc_spares = NULL;
	conf_free(now);
	world_close(&world);
	assert_true(refused > 20);
	print_message("%ld allocations of a configuration and its reload failed once, %u were refused\n", at - 1,
	              refused);
}

static void at_start(void **state UNUSED)
{
	unsigned refused = 0;
	bool failed = true;
	long at;

	if (!malloc_can_fail())
		skip();
	for (at = 0; failed; at++) {
		struct err err = {{0}};
		int r;

		world_prepare(&world, 0);
		malloc_fails_at = at;
		r = world_start(&world, &err);
		failed = malloc_failed();
		if (r < 0 && !(failed && err.text[0]))
			fail_msg("allocation %ld: %d, %s", at, r, err.text);
		refused += r < 0;
		if (r == 0)
			goes_on();
		world_close(&world);
	}
	assert_true(refused > 20);
	print_message("%ld allocations at start failed once, %u starts were refused\n", at - 1, refused);
}

/* '%' is the client, another one each time. */
static long every_failure(const char *socket_name, const char *text)
{
	bool failed = true;
	long at;

	for (at = 0; failed; at++) {
		char said[8192], client[32];
		struct buf answer;
		size_t n = 0;

		snprintf(client, sizeof(client), "%u.%ld", world.inputs++, at);
		for (const char *p = text; *p; p++)
			n += (size_t)snprintf(said + n, sizeof(said) - n, *p == '%' ? "%s" : "%.1s",
			                      *p == '%' ? client : p);
		answer = talk(socket_name, (struct slice){said, n}, at);
		failed = malloc_failed();
		if (strcmp(socket_name, "door.sock") != 0) {
			uint64_t acked = sum_of(&answer, "count");

			if (strcmp(socket_name, "event.sock") == 0 && !writer_is_fatal(world.d.writer))
				assert_true(stored(client) >= acked);
		} else if (answer.len) {
			assert_true(slice_starts(buf_slice(&answer), SLICE_LIT("HTTP/1.")));
		}
		buf_free(&answer);
		if (failed)
			goes_on();
	}
	return at - 1;
}

static const char *const lines[] = {
        "{\"client_id\":\"%\",\"name\":\"a\",\"params\":{\"x\":\"1\",\"y\":\"\\u00e9\"}}\n",
        "{\"client_id\":\"%\",\"events\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"ad_click\"}]}"
        "\nnonsense\n",
        "{\"client_id\":\"%\",\"dedup_key\":\"k%\",\"name\":\"a\"}\n{\"client_id\":\"%\",\"dedup_key\":\"k%"
        "\","
        "\"name\":\"a\"}\n",
        "{\"client_id\":\"%\",\"user_id\":\"u\",\"user_properties\":{\"a\":{\"value\":1},\"b\":{\"value\":2},"
        "\"c\":{\"value\":3},\"d\":{\"value\":4},\"e\":{\"value\":5},\"f\":{\"value\":6},\"g\":{\"value\":7},"
        "\"h\":{\"value\":8},\"i\":{\"value\":9},\"j\":{\"value\":10}},\"name\":\"a\"}\n",
};

static const char *const requests[] = {
        "{\"command\":\"status\",\"detail\":true}\n",
        "{\"command\":\"list\",\"limit\":3}\n",
        "{\"command\":\"list\",\"states\":[\"rejected\"],\"reverse\":true,\"limit\":2}\n",
        "{\"command\":\"show\",\"ids\":[1,2,99999]}\n",
        "{\"command\":\"export\",\"ids\":[1]}\n",
        "{\"command\":\"count\",\"by\":\"name\",\"stream\":\"web\"}\n",
        "{\"command\":\"count\",\"by\":\"state\",\"name\":\"a\"}\n",
        "{\"command\":\"count\"}\n",
        "{\"command\":\"hold\",\"name\":\"none\",\"stream\":\"web\"}\n",
        ("{\"command\":\"hold\"}\n{\"command\":\"hold\",\"states\":[\"inflight\"]}\n"
         "{\"command\":\"hold\",\"states\":[\"rejected\"]}\n"),
        "{\"command\":\"list\",\"states\":[\"rejected\",\"dead\"]}\n",
        "{\"command\":\"tap\",\"stream\":\"none\"}\n{\"command\":\"backup\"}\n",
        "{\"command\":\"resume\"}\n",
        "{\"command\":\"hold\",\"ids\":[1]}\n{\"command\":\"release\",\"ids\":[1]}\n",
        "{\"command\":\"retry\",\"client\":\"none\"}\n",
        "{\"command\":\"drop\",\"client\":\"none\"}\n",
        "{\"command\":\"pause\",\"stream\":\"web\"}\n",
        "{\"command\":\"flush\"}\n{\"command\":\"version\"}\n{\"command\":\"paths\"}\n",
        "{\"command\":\"check\"}\n",
        "{\"command\":\"doctor\"}\n",
        "{\"command\":\"metrics\"}\n",
        "{\"command\":\"tap\",\"name\":\"x\",\"stream\":\"web\"}\n",
        "{\"command\":\"validate\",\"line\":\"{}\"}\n",
        "{\"command\":\"nonsense\"}\n",
};

static const char *const http[] = {
        "POST /mp/collect?measurement_id=G-TEST000001&api_secret=s3cret HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Length: 55\r\n\r\n{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"params\":{}}]}",
        "POST /debug/mp/collect?measurement_id=G-TEST000001&api_secret=s3cret HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Length: 2\r\n\r\n{}",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
};

static void at_work(void **state UNUSED)
{
	long n = 0;

	if (!malloc_can_fail())
		skip();
	world_open(&world);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		n += every_failure("event.sock", lines[i]);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		n += every_failure("control.sock", requests[i]);
	for (size_t i = 0; i < ARRAY_LEN(http); i++)
		n += every_failure("door.sock", http[i]);
	world_close(&world);
	print_message("%ld allocations at work failed once\n", n);
}

static void let_endpoint_answer(void)
{
	long at = malloc_fails_at;

	malloc_fails_at = -1;
	assert_int_equal(loop_turn(endpoint.loop, false), 0);
	malloc_fails_at = at;
}

/* Until so many events were delivered, or an armed failure came: first as fast as it goes, then by the clock (a retry
 * waits). */
static bool deliver(uint64_t n)
{
	int64_t until = clock_mono_us() + 20 * US_PER_S;
	bool armed = malloc_fails_at >= 0;
	unsigned turns = 0;

	while (world.d.counters.by_sid[1].delivered < n) {
		if (writer_is_fatal(world.d.writer) || clock_mono_us() > until || (armed && malloc_fails_at < 0))
			return false;
		world_turn(&world);
		let_endpoint_answer();
		(void)poll(NULL, 0, ++turns > 40 ? 1 : 0);
	}
	return true;
}

static void restart(void)
{
	struct err err;

	world_stop(&world);
	world_configure(&world, endpoint.port);
	if (world_start(&world, &err) < 0)
		fail_msg("%s", err.text);
}

/* False: nothing failed any more. */
static bool one_delivery(long at)
{
	static const char line[] = "{\"client_id\":\"5.5\",\"events\":[{\"name\":\"a\"},{\"name\":\"b\"}]}\n";
	struct buf answer;
	uint64_t acked, delivered;
	struct err err;
	bool failed;

	world_prepare(&world, endpoint.port);
	assert_int_equal(world_start(&world, &err), 0);
	answer = talk("event.sock", SLICE_LIT(line), at);
	acked = sum_of(&answer, "count");
	(void)deliver(acked);
	failed = malloc_failed();
	if (writer_is_fatal(world.d.writer)) {
		delivered = world.d.counters.by_sid[1].delivered;
		acked -= delivered < acked ? delivered : acked;
		restart();
	} else {
		goes_on();
		acked++;
	}
	if (!deliver(acked))
		fail_msg("allocation %ld: %lu acknowledged events of %lu were not delivered", at,
		         (unsigned long)(acked - world.d.counters.by_sid[1].delivered), (unsigned long)acked);
	buf_free(&answer);
	world_close(&world);
	script_hang_up(&endpoint, false);
	return failed;
}

static void at_delivery(void **state UNUSED)
{
	long at = 0;

	if (!malloc_can_fail())
		skip();
	/* libcurl 7.88 divides by the size of a table that it had no memory for. */
	malloc_spares = "libcurl";
	while (one_delivery(at))
		at++;
	malloc_spares = NULL;
	print_message("%ld allocations until an event was delivered failed once\n", at);
	assert_true(at > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(at_configuration),
	        cmocka_unit_test(at_start),
	        cmocka_unit_test(at_work),
	        cmocka_unit_test(at_delivery),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
