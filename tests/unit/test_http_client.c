/* test_http_client.c - what every way a transfer can end is reported as, and how often the server got the body */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/clock.h"
#include "http_script.h"
#include "net/http_client/http_client.h"

#define BODY "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"refund\"}]}"
#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"

struct result {
	struct attempt attempt;
	unsigned n;
	size_t body_n;
	char body[4096];
};

static struct loop *loop;
static struct script server;
static struct http_client *client;

static void on_tail(void *arg)
{
	(void)arg;
	if (client)
		http_client_reap(client);
}

static struct http_client_config default_config(void)
{
	return (struct http_client_config){
	        .max_requests = 4,
	        .connect_timeout_us = 2 * US_PER_S,
	        .timeout_us = 5 * US_PER_S,
	        .proxy = "",
	        .ca_file = "",
	        .user_agent = "ga4relay/test",
	};
}

static void start_client(const struct http_client_config *config)
{
	struct err err;

	client = http_client_free(client);
	assert_int_equal(http_client_new(&client, loop, config, &err), 0);
}

static int setup(void **state)
{
	struct http_client_config config = default_config();

	(void)state;
	assert_int_equal(loop_new(&loop, NULL), 0);
	loop_set_tail(loop, on_tail, NULL);
	script_open(&server, loop);
	start_client(&config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	client = http_client_free(client);
	script_close(&server);
	loop = loop_free(loop);
	return 0;
}

static void on_done(void *arg, const struct attempt *attempt, struct slice body)
{
	struct result *r = arg;

	r->attempt = *attempt;
	r->n++;
	r->body_n = body.n < sizeof(r->body) ? body.n : sizeof(r->body);
	memcpy(r->body, body.n ? body.p : "", r->body_n);
}

static const char *url(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "http://127.0.0.1:%u/mp/collect?measurement_id=G-TEST&api_secret=s3cret",
	         server.port);
	return text;
}

static void turn_until(const unsigned *counter, unsigned n)
{
	int64_t end = clock_mono_us() + 20 * US_PER_S;

	while (*counter < n) {
		assert_int_equal(loop_turn(loop, true), 0);
		assert_true(clock_mono_us() < end);
	}
}

static struct http_request *begin(struct result *r, struct slice body, bool fresh, size_t answer_max)
{
	struct http_request *request;

	memset(r, 0, sizeof(*r));
	assert_int_equal(http_post(client, url(), body, fresh, answer_max, on_done, r, &request), 0);
	assert_int_equal(r->n, 0);
	return request;
}

static struct attempt post(void)
{
	struct result r;

	begin(&r, SLICE_LIT(BODY), false, 0);
	turn_until(&r.n, 1);
	assert_int_equal(http_client_in_flight(client), 0);
	assert_null(strstr(r.attempt.error, "s3cret"));
	return r.attempt;
}

/* The rest of a connection's life: what the loop still has to do after an answer. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(loop, false), 0);
}

static void delivered(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 204);
	assert_int_equal(a.retry_after_us, -1);
	assert_true(a.body_sent);
	assert_false(a.reused_connection);
	assert_string_equal(a.error, "");
	assert_string_equal(a.answer, "");
	assert_true(a.started_wall_us > 0 && a.duration_us > 0);
	assert_int_equal(server.bodies, 1);
}

static void request_as_specified(void **state)
{
	const char *head = server.last, *end;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	post();
	assert_ptr_equal(strstr(head, "POST /mp/collect?measurement_id=G-TEST&api_secret=s3cret HTTP/1.1\r\n"), head);
	assert_non_null(strstr(head, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(head, "\r\nUser-Agent: ga4relay/test\r\n"));
	assert_null(strstr(head, "Expect"));
	assert_null(strstr(head, "Transfer-Encoding"));
	assert_null(strstr(head, "Cookie"));
	assert_null(strstr(head, "Authorization"));
	end = strstr(head, "\r\n\r\n");
	assert_non_null(end);
	assert_string_equal(end + 4, BODY);
}

static void connection_is_kept(void **state)
{
	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	for (int i = 0; i < 5; i++) {
		struct attempt a = post();

		assert_int_equal(a.status, 204);
		assert_int_equal(a.reused_connection, i > 0);
	}
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.bodies, 5);
}

static void fresh_opens_a_new_one(void **state)
{
	struct result r;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	post();
	begin(&r, SLICE_LIT(BODY), true, 0);
	turn_until(&r.n, 1);
	assert_false(r.attempt.reused_connection);
	assert_int_equal(server.accepted, 2);
}

static void status_and_retry_after(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\nContent-Length: 5\r\n\r\nbusy\n"},
	       {.reply = "HTTP/1.1 429 Slow\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n"},
	       {.reply = "HTTP/1.1 503 Busy\r\nRetry-After: 1.5\r\nContent-Length: 0\r\n\r\n"},
	       {.reply = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 503);
	assert_int_equal(a.retry_after_us, 7 * US_PER_S);
	assert_string_equal(a.answer, "busy.");
	a = post();
	assert_int_equal(a.status, 429);
	assert_int_equal(a.retry_after_us, US_PER_H);
	assert_int_equal(post().retry_after_us, -1);
	assert_int_equal(post().retry_after_us, 0);
}

static void interim_answers_do_not_count(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server,
	       {.reply = "HTTP/1.1 100 Continue\r\nRetry-After: 9\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" NO_CONTENT},
	       {.reply = "HTTP/1.1 100 Continue\r\n\r\n", .then = THEN_CLOSE});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 204);
	assert_int_equal(a.retry_after_us, -1);
	script_hang_up(&server, false);
	settle();
	a = post();
	assert_int_equal(a.transport, TRANSPORT_RESET);
	assert_int_equal(a.status, 0);
	assert_true(a.body_sent);
}

static void redirect_is_not_followed(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = "HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"},
	       {.reply = NO_CONTENT});
	a = post();
	assert_int_equal(a.status, 307);
	assert_int_equal(server.requests, 1);
}

/* A new connection's death is a failure; libcurl must not repeat it either. */
static void new_connection_dies(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.then = THEN_RESET}, {.then = THEN_CLOSE}, {.when = WHEN_ACCEPTED, .then = THEN_RESET});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_RESET);
	assert_int_equal(a.status, 0);
	assert_true(a.body_sent);
	assert_false(a.reused_connection);
	assert_true(a.error[0] != '\0');
	assert_int_equal(post().transport, TRANSPORT_RESET);
	assert_int_equal(server.bodies, 2);
	a = post(); /* seen at once or with the first bytes */
	assert_true(a.transport == TRANSPORT_RESET || a.transport == TRANSPORT_CONNECT);
	assert_int_equal(server.accepted, 3);
}

/* Trap 10: left to itself libcurl 7.88 sends the same body again, up to five times. */
static void kept_connection_dies_after_the_body(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT}, {.then = THEN_RESET}, {.reply = NO_CONTENT});
	post();
	a = post();
	assert_int_equal(a.transport, TRANSPORT_STALE);
	assert_int_equal(a.status, 0);
	assert_true(a.reused_connection);
	assert_true(a.body_sent);
	assert_int_equal(server.bodies, 2);
	assert_int_equal(post().status, 204);
	assert_int_equal(server.bodies, 3);
}

static void kept_connection_closes_after_the_body(void **state)
{
	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT}, {.then = THEN_CLOSE}, {.reply = NO_CONTENT});
	post();
	assert_int_equal(post().transport, TRANSPORT_STALE);
	assert_int_equal(server.bodies, 2);
	settle();
	assert_int_equal(server.bodies, 2);
}

/* Closed while it was idle: noticed before anything is sent, and no failure at all. */
static void kept_connection_closed_while_idle(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	post();
	script_hang_up(&server, false);
	settle();
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 204);
	assert_int_equal(server.bodies, 2);
}

/* Reset while it was idle: libcurl 7.88 finds it only when it writes. */
static void kept_connection_reset_while_idle(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	post();
	script_hang_up(&server, true);
	settle();
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 204);
	assert_int_equal(server.bodies, 2);
}

static void big_body(struct slice *ret)
{
	static char body[16 * 1024 * 1024];

	memset(body, 'x', sizeof(body));
	*ret = (struct slice){body, sizeof(body)};
}

/* Larger than the sockets' buffers: the server hangs up after the head, so that most of it was never written. */
static void reset_before_the_body(void **state)
{
	struct result r;
	struct slice body;

	(void)state;
	big_body(&body);
	SCRIPT(&server, {.when = WHEN_HEAD, .then = THEN_RESET});
	begin(&r, body, false, 0);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.transport, TRANSPORT_RESET);
	assert_false(r.attempt.body_sent);
	assert_int_equal(server.bodies, 0);
}

/* The same on a kept connection: stale, and surely not counted by the server. */
static void stale_before_the_body(void **state)
{
	struct result r;
	struct slice body;

	(void)state;
	big_body(&body);
	SCRIPT(&server, {.reply = NO_CONTENT}, {.when = WHEN_HEAD, .then = THEN_RESET});
	post();
	begin(&r, body, false, 0);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.transport, TRANSPORT_STALE);
	assert_false(r.attempt.body_sent);
	assert_int_equal(server.bodies, 1);
	assert_int_equal(server.requests, 2);
}

/* A server that answers before it has read the body may well have counted what it got. */
static void answers_early_and_resets(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", .then = THEN_RESET});
	a = post();
	assert_int_equal(a.status, 200);
	assert_int_equal(a.transport, TRANSPORT_RESET);
	assert_string_equal(a.answer, "part");
	assert_true(a.body_sent);
}

static void garbage_instead_of_an_answer(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = "220 mail.example.org ESMTP\r\n", .then = THEN_CLOSE},
	       {.reply = "HTTP/1.1 abc\r\n\r\n", .then = THEN_CLOSE});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_RESET);
	assert_int_equal(a.status, 0);
	a = post();
	assert_int_equal(a.transport, TRANSPORT_RESET);
	assert_int_equal(a.status, 0);
}

static void answer_is_made_printable(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = "HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\na\033[31m\n\303\251"});
	a = post();
	assert_int_equal(a.status, 400);
	assert_string_equal(a.answer, "a.[31m...");
}

static void never_ending_answers(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = "HTTP/1.1 500 Oops\r\n\r\n0123456789abcdef", .endless = true});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 500);
	assert_int_equal(strlen(a.answer), sizeof(a.answer) - 1);
	SCRIPT(&server, {.reply = "X-More: 0123456789abcdef0123456789abcdef\r\n", .endless = true});
	script_hang_up(&server, false);
	a = post();
	assert_int_equal(a.transport, TRANSPORT_RESET);
	assert_int_equal(a.status, 0);
}

static void endless_head(void **state)
{
	static char head[60000] = "HTTP/1.1 204 No Content\r\n";
	static const struct script_step steps[] = {{.reply = head}};
	struct attempt a;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		strcat(head, "X-More: 0123456789abcdef0123456789abcdef\r\n");
	script_set(&server, steps, 1);
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 204);
}

/* The status is known and nobody wants the body: no reason to wait for the rest until the timeout. */
static void answer_without_an_end(void **state)
{
	struct attempt a;

	(void)state;
	SCRIPT(&server, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nslow"}, {.reply = NO_CONTENT});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_OK);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.error, "");
	assert_string_equal(a.answer, "slow");
	assert_true(a.duration_us >= US_PER_S && a.duration_us < 4 * US_PER_S);
	assert_int_equal(post().status, 204);
}

/* Half a head is no answer. */
static void half_a_head(void **state)
{
	struct http_client_config config = default_config();
	struct attempt a;

	(void)state;
	config.timeout_us = 1500 * US_PER_MS;
	start_client(&config);
	SCRIPT(&server, {.reply = "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n"});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_TIMEOUT);
	assert_int_equal(a.status, 503);
}

static void body_is_gathered(void **state)
{
	struct result r;

	(void)state;
	SCRIPT(&server, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"});
	begin(&r, SLICE_LIT(BODY), false, 4096);
	turn_until(&r.n, 1);
	assert_int_equal(r.body_n, 10);
	assert_memory_equal(r.body, "0123456789", 10);
	begin(&r, SLICE_LIT(BODY), false, 4);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.transport, TRANSPORT_OK);
	assert_int_equal(r.body_n, 4);
	begin(&r, SLICE_LIT(BODY), false, 0);
	turn_until(&r.n, 1);
	assert_int_equal(r.body_n, 0);
}

static void hangs_until_the_timeout(void **state)
{
	struct http_client_config config = default_config();
	struct attempt a;

	(void)state;
	config.timeout_us = 200 * US_PER_MS;
	start_client(&config);
	SCRIPT(&server, {.reply = NULL});
	a = post();
	assert_int_equal(a.transport, TRANSPORT_TIMEOUT);
	assert_int_equal(a.status, 0);
	assert_true(a.body_sent);
	assert_true(a.duration_us >= 190 * US_PER_MS);
	/* On a kept connection a timeout is a timeout. */
	SCRIPT(&server, {.reply = NO_CONTENT}, {.reply = NULL});
	post();
	a = post();
	assert_true(a.reused_connection);
	assert_int_equal(a.transport, TRANSPORT_TIMEOUT);
}

static void cancelled(void **state)
{
	struct http_request *request;
	struct result r;

	(void)state;
	SCRIPT(&server, {.reply = NULL});
	request = begin(&r, SLICE_LIT(BODY), false, 0);
	turn_until(&server.bodies, 1);
	http_cancel(request);
	http_cancel(request);
	assert_int_equal(r.n, 0);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.transport, TRANSPORT_TIMEOUT);
	assert_true(r.attempt.body_sent);
	settle();
	assert_int_equal(r.n, 1);
	/* Before anything was sent. */
	request = begin(&r, SLICE_LIT(BODY), false, 0);
	http_cancel(request);
	turn_until(&r.n, 1);
	assert_false(r.attempt.body_sent);
	assert_int_equal(http_client_in_flight(client), 0);
}

static void refused_and_unresolvable(void **state)
{
	struct http_request *request;
	struct result r = {0};

	(void)state;
	assert_int_equal(http_post(client, "http://127.0.0.1:1/x?api_secret=s3cret", SLICE_LIT(BODY), false, 0,
	                           on_done, &r, &request),
	                 0);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.transport, TRANSPORT_CONNECT);
	assert_false(r.attempt.body_sent);
	assert_int_equal(http_post(client, "http://no-such-host.invalid/x?api_secret=s3cret", SLICE_LIT(BODY), false,
	                           0, on_done, &r, &request),
	                 0);
	turn_until(&r.n, 2);
	assert_int_equal(r.attempt.transport, TRANSPORT_DNS);
	assert_null(strstr(r.attempt.error, "s3cret"));
}

static void other_protocols_are_refused(void **state)
{
	static const char *const urls[] = {"ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/",
	                                   "http://", "no url at all?api_secret=s3cret"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct http_request *request;
		struct result r = {0};

		if (http_post(client, urls[i], SLICE_LIT(BODY), false, 0, on_done, &r, &request) < 0)
			continue;
		turn_until(&r.n, 1);
		assert_true(r.attempt.transport == TRANSPORT_LOCAL || r.attempt.transport == TRANSPORT_DNS);
		assert_int_equal(r.attempt.status, 0);
		assert_null(strstr(r.attempt.error, "s3cret"));
	}
}

/* TLS to a server that speaks none. */
static void tls_failure(void **state)
{
	char https[128];
	struct http_request *request;
	struct result r = {0};

	(void)state;
	SCRIPT(&server, {.when = WHEN_ACCEPTED, .reply = "HTTP/1.1 400 Bad\r\n\r\n"});
	snprintf(https, sizeof(https), "https%.100s", url() + 4);
	assert_int_equal(http_post(client, https, SLICE_LIT(BODY), false, 0, on_done, &r, &request), 0);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.transport, TRANSPORT_TLS);
	assert_false(r.attempt.body_sent);
	/* OpenSSL's reason alone, whichever version of it and of libcurl found it. */
	assert_null(strstr(r.attempt.error, "error:"));
	assert_null(strstr(r.attempt.error, "OpenSSL"));
	assert_true(r.attempt.error[0] != '\0');
}

static void missing_ca_file(void **state)
{
	struct http_client_config config = default_config();
	char https[128];
	struct http_request *request;
	struct result r = {0};

	(void)state;
	config.ca_file = "/nonexistent/ca.pem";
	start_client(&config);
	SCRIPT(&server, {.reply = NO_CONTENT});
	snprintf(https, sizeof(https), "https%.100s", url() + 4);
	assert_int_equal(http_post(client, https, SLICE_LIT(BODY), false, 0, on_done, &r, &request), 0);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.transport, TRANSPORT_TLS);
}

static void no_more_than_asked_for(void **state)
{
	struct result r[5];
	struct http_request *request;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	for (size_t i = 0; i < 4; i++)
		begin(&r[i], SLICE_LIT(BODY), false, 0);
	assert_int_equal(http_client_in_flight(client), 4);
	assert_int_equal(http_post(client, url(), SLICE_LIT(BODY), false, 0, on_done, &r[4], &request), -EBUSY);
	for (size_t i = 0; i < 4; i++) {
		turn_until(&r[i].n, 1);
		assert_int_equal(r[i].attempt.status, 204);
	}
	assert_int_equal(server.bodies, 4);
	assert_true(server.accepted <= 4);
}

struct chain {
	unsigned n;
	struct attempt attempt;
};

static void post_again(void *arg, const struct attempt *attempt, struct slice body)
{
	struct chain *chain = arg;
	struct http_request *request;

	(void)body;
	chain->attempt = *attempt;
	if (++chain->n < 100)
		assert_int_equal(http_post(client, url(), SLICE_LIT(BODY), false, 0, post_again, chain, &request), 0);
}

static void done_may_post(void **state)
{
	struct chain chain = {0};
	struct http_request *request;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	assert_int_equal(http_post(client, url(), SLICE_LIT(BODY), false, 0, post_again, &chain, &request), 0);
	turn_until(&chain.n, 100);
	assert_int_equal(chain.attempt.status, 204);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.bodies, 100);
}

/* Trap 12: all of these are obeyed by libcurl unless it is told otherwise. */
static void hostile_environment(void **state)
{
	struct http_client_config config = default_config();
	static const char *const names[] = {"http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"};
	char keys[] = "/tmp/ga4relay-test-keys-XXXXXX";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		setenv(names[i], "http://127.0.0.1:1", 1);
	close(mkstemp(keys));
	setenv("SSLKEYLOGFILE", keys, 1);
	client = http_client_free(client);
	start_client(&config);
	SCRIPT(&server, {.reply = NO_CONTENT});
	assert_int_equal(post().status, 204);
	assert_null(getenv("SSLKEYLOGFILE"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	unlink(keys);
}

/* The configured one is used, also against the environment's no_proxy. */
static void configured_proxy(void **state)
{
	struct http_client_config config = default_config();
	char proxy[64], named[96];
	struct http_request *request;
	struct result r = {0};

	(void)state;
	snprintf(proxy, sizeof(proxy), "http://me:s3cret@127.0.0.1:%u", server.port);
	config.proxy = proxy;
	setenv("no_proxy", "*", 1);
	start_client(&config);
	SCRIPT(&server, {.reply = NO_CONTENT},
	       {.reply = "HTTP/1.1 407 Auth\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", .then = THEN_CLOSE});
	assert_int_equal(
	        http_post(client, "http://ga4.example/mp/collect", SLICE_LIT(BODY), false, 0, on_done, &r, &request),
	        0);
	turn_until(&r.n, 1);
	assert_int_equal(r.attempt.status, 204);
	assert_ptr_equal(strstr(server.last, "POST http://ga4.example/mp/collect HTTP/1.1\r\n"), server.last);
	/* CONNECT refused: the proxy's answer is none of the destination's. */
	assert_int_equal(
	        http_post(client, "https://ga4.example/mp/collect", SLICE_LIT(BODY), false, 0, on_done, &r, &request),
	        0);
	turn_until(&r.n, 2);
	unsetenv("no_proxy");
	assert_int_equal(r.attempt.status, 0);
	assert_int_equal(r.attempt.transport, TRANSPORT_CONNECT);
	assert_false(r.attempt.body_sent);
	assert_int_equal(r.attempt.proxy_status, 407);
	assert_int_equal(r.attempt.retry_after_us, 7 * US_PER_S);
	snprintf(named, sizeof(named), "the proxy 127.0.0.1:%u answered CONNECT with status 407", server.port);
	assert_string_equal(r.attempt.error, named);
}

static void reconfigured(void **state)
{
	struct http_client_config config = default_config();
	struct err err;

	(void)state;
	SCRIPT(&server, {.reply = NO_CONTENT});
	post();
	config.user_agent = "ga4relay/next";
	config.max_requests = 1;
	assert_int_equal(http_client_set(client, &config, &err), 0);
	assert_int_equal(post().status, 204);
	assert_non_null(strstr(server.last, "\r\nUser-Agent: ga4relay/next\r\n"));
}

static void freed_in_flight(void **state)
{
	struct result r;

	(void)state;
	SCRIPT(&server, {.reply = NULL});
	begin(&r, SLICE_LIT(BODY), false, 0);
	turn_until(&server.bodies, 1);
	client = http_client_free(client);
	settle();
	assert_int_equal(r.n, 0);
	assert_null(http_client_free(NULL));
}

/* A lookup that takes long holds up neither the loop nor its own cancelling (QUICK_EXIT). */
static void cancel_during_lookup(void **state)
{
	struct http_request *request;
	struct result r = {0};
	int64_t start;

	(void)state;
	assert_int_equal(http_post(client, "http://slow.invalid/x", SLICE_LIT(BODY), false, 0, on_done, &r, &request),
	                 0);
	assert_int_equal(loop_turn(loop, false), 0);
	start = clock_mono_us();
	if (r.n == 0)
		http_cancel(request);
	turn_until(&r.n, 1);
	assert_true(clock_mono_us() - start < US_PER_S);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(delivered),
	        T(request_as_specified),
	        T(connection_is_kept),
	        T(fresh_opens_a_new_one),
	        T(status_and_retry_after),
	        T(interim_answers_do_not_count),
	        T(redirect_is_not_followed),
	        T(new_connection_dies),
	        T(kept_connection_dies_after_the_body),
	        T(kept_connection_closes_after_the_body),
	        T(kept_connection_closed_while_idle),
	        T(kept_connection_reset_while_idle),
	        T(reset_before_the_body),
	        T(stale_before_the_body),
	        T(answers_early_and_resets),
	        T(garbage_instead_of_an_answer),
	        T(answer_is_made_printable),
	        T(never_ending_answers),
	        T(endless_head),
	        T(answer_without_an_end),
	        T(half_a_head),
	        T(body_is_gathered),
	        T(hangs_until_the_timeout),
	        T(cancelled),
	        T(refused_and_unresolvable),
	        T(other_protocols_are_refused),
	        T(tls_failure),
	        T(missing_ca_file),
	        T(no_more_than_asked_for),
	        T(done_may_post),
	        T(hostile_environment),
	        T(configured_proxy),
	        T(reconfigured),
	        T(freed_in_flight),
	        T(cancel_during_lookup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
