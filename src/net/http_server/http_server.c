/* http_server.c - a small bounded HTTP/1.1 server: opening, accepting, limits, closing
 *
 * libevent's evhttp serves requests too, but needs four epoll_ctl(2), an ioctl(2) and a getpeername(2) per request,
 * answers HEAD with a body and errors with a page of HTML, loses a query for a parameter without value, and crashes
 * when memory runs out (src/README.md, traps 18 and 31). With a strict parser of framing in front of it, little was
 * left for it to do. */
#include "net/http_server/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/http_server/http_server_private.h"

enum { RETRY_AFTER_US = 100000, ACCEPTS_PER_TURN = 64 };
/* Time budget per turn for handling requests, and what is charged for each beside its handler's time: its bytes were
 * read, and its answer is written. */
enum { TURN_US = 1000, REQUEST_US = 20 };
/* How long a stopping server waits for a client that does not read its answer. */
#define DRAIN_US US_PER_S

/* ---- accepting ---- */

static void update_accepting(struct http_server *s)
{
	bool accept = !s->drain_since_us && s->n_conns < s->max_connections && !loop_timer_is_set(s->accept_timer);

	loop_watch_set(s->watch, accept ? LOOP_READ : 0);
}

static void on_accept_timer(void *arg)
{
	update_accepting(arg);
}

static void local_peer(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		*ret = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
}

static void address_of(const struct sockaddr_storage *ss, char address[HTTP_ADDRESS_MAX])
{
	const void *ip = ss->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)ss)->sin6_addr
	                                           : (const void *)&((const struct sockaddr_in *)ss)->sin_addr;

	if (!inet_ntop(ss->ss_family, ip, address, HTTP_ADDRESS_MAX))
		snprintf(address, HTTP_ADDRESS_MAX, "unknown");
}

/* Runs while there are connections. */
static void set_sweep(struct http_server *s)
{
	loop_timer_set(s->sweep, s->timeout_us / 4 + 1);
}

static void take(struct http_server *s, int fd, const struct sockaddr_storage *ss)
{
	struct peer peer = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
	char address[HTTP_ADDRESS_MAX] = "";
	int one = 1;

	if (s->bound.is_unix) {
		local_peer(fd, &peer);
	} else {
		address_of(ss, address);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	if (!http_conn_new(s, fd, &peer, address))
		fd_close(fd);
	else if (!loop_timer_is_set(s->sweep))
		set_sweep(s);
}

static void on_connect(void *arg, int fd, unsigned ready UNUSED)
{
	struct http_server *s = arg;

	for (unsigned i = 0; i < ACCEPTS_PER_TURN && s->n_conns < s->max_connections; i++) {
		struct sockaddr_storage ss = {0};
		socklen_t len = sizeof(ss);
		int conn = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (conn >= 0) {
			take(s, conn, &ss);
			continue;
		}
		/* Without free descriptors new connections wait in the kernel for a moment. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			loop_timer_set(s->accept_timer, RETRY_AFTER_US);
		break;
	}
	update_accepting(s);
}

/* ---- limits ---- */

static struct http_conn *holds_most(const struct http_server *s)
{
	struct http_conn *c, *most = NULL;

	TAILQ_FOREACH(c, &s->conns, link)
	if (!c->exchange && c->accounted > (most ? most->accounted : 0))
		most = c;
	return most;
}

/* None of these clients has authenticated yet, so the connections with the most buffered bytes are closed first. */
void http_server_trim(struct http_server *s)
{
	struct http_conn *most;

	while (s->partial > s->max_partial && (most = holds_most(s)))
		http_conn_close(most);
}

/* The limit is for the whole request: no byte that comes now and then extends it. */
static void on_sweep(void *arg)
{
	struct http_server *s = arg;
	int64_t limit = clock_mono_us() - s->timeout_us;
	struct http_conn *c, *next;

	for (c = TAILQ_FIRST(&s->conns); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!c->exchange && c->since_us < limit && (!c->stream || http_conn_unwritten(c) > 0))
			http_conn_close(c);
	}
	if (!TAILQ_EMPTY(&s->conns))
		set_sweep(s);
}

static struct http_exchange *take_waiting(struct http_server *s)
{
	struct http_exchange *x = STAILQ_FIRST(&s->waiting);

	if (x)
		STAILQ_REMOVE_HEAD(&s->waiting, by_turn);
	return x;
}

/* However many requests come at once: the lines of the event socket wait behind a few of them. */
static void on_serve(void *arg)
{
	struct http_server *s = arg;
	struct http_exchange *x;

	for (int64_t end_us = clock_mono_us() + TURN_US; clock_mono_us() < end_us; end_us -= REQUEST_US) {
		x = take_waiting(s);
		if (!x)
			return;
		http_conn_serve(x);
	}
	if (!STAILQ_EMPTY(&s->waiting))
		loop_timer_set(s->serve, 0);
}

static void on_read(void *arg)
{
	http_conn_read_waiting(arg);
}

static void on_resume(void *arg)
{
	struct http_server *s = arg;
	struct http_conn *c, *next;

	for (c = TAILQ_FIRST(&s->conns); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->rest.len > 0 && !c->exchange)
			http_conn_resume(c);
	}
}

void http_peer(struct http_exchange *x, char address[HTTP_ADDRESS_MAX], struct peer *ret)
{
	*ret = x->conn->peer;
	if (x->conn->address[0] == '\0')
		return;
	memcpy(address, x->conn->address, HTTP_ADDRESS_MAX);
	ret->address = address;
}

/* ---- opening and closing ---- */

static int start(struct http_server *s, const struct http_server_config *config, struct err *err)
{
	int r = http_server_bind(&s->bound, config->listen, err);

	if (r < 0)
		return r;
	s->chunk = malloc(HTTP_READ_MAX);
	s->accept_timer = loop_timer_new(s->loop, on_accept_timer, s);
	s->sweep = loop_timer_new(s->loop, on_sweep, s);
	s->resume = loop_timer_new(s->loop, on_resume, s);
	s->serve = loop_timer_new(s->loop, on_serve, s);
	s->read = loop_timer_new(s->loop, on_read, s);
	s->watch = loop_watch_new(s->loop, s->bound.fd, LOOP_READ, on_connect, s);
	if (!s->chunk || !s->accept_timer || !s->sweep || !s->resume || !s->serve || !s->read || !s->watch)
		return err_set(err, -ENOMEM, "no memory for the HTTP server");
	return 0;
}

int http_server_open(struct http_server **ret, struct loop *loop, const struct http_server_config *config,
                     http_handler_fn *handler, void *arg, struct err *err)
{
	struct http_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, -ENOMEM, "no memory for the HTTP server");
	s->loop = loop;
	s->bound.fd = -1;
	s->handler = handler;
	s->arg = arg;
	s->max_connections = config->max_connections ? config->max_connections : 1;
	s->timeout_us = config->timeout_us;
	s->max_head = config->max_headers;
	s->max_body = config->max_body;
	s->max_partial = config->max_partial ? config->max_partial : SIZE_MAX;
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->unread);
	STAILQ_INIT(&s->waiting);
	r = start(s, config, err);
	if (r < 0) {
		http_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct http_server *http_server_free(struct http_server *s)
{
	struct http_exchange *x;
	struct http_conn *c;

	if (!s)
		return NULL;
	while ((x = take_waiting(s)))
		http_answer(x, 503, NULL, SLICE_LIT(""), NULL);
	http_server_unbind(&s->bound);
	while ((c = TAILQ_FIRST(&s->conns))) {
		if (c->exchange)
			c->exchange->conn = NULL; /* http_answer() frees it */
		c->exchange = NULL;
		http_conn_close(c);
	}
	loop_watch_free(s->watch);
	fd_close(s->bound.fd);
	loop_timer_free(s->accept_timer);
	loop_timer_free(s->sweep);
	loop_timer_free(s->resume);
	loop_timer_free(s->serve);
	loop_timer_free(s->read);
	free(s->chunk);
	free(s);
	return NULL;
}

void http_server_drain(struct http_server *s)
{
	s->drain_since_us = clock_mono_us();
	update_accepting(s);
}

bool http_server_drained(const struct http_server *s)
{
	bool late = s->drain_since_us && clock_mono_us() - s->drain_since_us > DRAIN_US;
	const struct http_conn *c;

	TAILQ_FOREACH(c, &s->conns, link)
	if (c->exchange || (!late && http_conn_unwritten(c) > 0))
		return false;
	return true;
}

unsigned http_server_port(const struct http_server *s)
{
	return s->bound.port;
}
