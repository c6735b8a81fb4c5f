/* http_conn.c - a connection of the HTTP server: its bytes become requests, one after the other */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/http_server/http_server_private.h"

enum {
	READ_US = 1000 /* time budget per turn for reading and parsing, of all connections */
};

static void account(struct http_conn *c)
{
	size_t now = c->head.cap + c->body.cap + c->rest.cap;

	if (c->gone)
		return;
	c->server->partial = c->server->partial - c->accounted + now;
	c->accounted = now;
}

static void conn_free(void *p)
{
	struct http_conn *c = p;

	buf_free(&c->head);
	buf_free(&c->body);
	buf_free(&c->rest);
	buf_free(&c->out);
	free(c);
}

static void leave_line(struct http_conn *c)
{
	if (c->is_unread)
		TAILQ_REMOVE(&c->server->unread, c, by_turn);
	c->is_unread = false;
}

/* One whose request waits for its answer is closed after that: the answer's owner still refers to it. */
void http_conn_close(struct http_conn *c)
{
	struct http_server *s = c->server;

	c->dead = true;
	if (c->gone || c->exchange)
		return;
	c->gone = true;
	if (c->stream)
		http_stream_closed(c->stream);
	leave_line(c);
	TAILQ_REMOVE(&s->conns, c, link);
	s->n_conns--;
	s->partial -= c->accounted;
	c->watch = loop_watch_free(c->watch);
	c->fd = fd_close(c->fd);
	if (!loop_timer_is_set(s->accept_timer))
		loop_timer_set(s->accept_timer, 0);
	loop_defer(s->loop, conn_free, c);
}

/* ---- requests ---- */

/* Its body counts as a partial request's until the handler has seen it. */
static void hand_over(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_exchange *x = calloc(1, sizeof(*x));

	if (!x) {
		http_conn_refuse(c, 503, "out of memory");
		return;
	}
	*x = (struct http_exchange){.conn = c, .head = c->head, .is_old = c->framing.is_old};
	buf_init(&x->query, SIZE_MAX / 2);
	buf_init(&c->head, s->max_head);
	c->exchange = x;
	account(c);
	STAILQ_INSERT_TAIL(&s->waiting, x, by_turn);
	if (!loop_timer_is_set(s->serve))
		loop_timer_set(s->serve, 0);
}

static void refuse(struct http_exchange *x, int error)
{
	static const char other_host[] =
	        "{\"ok\":false,\"message\":\"the target names another host than the Host header\"}";

	if (error == -EINVAL)
		http_answer(x, 400, "application/json; charset=utf-8", slice_of(other_host), NULL);
	else
		http_answer(x, 503, NULL, SLICE_LIT(""), NULL);
}

static void hand_to_handler(struct http_exchange *x)
{
	const struct http_server *s = x->conn->server;
	struct http_request_info info;
	int r = http_request_parse(x);

	if (r < 0) {
		refuse(x, r);
		return;
	}
	info = (struct http_request_info){.method = x->method,
	                                  .path = x->path,
	                                  .body = buf_slice(&x->conn->body),
	                                  .over_unix = s->bound.is_unix,
	                                  .exchange = x};
	s->handler(s->arg, &info);
}

void http_conn_serve(struct http_exchange *x)
{
	struct http_conn *c = x->conn;

	hand_to_handler(x);
	buf_clear(&c->body);
	if (c->body.cap > HTTP_KEPT)
		buf_free(&c->body);
	account(c);
}

static bool is_too_large(const struct http_conn *c)
{
	return http_framing_announced(&c->framing) > c->server->max_body - c->body.len;
}

static void refuse_body(struct http_conn *c)
{
	char why[80];

	snprintf(why, sizeof(why), "the body is longer than %zu bytes", c->server->max_body);
	http_conn_refuse(c, 413, why);
}

static void on_head(struct http_conn *c)
{
	if (is_too_large(c)) {
		refuse_body(c);
	} else if (!http_head_names(&c->head, "Expect")) {
		return;
	} else if (http_head_has(&c->head, "Expect", "100-continue")) {
		/* Not in HTTP/1.0: its client would take the interim answer for the answer */
		if (!c->framing.ended && !c->framing.is_old && http_answer_continue(c) < 0)
			http_conn_close(c);
	} else {
		http_conn_refuse(c, 417, "this Expect cannot be met");
	}
}

static void take_piece(struct http_conn *c, const char *p, struct http_piece piece)
{
	struct buf *b = piece.kind == HTTP_PIECE_HEAD ? &c->head : &c->body;
	int r = piece.kind == HTTP_PIECE_FRAME ? 0 : buf_append(b, p, piece.n);

	if (c->framing.problem)
		http_conn_refuse(c, 400, c->framing.problem);
	else if (r == -ENOBUFS && piece.kind == HTTP_PIECE_HEAD)
		http_conn_refuse(c, 431, "the request line and the headers are too long");
	else if (r == -ENOBUFS || (!c->framing.head_ended && is_too_large(c)))
		refuse_body(c);
	else if (r < 0)
		http_conn_refuse(c, 503, "out of memory");
	else if (c->framing.head_ended)
		on_head(c);
}

/* One request at a time, and none before the last answer is written: so a client that does not read holds up itself.
 */
static bool has_to_wait(const struct http_conn *c)
{
	return c->exchange || http_conn_unwritten(c) > 0;
}

/* Returns the number of bytes used: all, unless a request has to wait for its answer. */
static size_t feed(struct http_conn *c, const char *p, size_t n)
{
	size_t used = 0;

	while (used < n && !has_to_wait(c) && !c->last && !c->gone) {
		bool first = http_framing_between(&c->framing);
		struct http_piece piece = http_framing_next(&c->framing, p + used, n - used);

		if (first)
			c->since_us = clock_mono_us();
		take_piece(c, p + used, piece);
		used += piece.n;
		if (c->framing.ended && !c->last && !c->gone)
			hand_over(c);
	}
	return used;
}

void http_conn_resume(struct http_conn *c)
{
	if (c->rest.len > 0 && !has_to_wait(c)) {
		c->seen += feed(c, c->rest.data + c->seen, c->rest.len - c->seen);
		if (c->seen == c->rest.len || c->last) {
			buf_free(&c->rest);
			c->seen = 0;
		}
		account(c);
	}
	http_conn_settle(c);
}

/* ---- reading ---- */

static void on_end(struct http_conn *c)
{
	c->eof = true;
	if (!c->last && !http_framing_between(&c->framing))
		http_conn_refuse(c, 400, "the request is not complete");
}

static void conn_read(struct http_conn *c)
{
	struct http_server *s = c->server;
	ssize_t n = recv(c->fd, s->chunk, HTTP_READ_MAX, MSG_DONTWAIT);
	size_t used;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		http_conn_close(c);
		return;
	}
	if (n == 0) {
		on_end(c);
		return;
	}
	used = feed(c, s->chunk, (size_t)n);
	if (used < (size_t)n && !c->last && buf_append(&c->rest, s->chunk + used, (size_t)n - used) < 0)
		http_conn_close(c);
	account(c);
}

/* False: this turn's time is used up. */
static bool read_in_turn(struct http_conn *c)
{
	struct http_server *s = c->server;
	int64_t began_us;

	if (s->turn != loop_turn_number(s->loop))
		s->read_us = 0;
	s->turn = loop_turn_number(s->loop);
	if (s->read_us >= READ_US)
		return false;
	began_us = clock_mono_us();
	conn_read(c);
	s->read_us += clock_mono_us() - began_us;
	return true;
}

/* However many clients write at once, the event socket waits for a few of them. Those that wait are read in the order
 * in which they came. */
static void read_or_wait(struct http_conn *c)
{
	struct http_server *s = c->server;

	if (TAILQ_EMPTY(&s->unread) && read_in_turn(c))
		return;
	TAILQ_INSERT_TAIL(&s->unread, c, by_turn);
	c->is_unread = true;
	loop_timer_set(s->read, 0);
}

void http_conn_read_waiting(struct http_server *s)
{
	struct http_conn *c;

	while ((c = TAILQ_FIRST(&s->unread)) && read_in_turn(c)) {
		leave_line(c);
		http_server_trim(s);
		http_conn_settle(c);
	}
	if (c)
		loop_timer_set(s->read, 0);
}

/* Its client's bytes mean nothing; only their end does. */
static void on_stream_ready(struct http_conn *c, unsigned ready)
{
	if (ready & LOOP_WRITE)
		http_conn_write(c);
	if (!c->dead && (ready & LOOP_READ))
		conn_read(c);
	if (c->dead || c->eof) {
		http_conn_close(c);
		return;
	}
	http_conn_settle(c);
	if (http_conn_unwritten(c) == 0 && (ready & LOOP_WRITE))
		c->stream->ops->on_written(c->stream->arg);
}

static void on_ready(void *arg, int fd UNUSED, unsigned ready)
{
	struct http_conn *c = arg;

	if (c->stream) {
		on_stream_ready(c, ready);
		return;
	}
	if (ready & LOOP_WRITE)
		http_conn_write(c);
	/* A client that waits for its answer is silent, so its event is removed only when it is not */
	if (!c->gone && (ready & LOOP_READ) && (has_to_wait(c) || c->rest.len > 0)) {
		c->interest &= ~(unsigned)LOOP_READ;
		loop_watch_set(c->watch, c->interest);
		return;
	}
	if (!c->gone && (ready & LOOP_READ) && !c->is_unread)
		read_or_wait(c);
	http_server_trim(c->server);
	http_conn_settle(c);
}

struct http_conn *http_conn_new(struct http_server *s, int fd, const struct peer *peer, const char *address)
{
	struct http_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = s;
	c->fd = fd;
	c->peer = *peer;
	memcpy(c->address, address, sizeof(c->address));
	c->since_us = clock_mono_us();
	buf_init(&c->head, s->max_head);
	buf_init(&c->body, s->max_body);
	buf_init(&c->rest, HTTP_READ_MAX);
	buf_init(&c->out, SIZE_MAX / 2);
	c->interest = LOOP_READ;
	c->watch = loop_watch_new(s->loop, fd, LOOP_READ, on_ready, c);
	if (!c->watch) {
		free(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n_conns++;
	return c;
}
