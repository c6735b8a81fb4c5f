/* http_script.h - a scripted HTTP server in the test's own loop: it does exactly what a test says, request by request
 *
 * Included by one test program each, hence static functions in a header. */
#ifndef TESTS_HTTP_SCRIPT_H
#define TESTS_HTTP_SCRIPT_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "net/loop.h"

enum script_when { WHEN_WHOLE, WHEN_HEAD /* before the body is read */, WHEN_ACCEPTED };
enum script_then { THEN_KEEP, THEN_CLOSE, THEN_RESET };

/* One request's treatment. reply NULL: none. */
struct script_step {
	enum script_when when;
	const char *reply;
	enum script_then then;
	bool endless; /* reply again and again, as long as the other side reads */
};

struct script;
struct script_conn {
	struct script *script;
	struct script_conn *next;
	struct loop_watch *watch;
	const struct script_step *step; /* being carried out */
	int fd;
	size_t n;
	char input[64 * 1024];
};

struct script {
	struct loop *loop;
	struct loop_watch *watch;
	int fd;
	unsigned port;
	const struct script_step *steps; /* each request takes the next; the last one stays */
	size_t n_steps, at;
	struct script_conn *conns;
	/* What came. */
	unsigned accepted, requests, bodies;
	char last[64 * 1024]; /* the last request: head and body */
};

#define SCRIPT(s, ...)                                                                                               \
	do {                                                                                                         \
		static const struct script_step script_steps[] = {__VA_ARGS__};                                      \
		script_set(s, script_steps, sizeof(script_steps) / sizeof(script_steps[0]));                         \
	} while (0)

static UNUSED void script_set(struct script *s, const struct script_step *steps, size_t n)
{
	s->steps = steps;
	s->n_steps = n;
	s->at = 0;
	s->accepted = s->requests = s->bodies = 0;
}

static void script_conn_free(void *p)
{
	struct script_conn *c = p;

	loop_watch_free(c->watch);
	close(c->fd);
	free(c);
}

static void script_drop(struct script_conn *c, bool reset)
{
	struct linger linger = {1, 0};

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	for (struct script_conn **at = &c->script->conns; *at; at = &(*at)->next) {
		if (*at != c)
			continue;
		*at = c->next;
		break;
	}
	script_conn_free(c);
}

/* False: the connection is gone. */
static bool script_carry_out(struct script_conn *c)
{
	const struct script_step *step = c->step;

	if (step->reply && send(c->fd, step->reply, strlen(step->reply), MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
		script_drop(c, false);
		return false;
	}
	if (step->endless) {
		loop_watch_set(c->watch, LOOP_READ | LOOP_WRITE);
		return true;
	}
	c->step = NULL;
	if (step->then == THEN_KEEP)
		return true;
	script_drop(c, step->then == THEN_RESET);
	return false;
}

static const struct script_step *script_next(struct script *s)
{
	const struct script_step *step = &s->steps[s->at];

	if (s->at + 1 < s->n_steps)
		s->at++;
	return step;
}

static size_t script_request_size(const struct script_conn *c, size_t *ret_head)
{
	const char *end = memmem(c->input, c->n, "\r\n\r\n", 4), *length;

	if (!end)
		return 0;
	*ret_head = (size_t)(end - c->input) + 4;
	length = memmem(c->input, *ret_head, "Content-Length: ", 16);
	return *ret_head + (length ? strtoul(length + 16, NULL, 10) : 0);
}

/* False: the connection is gone. */
static bool script_take_requests(struct script_conn *c)
{
	struct script *s = c->script;

	for (;;) {
		size_t head = 0, whole = script_request_size(c, &head);

		if (whole == 0)
			return true;
		if (!c->step) {
			c->step = script_next(s);
			s->requests++;
			if (c->step->when == WHEN_HEAD && !script_carry_out(c))
				return false;
		}
		if (c->n < whole)
			return true;
		s->bodies++;
		memcpy(s->last, c->input, whole);
		s->last[whole] = '\0';
		memmove(c->input, c->input + whole, c->n - whole);
		c->n -= whole;
		if (c->step && c->step->when == WHEN_WHOLE && !script_carry_out(c))
			return false;
	}
}

static void script_on_conn(void *arg, int fd, unsigned ready)
{
	struct script_conn *c = arg;
	ssize_t n;

	if (ready & LOOP_WRITE && c->step && c->step->endless) {
		(void)script_carry_out(c);
		return;
	}
	n = recv(fd, c->input + c->n, sizeof(c->input) - 1 - c->n, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		script_drop(c, false);
		return;
	}
	c->n += (size_t)n;
	(void)script_take_requests(c);
}

static void script_on_accept(void *arg, int fd, unsigned ready)
{
	struct script *s = arg;
	struct script_conn *c = calloc(1, sizeof(*c));

	(void)ready;
	c->script = s;
	c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	c->next = s->conns;
	s->conns = c;
	s->accepted++;
	c->watch = loop_watch_new(s->loop, c->fd, LOOP_READ, script_on_conn, c);
	if (s->steps[s->at].when == WHEN_ACCEPTED) {
		c->step = script_next(s);
		(void)script_carry_out(c);
	}
}

static UNUSED void script_open(struct script *s, struct loop *loop)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);

	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(s->fd, (struct sockaddr *)&sin, len) < 0 || listen(s->fd, 16) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&sin, &len) < 0)
		abort();
	s->port = ntohs(sin.sin_port);
	s->watch = loop_watch_new(loop, s->fd, LOOP_READ, script_on_accept, s);
}

/* Closes every open connection from the server's side. */
static UNUSED void script_hang_up(struct script *s, bool reset)
{
	while (s->conns)
		script_drop(s->conns, reset);
}

static UNUSED void script_close(struct script *s)
{
	script_hang_up(s, false);
	loop_watch_free(s->watch);
	close(s->fd);
}

#endif
