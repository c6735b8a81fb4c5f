/* test_postgres.c - connection strings, parameters, and servers that never answer; real servers:
 * tests/e2e/test_fleet*.py */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/postgres/postgres_private.h"

static const char *value(const struct pg_keywords *k, const char *name)
{
	for (size_t i = 0; i < k->n; i++)
		if (strcmp(k->names[i], name) == 0)
			return k->values[i];
	return "";
}

static void several_hosts(void **state UNUSED)
{
	struct pg_keywords k;
	struct pg_hosts h;
	struct err err;
	char name[SERVER_MAX];

	assert_int_equal(pg_hosts_parse(&h, "host=a,b,10.0.0.3 port=1,2,3 dbname=d password='x y'", &err), 0);
	assert_int_equal(h.n, 3);
	assert_false(pg_host_is_address(&h.hosts[0]));
	assert_true(pg_host_is_address(&h.hosts[2]));
	pg_hosts_keywords(&h, 1, "192.0.2.9", "app", &k);
	assert_string_equal(value(&k, "host"), "b");
	assert_string_equal(value(&k, "hostaddr"), "192.0.2.9");
	assert_string_equal(value(&k, "port"), "2");
	assert_string_equal(value(&k, "password"), "x y");
	assert_string_equal(value(&k, "target_session_attrs"), "read-write");
	assert_string_equal(value(&k, "gssencmode"), "disable");
	pg_hosts_name(&h, 2, name, sizeof(name));
	assert_string_equal(name, "10.0.0.3:3");
	pg_hosts_free(&h);
}

static void one_port_for_all_and_a_uri(void **state UNUSED)
{
	struct pg_hosts h;
	struct err err;

	assert_int_equal(pg_hosts_parse(&h, "postgresql://u:p@one,two/d?target_session_attrs=any", &err), 0);
	assert_int_equal(h.n, 2);
	assert_string_equal(h.hosts[1].host, "two");
	pg_hosts_free(&h);
	assert_int_equal(pg_hosts_parse(&h, "host=/tmp port=7777", &err), 0);
	assert_true(pg_host_is_address(&h.hosts[0]));
	pg_hosts_free(&h);
	assert_int_equal(pg_hosts_parse(&h, "dbname=d", &err), 0);
	assert_int_equal(h.n, 1);
	pg_hosts_free(&h);
}

static void no_message_quotes_the_string(void **state UNUSED)
{
	static const char *const bad[] = {"host=a hunter2", "password=hunter2 port=1,2 host=a,b,c",
	                                  "postgresql://u:hunter2@[::1/d", "hunter2=1"};
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(pg_check_conninfo(bad[i], &err) < 0);
		assert_null(strstr(err.text, "hunter2"));
	}
}

static void parameters(void **state UNUSED)
{
	static const uint8_t numbers[] = {0, 0, 0, 1, 0, 0, 0,   0,   0,   0,   0,   20,  0,   0,  0,
	                                  2, 0, 0, 0, 1, 0, 0,   0,   8,   0,   0,   0,   0,   0,  0,
	                                  0, 7, 0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 255};
	struct pg_args a;
	const char *values[PG_ARGS_MAX];
	int sizes[PG_ARGS_MAX], formats[PG_ARGS_MAX];

	pg_args_init(&a, 4096);
	pg_arg_i64s(&a, 2);
	pg_arg_next_i64(&a, 7);
	pg_arg_next_i64(&a, -1);
	pg_arg_text(&a, SLICE_LIT("abc"));
	pg_arg_texts(&a, 0);
	pg_args_values(&a, values, sizes, formats);
	assert_int_equal(sizes[0], sizeof(numbers));
	assert_memory_equal(values[0], numbers, sizeof(numbers));
	assert_string_equal(values[1], "abc");
	assert_int_equal(formats[0], 1);
	assert_int_equal(formats[1], 0);
	assert_int_equal(sizes[2], 12);
	assert_false(a.failed);
	pg_args_free(&a);
	pg_args_init(&a, 2);
	pg_arg_text(&a, SLICE_LIT("abc"));
	assert_true(a.failed);
	pg_args_free(&a);
}

/* ---- servers that are not there, or hang ---- */

static unsigned changes;

static void on_state(void *arg UNUSED)
{
	changes++;
}

static int listen_and_hang(unsigned *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* Turns until it has backed off, and the longest turn. */
static int64_t run_until_backing_off(struct loop *loop, const struct pg *pg)
{
	int64_t longest = 0, began = clock_mono_us();
	struct pg_status s;

	do {
		int64_t at = clock_mono_us();
		assert_int_equal(loop_turn(loop, false), 0);
		at = clock_mono_us() - at;
		longest = at > longest ? at : longest;
		usleep(500);
		pg_get_status(pg, &s);
	} while ((s.state != PG_BACKING_OFF || s.why[0] == '\0') && clock_mono_us() - began < 10 * US_PER_S);
	assert_int_equal(s.state, PG_BACKING_OFF);
	return longest;
}

static void a_server_that_hangs_blocks_nothing(void **state UNUSED)
{
	unsigned port;
	int fd = listen_and_hang(&port);
	char conninfo[120];
	struct loop *loop;
	struct pg_status s;
	struct pg_args none;
	struct pg *pg;
	struct err err;

	snprintf(conninfo, sizeof(conninfo), "host=localhost,127.0.0.1 port=%u dbname=d user=u password=hunter2",
	         port);
	struct pg_config config = {
	        .conninfo = conninfo, .role = "ga4relay test", .connect_timeout_us = 100 * US_PER_MS};
	assert_int_equal(loop_new(&loop, &err), 0);
	assert_int_equal(pg_open(&pg, loop, &config, on_state, NULL, &err), 0);
	assert_true(run_until_backing_off(loop, pg) < 80 * US_PER_MS);
	pg_get_status(pg, &s);
	assert_non_null(strstr(s.why, "no answer in time"));
	assert_null(strstr(s.why, "hunter2"));
	assert_true(changes > 0);
	pg_args_init(&none, 0);
	assert_int_equal(pg_send(pg, &pg_check_sync, &none, PG_ANY, NULL, NULL), -ENOTCONN);
	config.conninfo = "host=a hunter2";
	assert_int_equal(pg_set_config(pg, &config, &err), -EINVAL);
	pg_free(pg);
	assert_int_equal(loop_turn(loop, false), 0);
	loop_free(loop);
	close(fd);
}

static void nobody_listens(void **state UNUSED)
{
	const struct pg_config config = {.conninfo = "host=/nonexistent,127.0.0.1 port=1", .role = "ga4relay test"};
	struct loop *loop;
	struct pg *pg;
	struct err err;

	assert_int_equal(loop_new(&loop, &err), 0);
	assert_int_equal(pg_open(&pg, loop, &config, on_state, NULL, &err), 0);
	(void)run_until_backing_off(loop, pg);
	pg_free(pg);
	loop_free(loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(several_hosts),
	        cmocka_unit_test(one_port_for_all_and_a_uri),
	        cmocka_unit_test(no_message_quotes_the_string),
	        cmocka_unit_test(parameters),
	        cmocka_unit_test(a_server_that_hangs_blocks_nothing),
	        cmocka_unit_test(nobody_listens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
