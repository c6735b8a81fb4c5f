/* test_http_server.c - a bounded server: what it hands over, what it refuses, and clients that misbehave */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "failing_malloc.h"
#include "net/http_server/http_server.h"

enum { MAX_BODY = 1000, MAX_HEADERS = 2000, MAX_CONNECTIONS = 4 };

static struct loop *loop;
static struct http_server *server;
static char dir[] = "/tmp/ga4relay-test-http-XXXXXX";

/* What the handler saw last, and whether it keeps the answer back. */
static struct {
	unsigned n;
	char method[16], path[64], body[2000], query[64], header[64];
	size_t body_n;
	bool over_unix, defer;
	int64_t takes_us;
	struct http_exchange *exchange;
} seen;

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "(none)");
}

static void handler(void *arg, const struct http_request_info *request)
{
	static const char *const headers[] = {"X-Test", "yes", NULL};

	(void)arg;
	seen.n++;
	snprintf(seen.method, sizeof(seen.method), "%.*s", SLICE_ARG(request->method));
	snprintf(seen.path, sizeof(seen.path), "%.*s", SLICE_ARG(request->path));
	seen.body_n = request->body.n;
	assert_true(seen.body_n < sizeof(seen.body));
	memcpy(seen.body, request->body.n ? request->body.p : "", request->body.n);
	seen.body[request->body.n] = '\0';
	copy(seen.query, sizeof(seen.query), http_query(request->exchange, "q"));
	copy(seen.header, sizeof(seen.header), http_header(request->exchange, "X-Mine"));
	seen.over_unix = request->over_unix;
	seen.exchange = request->exchange;
	for (int64_t end = clock_mono_us() + seen.takes_us; clock_mono_us() < end;)
		;
	if (!seen.defer)
		http_answer(request->exchange, 200, "text/plain", SLICE_LIT("hello"), headers);
}

static size_t max_partial;

static void open_server(const char *listen_at, int64_t timeout_us)
{
	const struct http_server_config config = {
	        .listen = listen_at,
	        .max_body = MAX_BODY,
	        .max_headers = MAX_HEADERS,
	        .max_partial = max_partial,
	        .max_connections = MAX_CONNECTIONS,
	        .timeout_us = timeout_us,
	};
	struct err err;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(http_server_open(&server, loop, &config, handler, NULL, &err), 0);
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(loop_new(&loop, NULL), 0);
	open_server("127.0.0.1:0", 30 * US_PER_S);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	server = http_server_free(server);
	loop = loop_free(loop);
	return 0;
}

static int connect_tcp(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_port = htons((uint16_t)http_server_port(server));
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void turns(int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(loop_turn(loop, false), 0);
}

/* Turns the loop until wanted is among the bytes that came, or the connection ended. All that came is returned. */
static const char *get(int fd, const char *wanted)
{
	static char text[64 * 1024];
	size_t n = 0;
	int64_t end = clock_mono_us() + 10 * US_PER_S;

	text[0] = '\0';
	while (!strstr(text, wanted)) {
		ssize_t got;

		turns(1);
		got = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return text;
		if (got > 0)
			n += (size_t)got;
		else
			poll(NULL, 0, 1);
		text[n] = '\0';
		assert_true(clock_mono_us() < end);
	}
	return text;
}

static bool closed(int fd)
{
	char c;
	int64_t end = clock_mono_us() + 10 * US_PER_S;

	while (clock_mono_us() < end) {
		ssize_t got;

		turns(1);
		got = recv(fd, &c, 1, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static void request_is_handed_over(void **state)
{
	int fd = connect_tcp();
	const char *answer;

	(void)state;
	put(fd, "POST /mp/collect?a=1&q=x%20y&b=2 HTTP/1.1\r\nHost: a\r\nx-mine: 7\r\nContent-Length: 4\r\n\r\n");
	assert_int_equal(send(fd, "b\0dy", 4, MSG_NOSIGNAL), 4);
	answer = get(fd, "hello");
	assert_ptr_equal(strstr(answer, "HTTP/1.1 200 OK\r\n"), answer);
	assert_non_null(strstr(answer, "X-Test: yes\r\n"));
	assert_non_null(strstr(answer, "Content-Type: text/plain\r\n"));
	assert_string_equal(seen.method, "POST");
	assert_string_equal(seen.path, "/mp/collect");
	assert_string_equal(seen.header, "7");
	assert_int_equal(seen.body_n, 4);
	assert_false(seen.over_unix);
	close(fd);
}

static void query_is_decoded(void **state)
{
	int fd = connect_tcp();

	(void)state;
	put(fd, "GET /p?a=1&q=x%20y%26 HTTP/1.1\r\nHost: a\r\n\r\n");
	get(fd, "hello");
	assert_string_equal(seen.query, "x y&");
	put(fd, "GET /p?other=1 HTTP/1.1\r\nHost: a\r\n\r\n");
	get(fd, "hello");
	assert_string_equal(seen.query, "(none)");
	put(fd, "GET /p HTTP/1.1\r\nHost: a\r\n\r\n");
	get(fd, "hello");
	assert_string_equal(seen.query, "(none)");
	assert_int_equal(seen.n, 3);
	close(fd);
}

static void query_of(int fd, const char *query, const char *wanted)
{
	char text[256];

	snprintf(text, sizeof(text), "GET /p?%s HTTP/1.1\r\nHost: a\r\n\r\n", query);
	put(fd, text);
	get(fd, "hello");
	assert_string_equal(seen.query, wanted);
}

/* None of these costs the other parameters anything. */
static void flags_and_empty_parameters(void **state)
{
	int fd = connect_tcp();

	(void)state;
	query_of(fd, "debug&q=1", "1");
	query_of(fd, "q=1&debug", "1");
	query_of(fd, "a=1&&q=2", "2");
	query_of(fd, "&q=3", "3");
	query_of(fd, "q=4&", "4");
	query_of(fd, "q", "");
	query_of(fd, "q=", "");
	query_of(fd, "=x&q=5", "5");
	query_of(fd, "q=a=b", "a=b");
	query_of(fd, "q=a+b%2", "a b%2");
	query_of(fd, "q=%zz%41", "%zzA");
	query_of(fd, "%71=6#q=7", "6");
	query_of(fd, "qq=1&&&", "(none)");
	query_of(fd, "", "(none)");
	close(fd);
}

/* Clients write the same name to both places (RFC 9112, 3.2.2); a handler judges the one in the header. */
static void absolute_target_names_the_same_host(void **state)
{
	static const char *const others[] = {
	        "http://b/p", "http://b", "http://a:80/p", "http://a@b/p", "http://b@a/p", "http:///p", "x://b?/a",
	};
	int fd = connect_tcp();

	(void)state;
	put(fd, "GET http://A/p?q=1 HTTP/1.1\r\nHost: a\r\n\r\n");
	get(fd, "hello");
	assert_string_equal(seen.path, "/p");
	assert_string_equal(seen.query, "1");
	put(fd, "GET http://a?q=://b HTTP/1.1\r\nHost: a\r\n\r\n");
	get(fd, "hello");
	assert_string_equal(seen.path, "");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		char text[128];

		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", others[i]);
		put(fd, text);
		assert_non_null(strstr(get(fd, "\r\n\r\n"), "HTTP/1.1 400 "));
	}
	put(fd, "GET http://b/p HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(get(fd, "\r\n\r\n"), " 400 "));
	assert_int_equal(seen.n, 2);
	close(fd);
}

/* The next answer on the connection begins where the empty body of this one ends. */
static void head_has_no_body(void **state)
{
	int fd = connect_tcp();
	const char *got;

	(void)state;
	put(fd,
	    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
	got = get(fd, "hello");
	for (int i = 0; i < 2; i++) {
		assert_ptr_equal(strstr(got, "HTTP/1.1 200 OK\r\n"), got);
		assert_non_null(strstr(got, "Content-Length: 5\r\n"));
		got = strstr(got, "\r\n\r\n") + 4;
	}
	assert_ptr_equal(strstr(got, "HTTP/1.1 200 OK\r\n"), got);
	close(fd);
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Requests that wait behind one without answer are answered too when their client has shut down its sending side. */
static void half_close_behind_pipelined_requests(void **state)
{
	static const char one[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
	int fd = connect_tcp();

	(void)state;
	seen.defer = true;
	for (int i = 0; i < 10; i++)
		put(fd, one);
	shutdown(fd, SHUT_WR);
	for (unsigned i = 1; i <= 10; i++) {
		int64_t end = clock_mono_us() + 10 * US_PER_S;
		while (seen.n < i && clock_mono_us() < end)
			turns(1);
		assert_int_equal(seen.n, i); /* one at a time */
		turns(3);
		http_answer(seen.exchange, 204, NULL, SLICE_LIT(""), NULL);
	}
	assert_int_equal(count_of(get(fd, "never"), "HTTP/1.1 204 No Content\r\n"), 10);
	close(fd);
}

static void refused(const char *text, const char *status)
{
	int fd = connect_tcp();
	const char *got;

	put(fd, text);
	got = get(fd, "never"); /* to its end */
	assert_int_equal(strncmp(got, status, strlen(status)), 0);
	assert_non_null(strstr(got, "Content-Type: application/json"));
	assert_non_null(strstr(got, "Connection: close\r\n"));
	assert_non_null(strstr(got, "\r\n\r\n{\"ok\":false,\"message\":\""));
	assert_int_equal(got[strlen(got) - 1], '}');
	close(fd);
	turns(5);
}

static void refusals_are_json(void **state)
{
	char large[MAX_HEADERS + 200];

	(void)state;
	refused("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n");
	refused("POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\n", "HTTP/1.1 400 ");
	refused("POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413 ");
	refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", "HTTP/1.1 413 ");
	refused("POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 200-maybe\r\n\r\n", "HTTP/1.1 417 ");
	memset(large, 'x', sizeof(large));
	memcpy(large, "GET / HTTP/1.1\r\nX-Long: ", 24);
	large[sizeof(large) - 1] = '\0';
	refused(large, "HTTP/1.1 431 ");
	assert_int_equal(seen.n, 0);
}

/* Also a client that writes all of its body first, and only then reads. */
static void too_large_body_is_read_to_its_end(void **state)
{
	static char body[64 * 1024];
	int fd = connect_tcp();
	size_t left = 64;

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	put(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194240\r\n\r\n");
	for (int64_t end = clock_mono_us() + 10 * US_PER_S; left > 0 && clock_mono_us() < end;) {
		ssize_t n = send(fd, body, sizeof(body) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_true(n >= 0 || errno == EAGAIN);
		left -= n > 0;
		turns(1);
	}
	assert_int_equal(left, 0);
	assert_non_null(strstr(get(fd, "}"), " 413 "));
	shutdown(fd, SHUT_WR);
	assert_true(closed(fd));
	close(fd);
}

/* One that does not read its answers holds up itself: no request is taken before its last answer is written. */
static void answers_do_not_pile_up(void **state)
{
	static const char one[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	int fd = connect_tcp(), small = 4096;
	unsigned before;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	do {
		before = seen.n;
		for (int i = 0; i < 100; i++)
			(void)!send(fd, one, sizeof(one) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		turns(100);
	} while (seen.n > before && seen.n < 2000000);
	assert_true(seen.n < 2000000);
	close(fd);
}

static void continues_when_asked(void **state)
{
	int fd = connect_tcp();

	(void)state;
	put(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
	assert_string_equal(get(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
	put(fd, "ok");
	get(fd, "hello");
	assert_string_equal(seen.body, "ok");
	close(fd);
}

/* HTTP/1.0 knows no interim answers: its client would take one for the answer. */
static void old_clients_are_not_told_to_continue(void **state)
{
	int fd = connect_tcp();

	(void)state;
	put(fd, "POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	turns(5);
	put(fd, "ok");
	assert_memory_equal(get(fd, "hello"), "HTTP/1.1 200 OK\r\n", 17);
	assert_string_equal(seen.body, "ok");
	close(fd);
}

static void connection_header(const char *version, const char *header, bool ends)
{
	char text[256];
	const char *got;
	int fd = connect_tcp();

	snprintf(text, sizeof(text), "GET / HTTP/%s\r\nHost: a\r\nX-Mine:  7 \t\r\n%s\r\n", version, header);
	put(fd, text);
	got = get(fd, "hello");
	assert_string_equal(seen.header, "7");
	assert_int_equal(strstr(got, "Connection: close\r\n") != NULL, ends);
	if (ends) {
		assert_true(closed(fd));
	} else {
		put(fd, text);
		get(fd, "hello");
	}
	close(fd);
	turns(5);
}

static void connections_go_on_when_wanted(void **state)
{
	(void)state;
	connection_header("1.1", "", false);
	connection_header("1.1", "Connection: keep-alive\r\n", false);
	connection_header("1.1", "Connection: Close\r\n", true);
	connection_header("1.1", "connection: te, close \r\n", true);
	connection_header("1.1", "Connection: closed\r\n", false);
	connection_header("1.0", "", true);
	connection_header("1.0", "Connection: Keep-Alive\r\n", false);
}

static void chunked_body(void **state)
{
	int fd = connect_tcp();

	(void)state;
	put(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	get(fd, "hello");
	assert_string_equal(seen.body, "abcde");
	close(fd);
}

static void bodies_at_the_limit(void **state)
{
	char text[4000], body[MAX_BODY + 2];
	int fd;

	(void)state;
	memset(body, 'x', sizeof(body));
	body[MAX_BODY] = '\0';
	fd = connect_tcp();
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", MAX_BODY, body);
	put(fd, text);
	get(fd, "hello");
	assert_int_equal(seen.body_n, MAX_BODY);
	close(fd);
	fd = connect_tcp();
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%sx", MAX_BODY + 1,
	         body);
	put(fd, text);
	assert_non_null(strstr(get(fd, "\r\n\r\n"), " 413 "));
	assert_int_equal(seen.n, 1);
	close(fd);
	fd = connect_tcp();
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n%s",
	         body);
	put(fd, text);
	assert_non_null(strstr(get(fd, "\r\n\r\n"), " 413 "));
	assert_int_equal(seen.n, 1);
	close(fd);
}

static void head_too_large(void **state)
{
	char text[MAX_HEADERS + 200];
	int fd = connect_tcp();

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "GET / HTTP/1.1\r\nX-Long: ", 24);
	memcpy(text + sizeof(text) - 5, "\r\n\r\n", 5);
	put(fd, text);
	get(fd, "never");
	assert_int_equal(seen.n, 0);
	close(fd);
}

static void every_method_reaches_the_handler(void **state)
{
	static const char *const methods[] = {"GET", "PUT", "DELETE", "OPTIONS", "PATCH"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		char text[128];
		int fd = connect_tcp();

		snprintf(text, sizeof(text), "%s /x HTTP/1.1\r\nHost: a\r\n\r\n", methods[i]);
		put(fd, text);
		get(fd, "hello");
		assert_string_equal(seen.method, methods[i]);
		close(fd);
		turns(5);
	}
}

/* Whatever comes: an answer or a closed connection, and the next client is served. */
static void garbage(void **state)
{
	static const char *const texts[] = {
	        "\r\n\r\n\r\n",
	        "GET\r\n\r\n",
	        "GET / HTTP/9.9\r\n\r\n",
	        "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
	        "GET / HTTP/1.1\r\n: novalue\r\n\r\n",
	        "GET / HTTP/1.1\r\nHost\r\n\r\n",
	        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
	        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
	        "POST / HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
	        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n",
	        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n",
	        "GET http:// HTTP/1.1\r\n\r\n",
	        "GET //?%zz=%&&==%00 HTTP/1.1\r\nHost: a\r\n\r\n",
	        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	        "{\"client_id\":\"1.2\",\"name\":\"refund\"}\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int fd = connect_tcp();

		put(fd, texts[i]);
		shutdown(fd, SHUT_WR);
		assert_true(closed(fd));
		turns(10);
		close(fd);
		turns(10);
	}
	int fd = connect_tcp();

	put(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(get(fd, "hello"), "200"));
	close(fd);
}

static void answered_later(void **state)
{
	int fd = connect_tcp();

	(void)state;
	seen.defer = true;
	put(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
	while (seen.n == 0)
		turns(1);
	turns(10);
	assert_string_equal(http_header(seen.exchange, "host"), "a");
	http_answer(seen.exchange, 204, NULL, SLICE_LIT(""), NULL);
	assert_non_null(strstr(get(fd, "\r\n\r\n"), "HTTP/1.1 204 No Content"));
	/* The connection goes on. */
	seen.defer = false;
	put(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	get(fd, "hello");
	close(fd);
}

static void client_gone_before_the_answer(void **state)
{
	(void)state;
	seen.defer = true;
	for (unsigned i = 0; i < 20; i++) {
		int fd = connect_tcp();
		struct linger linger = {1, 0};

		put(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
		while (seen.n == i)
			turns(1);
		if (i % 2)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(fd);
		turns(10);
		http_answer(seen.exchange, 200, "text/plain", SLICE_LIT("late"), NULL);
		turns(5);
	}
}

static void server_gone_before_the_answer(void **state)
{
	int gone = connect_tcp(), here;

	(void)state;
	seen.defer = true;
	put(gone, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
	while (seen.n == 0)
		turns(1);
	struct http_exchange *first = seen.exchange;

	close(gone);
	turns(10);
	here = connect_tcp();
	put(here, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
	while (seen.n == 1)
		turns(1);
	server = http_server_free(server);
	assert_null(http_header(first, "Host"));
	assert_null(http_query(first, "q"));
	http_answer(first, 200, NULL, SLICE_LIT(""), NULL);
	http_answer(seen.exchange, 200, NULL, SLICE_LIT(""), NULL);
	close(here);
	assert_null(http_server_free(NULL));
}

static void drained_when_all_is_answered(void **state)
{
	int fd = connect_tcp();

	(void)state;
	assert_true(http_server_drained(server));
	seen.defer = true;
	put(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
	while (seen.n == 0)
		turns(1);
	http_server_drain(server);
	assert_false(http_server_drained(server));
	http_answer(seen.exchange, 204, NULL, SLICE_LIT(""), NULL);
	assert_true(http_server_drained(server)); /* an answer is written at once */
	get(fd, "204");
	close(fd);
}

static void connections_are_limited(void **state)
{
	int fds[MAX_CONNECTIONS + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_tcp();
		turns(5);
	}
	/* Beyond the limit they wait in the kernel; nothing is refused. */
	put(fds[MAX_CONNECTIONS], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	turns(50);
	assert_int_equal(seen.n, 0);
	for (size_t i = 0; i < 2; i++) {
		close(fds[i]);
		turns(10);
	}
	get(fds[MAX_CONNECTIONS], "hello");
	assert_int_equal(seen.n, 1);
	for (size_t i = 2; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* One byte now and then keeps a read timeout from firing: the whole request has a limit of its own. */
static void slow_clients_are_cut_off(void **state)
{
	int slow, idle;
	int64_t start = clock_mono_us();
	bool gone = false;

	(void)state;
	server = http_server_free(server);
	open_server("127.0.0.1:0", 300 * US_PER_MS);
	slow = connect_tcp();
	idle = connect_tcp();
	while (!gone && clock_mono_us() < start + 5 * US_PER_S) {
		char c;

		(void)!send(slow, "G", 1, MSG_NOSIGNAL);
		turns(5);
		gone = recv(slow, &c, 1, MSG_DONTWAIT) == 0;
		poll(NULL, 0, 20);
	}
	assert_true(gone);
	assert_true(clock_mono_us() - start >= 290 * US_PER_MS);
	assert_true(closed(idle));
	close(slow);
	close(idle);
}

static void unix_path(char *path, size_t size)
{
	snprintf(path, size, "%s/http.sock", dir);
}

static int connect_unix(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void unix_socket(void **state)
{
	char path[64], listen_at[80];
	struct stat st;
	int fd;

	(void)state;
	server = http_server_free(server);
	assert_non_null(mkdtemp(dir));
	unix_path(path, sizeof(path));
	snprintf(listen_at, sizeof(listen_at), "unix:%s", path);
	open_server(listen_at, US_PER_S);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(http_server_port(server), 0);
	fd = connect_unix(path);
	put(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	get(fd, "hello");
	assert_true(seen.over_unix);
	close(fd);
	server = http_server_free(server);
	assert_int_equal(stat(path, &st), -1);
	rmdir(dir);
}

static void unix_socket_in_the_way(void **state)
{
	char path[64], listen_at[80];
	const struct http_server_config config = {.listen = listen_at, .max_connections = 1, .timeout_us = US_PER_S};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct http_server *second = NULL;
	struct err err;
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	server = http_server_free(server);
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	unix_path(path, sizeof(path));
	snprintf(listen_at, sizeof(listen_at), "unix:%s", path);
	/* A listener lives there. */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(http_server_open(&second, loop, &config, handler, NULL, &err), -EADDRINUSE);
	assert_null(second);
	/* It died and left its file. */
	close(fd);
	open_server(listen_at, US_PER_S);
	/* Somebody else took the path meanwhile: theirs stays. */
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	server = http_server_free(server);
	assert_int_equal(stat(path, &st), 0);
	close(fd);
	/* A file that is no socket is never removed. */
	unlink(path);
	fclose(fopen(path, "w"));
	assert_int_equal(http_server_open(&second, loop, &config, handler, NULL, &err), -EEXIST);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
	rmdir(dir);
}

static void bad_addresses(void **state)
{
	static const char *const addresses[] = {"",      "8125",   "127.0.0.1",  "localhost:8125", "127.0.0.1:99999",
	                                        "unix:", "unix:x", "1.2.3.4.5:1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		const struct http_server_config config = {
		        .listen = addresses[i], .max_connections = 1, .timeout_us = US_PER_S};
		struct http_server *s = NULL;
		struct err err;

		assert_true(http_server_open(&s, loop, &config, handler, NULL, &err) < 0);
		assert_null(s);
	}
}

static void version_6(void **state)
{
	const struct http_server_config config = {.listen = "[::1]:0", .max_connections = 1, .timeout_us = US_PER_S};
	struct http_server *s = NULL;
	struct err err;

	(void)state;
	if (http_server_open(&s, loop, &config, handler, NULL, &err) == -EADDRNOTAVAIL)
		skip();
	assert_non_null(s);
	assert_true(http_server_port(s) > 0);
	http_server_free(s);
}

/* ---- crowds ---- */

/* What a client on a Unix socket, whose buffers are small, has sent and got so far. */
struct pipeliner {
	int fd;
	bool reads;
	size_t sent;
};

static void reopen_as_unix(struct pipeliner *p)
{
	char path[64], listen_at[80];

	server = http_server_free(server);
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	unix_path(path, sizeof(path));
	snprintf(listen_at, sizeof(listen_at), "unix:%s", path);
	open_server(listen_at, 30 * US_PER_S);
	*p = (struct pipeliner){.fd = connect_unix(path)};
}

static void close_unix(struct pipeliner *p)
{
	close(p->fd);
	server = http_server_free(server);
	rmdir(dir);
}

static const char one_request[] = "GET /pipelined HTTP/1.1\r\n\r\n";

/* As much as the kernel takes. */
static void pipeline(struct pipeliner *p)
{
	static char requests[1000 * (sizeof(one_request) - 1)], answers[64 << 10];
	ssize_t n;

	for (size_t at = 0; at < sizeof(requests); at += sizeof(one_request) - 1)
		memcpy(requests + at, one_request, sizeof(one_request) - 1);
	do {
		size_t at = p->sent % sizeof(requests);

		n = send(p->fd, requests + at, sizeof(requests) - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		p->sent += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	while (p->reads && recv(p->fd, answers, sizeof(answers), MSG_DONTWAIT) > 0)
		;
}

/* Requests behind the one that is being answered stay in the kernel, and their client stops writing. */
static void pipelined_requests_are_not_hoarded(void **state)
{
	struct pipeliner p;

	(void)state;
	for (int reads = 0; reads < 2; reads++) {
		reopen_as_unix(&p);
		p.reads = reads;
		for (int i = 0; i < 2000; i++) {
			pipeline(&p);
			turns(1);
			assert_true(p.sent - seen.n * (sizeof(one_request) - 1) < 1 << 20);
		}
		/* And they are answered when it reads. */
		for (unsigned n = seen.n; seen.n < n + 2000;) {
			char answers[4096];

			(void)!recv(p.fd, answers, sizeof(answers), MSG_DONTWAIT);
			turns(1);
		}
		close_unix(&p);
	}
}

static void send_all(struct pipeliner *p, const char *text, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		ssize_t n;

		while ((n = send(p->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT)) < 0)
			turns(1);
		assert_int_equal(n, strlen(text));
	}
}

/* A request that is none, behind as many answers as the kernel takes. */
static void nothing_is_hoarded_behind_an_error(void **state)
{
	struct pipeliner p;
	unsigned taken;

	(void)state;
	reopen_as_unix(&p);
	for (int i = 0; i < 2000; i++) {
		pipeline(&p);
		turns(1);
	}
	taken = seen.n;
	close_unix(&p);
	reopen_as_unix(&p);
	send_all(&p, one_request, taken - 1);
	send_all(&p, "STRANGE / HTTP/9.9\r\n\r\n", 1);
	for (int i = 0; i < 2000; i++) {
		pipeline(&p);
		turns(1);
		assert_true(p.sent < 1 << 20);
	}
	assert_int_equal(seen.n, taken - 1);
	close_unix(&p);
}

/* What comes at once is handled over several turns, in the order in which it came. */
static void a_turn_has_a_budget(void **state)
{
	int fds[MAX_CONNECTIONS];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_tcp();
		put(fds[i], "GET /some HTTP/1.1\r\n");
		turns(5);
	}
	seen.takes_us = 5 * US_PER_MS;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		put(fds[i], "\r\n");
	for (unsigned n = 0; n < MAX_CONNECTIONS; n = seen.n) {
		turns(1);
		assert_true(seen.n <= n + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		get(fds[i], "hello");
		close(fds[i]);
	}
}

/* Their memory is taken until the handler has seen them: somebody whose request is not complete gives way. */
static void bodies_that_wait_count(void **state)
{
	int fds[MAX_CONNECTIONS];
	char head[64], body[MAX_BODY];

	(void)state;
	server = http_server_free(server);
	max_partial = 2 * MAX_BODY;
	open_server("127.0.0.1:0", 30 * US_PER_S);
	max_partial = 0;
	memset(body, 'x', sizeof(body));
	snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n", MAX_BODY);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_tcp();
		turns(5);
	}
	seen.takes_us = 5 * US_PER_MS;
	for (size_t i = 0; i < 3; i++) {
		put(fds[i], head);
		assert_int_equal(send(fds[i], body, sizeof(body), MSG_NOSIGNAL), sizeof(body));
	}
	while (seen.n == 0)
		turns(1);
	put(fds[3], head);
	assert_int_equal(send(fds[3], body, sizeof(body) - 1, MSG_NOSIGNAL), sizeof(body) - 1);
	assert_true(closed(fds[3]));
	for (size_t i = 0; i < 3; i++)
		get(fds[i], "hello");
	assert_int_equal(seen.n, 3);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void server_gone_while_requests_wait(void **state)
{
	int fds[MAX_CONNECTIONS];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_tcp();
		put(fds[i], "POST /some HTTP/1.1\r\nContent-Length: 2\r\n\r\no");
		turns(5);
	}
	seen.takes_us = 5 * US_PER_MS;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		put(fds[i], "k");
	while (seen.n == 0)
		turns(1);
	assert_false(http_server_drained(server));
	close(fds[1]);
	server = http_server_free(server);
	assert_int_equal(seen.n, 1);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (i != 1)
			close(fds[i]);
}

/* Whatever allocation fails: the client is answered or sees the end at once, and a request that follows is itself. */
static void no_memory_once(void **state)
{
	static const char two[] = "POST /?q=1 HTTP/1.1\r\nContent-Length: 3\r\n\r\noneGET / HTTP/1.1\r\n\r\n";
	static const char next[] = "POST /next HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo";
	bool failed = true;

	(void)state;
	if (!malloc_can_fail())
		skip();
	for (long at = 0; failed; at++) {
		const char *got;
		int fd = connect_tcp();

		turns(5);
		put(fd, two);
		memset(&seen, 0, sizeof(seen));
		malloc_fails_at = at;
		turns(20);
		failed = malloc_failed();
		assert_string_equal(seen.body, strcmp(seen.method, "POST") == 0 ? "one" : "");
		seen.body[0] = '\0';
		(void)send(fd, next, sizeof(next) - 1, MSG_NOSIGNAL);
		got = get(fd, "Connection: close"); /* or its end, and not by the time limit */
		assert_true(strstr(got, " 200 ") == NULL || strstr(got, "hello") != NULL);
		assert_true(seen.body[0] == '\0' || strcmp(seen.body, "two") == 0);
		close(fd);
		turns(5);
	}
}

/* ---- streams ---- */

static unsigned streams_closed, streams_written;

static void on_stream_closed(void *arg)
{
	*(struct http_stream **)arg = NULL;
	streams_closed++;
}

static void on_stream_written(void *arg)
{
	(void)arg;
	streams_written++;
}

static const struct http_stream_ops stream_ops = {on_stream_closed, on_stream_written};

/* Asks for one; what came of its beginning is in get()'s text. */
static int begin_stream(const char *request, struct http_stream **ret)
{
	int fd = connect_tcp();

	seen.defer = true;
	seen.n = streams_closed = streams_written = 0;
	put(fd, request);
	while (seen.n == 0)
		turns(1);
	*ret = http_stream_begin(seen.exchange, "text/x", NULL, &stream_ops, ret);
	return fd;
}

static void a_stream_is_written_in_pieces(void **state)
{
	struct http_stream *s;
	const char *got;
	int fd = begin_stream("GET / HTTP/1.1\r\n\r\n", &s);

	(void)state;
	assert_int_equal(http_stream_write(s, SLICE_LIT("one")), 0);
	assert_int_equal(http_stream_write(s, SLICE_LIT("")), 0);
	got = get(fd, "3\r\none\r\n");
	assert_non_null(strstr(got, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(got, "Transfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(got, "Connection: close\r\n"));
	assert_null(strstr(got, "Content-Length"));
	assert_int_equal(http_stream_unwritten(s), 0);
	assert_int_equal(streams_written, 1);
	put(fd, "GET /more HTTP/1.1\r\n\r\n"); /* what its client says means nothing */
	turns(5);
	assert_int_equal(http_stream_write(s, SLICE_LIT("two")), 0);
	http_stream_end(s);
	assert_string_equal(get(fd, "0\r\n\r\n"), "3\r\ntwo\r\n0\r\n\r\n");
	assert_true(closed(fd));
	assert_int_equal(seen.n, 1);
	assert_int_equal(streams_closed, 0);
	close(fd);
}

static void a_stream_of_an_old_client_has_no_chunks(void **state)
{
	struct http_stream *s;
	int fd = begin_stream("GET / HTTP/1.0\r\n\r\n", &s);

	(void)state;
	assert_int_equal(http_stream_write(s, SLICE_LIT("one")), 0);
	http_stream_end(s);
	assert_non_null(strstr(get(fd, "one"), "\r\n\r\none"));
	assert_true(closed(fd));
	close(fd);
	close(begin_stream("HEAD / HTTP/1.1\r\n\r\n", &s));
	assert_null(s);
}

static void the_end_of_a_stream_s_client_is_seen(void **state)
{
	static char much[256 * 1024];
	struct http_stream *s;
	int64_t end = clock_mono_us() + 10 * US_PER_S;

	(void)state;
	close(begin_stream("GET / HTTP/1.1\r\n\r\n", &s));
	while (streams_closed == 0 && clock_mono_us() < end)
		turns(1);
	assert_int_equal(streams_closed, 1);
	assert_null(s);
	/* While it reads nothing. */
	int fd = begin_stream("GET / HTTP/1.1\r\n\r\n", &s);
	for (int i = 0; i < 40; i++)
		assert_int_equal(http_stream_write(s, (struct slice){much, sizeof(much)}), 0);
	turns(20);
	assert_true(http_stream_unwritten(s) > sizeof(much));
	close(fd);
	while (s && clock_mono_us() < end)
		turns(1);
	assert_null(s);
}

static void a_stream_without_a_reader_is_cut_off(void **state)
{
	static char much[256 * 1024];
	struct http_stream *s, *quiet;
	int64_t end = clock_mono_us() + 10 * US_PER_S;
	int fd, quiet_fd;

	(void)state;
	server = http_server_free(server);
	open_server("127.0.0.1:0", 200 * US_PER_MS);
	quiet_fd = begin_stream("GET / HTTP/1.1\r\n\r\n", &quiet);
	fd = begin_stream("GET / HTTP/1.1\r\n\r\n", &s);
	for (int i = 0; i < 40; i++)
		assert_int_equal(http_stream_write(s, (struct slice){much, sizeof(much)}), 0);
	while (s && clock_mono_us() < end) {
		turns(1);
		poll(NULL, 0, 5);
	}
	assert_null(s);
	assert_non_null(quiet);
	close(fd);
	/* One that is cut, one that ends with the server. */
	fd = begin_stream("GET / HTTP/1.1\r\n\r\n", &s);
	http_stream_cut(s);
	assert_true(closed(fd));
	server = http_server_free(server);
	assert_null(quiet);
	close(fd);
	close(quiet_fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(request_is_handed_over),
	        T(query_is_decoded),
	        T(flags_and_empty_parameters),
	        T(absolute_target_names_the_same_host),
	        T(head_has_no_body),
	        T(half_close_behind_pipelined_requests),
	        T(refusals_are_json),
	        T(too_large_body_is_read_to_its_end),
	        T(answers_do_not_pile_up),
	        T(continues_when_asked),
	        T(old_clients_are_not_told_to_continue),
	        T(connections_go_on_when_wanted),
	        T(chunked_body),
	        T(bodies_at_the_limit),
	        T(head_too_large),
	        T(every_method_reaches_the_handler),
	        T(garbage),
	        T(answered_later),
	        T(client_gone_before_the_answer),
	        T(server_gone_before_the_answer),
	        T(drained_when_all_is_answered),
	        T(connections_are_limited),
	        T(slow_clients_are_cut_off),
	        T(unix_socket),
	        T(unix_socket_in_the_way),
	        T(bad_addresses),
	        T(version_6),
	        T(pipelined_requests_are_not_hoarded),
	        T(nothing_is_hoarded_behind_an_error),
	        T(a_turn_has_a_budget),
	        T(bodies_that_wait_count),
	        T(server_gone_while_requests_wait),
	        T(a_stream_is_written_in_pieces),
	        T(a_stream_of_an_old_client_has_no_chunks),
	        T(the_end_of_a_stream_s_client_is_seen),
	        T(a_stream_without_a_reader_is_cut_off),
	        T(no_memory_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
