/* http_answer.c - answers of the HTTP server: their form, writing them, and the end of a connection */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "net/http_server/http_server_private.h"

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {{200, "OK"},
	               {204, "No Content"},
	               {400, "Bad Request"},
	               {401, "Unauthorized"},
	               {403, "Forbidden"},
	               {404, "Not Found"},
	               {405, "Method Not Allowed"},
	               {413, "Content Too Large"},
	               {417, "Expectation Failed"},
	               {431, "Request Header Fields Too Large"},
	               {503, "Service Unavailable"}};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Unknown";
}

static const char *date_of(struct http_server *s)
{
	int64_t now_s = clock_wall_us() / US_PER_S;
	time_t t = (time_t)now_s;
	struct tm tm;

	if (now_s == s->date_s)
		return s->date;
	s->date_s = now_s;
	s->date[0] = '\0';
	if (gmtime_r(&t, &tm))
		strftime(s->date, sizeof(s->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	return s->date;
}

struct answer {
	int status;
	const char *content_type;
	struct slice body;
	const char *const *headers;
	bool is_old; /* to HTTP/1.0, where a connection ends unless both sides say otherwise */
	bool without_body;
	bool chunked, endless; /* a stream, with chunks or up to the connection's end */
};

/* An answer a request: without printf(). */
static int append_status(struct buf *out, int status, const char *date)
{
	int r = buf_append_slice(out, SLICE_LIT("HTTP/1.1 "));

	if (r == 0)
		r = buf_append_i64(out, status);
	if (r == 0)
		r = buf_append_char(out, ' ');
	if (r == 0)
		r = buf_append_slice(out, slice_of(reason(status)));
	if (r == 0)
		r = buf_append_slice(out, SLICE_LIT("\r\n"));
	return r < 0 ? r : buf_append_slice(out, slice_of(date));
}

static int append_answer(struct http_conn *c, const struct answer *a)
{
	struct buf *out = &c->out;
	int r = append_status(out, a->status, date_of(c->server));

	for (size_t i = 0; r == 0 && a->headers && a->headers[i] && a->headers[i + 1]; i += 2)
		r = buf_printf(out, "%s: %s\r\n", a->headers[i], a->headers[i + 1]);
	if (r == 0 && a->content_type)
		r = buf_printf(out, "Content-Type: %s\r\n", a->content_type);
	if (r == 0 && a->chunked)
		r = buf_append_slice(out, SLICE_LIT("Transfer-Encoding: chunked\r\n"));
	if (r == 0 && a->status != 204 && !a->chunked && !a->endless)
		r = buf_printf(out, "Content-Length: %zu\r\n", a->body.n);
	if (r == 0 && (c->last || a->is_old))
		r = buf_printf(out, "Connection: %s\r\n", c->last ? "close" : "keep-alive");
	if (r == 0)
		r = buf_append_slice(out, SLICE_LIT("\r\n"));
	return r == 0 && !a->without_body ? buf_append_slice(out, a->body) : r;
}

int http_answer_continue(struct http_conn *c)
{
	int r = buf_append_slice(&c->out, SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n"));

	if (r == 0)
		http_conn_write(c);
	return r;
}

void http_conn_refuse(struct http_conn *c, int status, const char *why)
{
	char body[256];
	int n = snprintf(body, sizeof(body), "{\"ok\":false,\"message\":\"%s\"}", why);
	const struct answer a = {
	        .status = status, .content_type = "application/json; charset=utf-8", .body = {body, (size_t)n}};

	c->last = true;
	if (append_answer(c, &a) < 0)
		http_conn_close(c);
	else
		http_conn_write(c);
}

void http_conn_write(struct http_conn *c)
{
	ssize_t n;

	if (c->dead || http_conn_unwritten(c) == 0)
		return;
	n = send(c->fd, c->out.data + c->sent, http_conn_unwritten(c), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		http_conn_close(c);
		return;
	}
	if (n > 0) {
		c->sent += (size_t)n;
		c->since_us = clock_mono_us();
	}
	if (http_conn_unwritten(c) == 0) {
		buf_clear(&c->out);
		if (c->out.cap > HTTP_KEPT)
			buf_free(&c->out);
		c->sent = 0;
	}
}

/* A close with unread input would reset the connection, and the client might never see its answer. */
static void linger(struct http_conn *c)
{
	if (!c->lingers)
		shutdown(c->fd, SHUT_WR);
	c->lingers = true;
}

static void watch(struct http_conn *c, unsigned interest)
{
	if (interest == c->interest)
		return;
	c->interest = interest;
	loop_watch_set(c->watch, interest);
}

void http_conn_settle(struct http_conn *c)
{
	bool written = c->dead || http_conn_unwritten(c) == 0;
	unsigned interest = written ? 0 : LOOP_WRITE;

	if (c->gone)
		return;
	if (c->stream) { /* what its client writes is dropped, and its end is seen */
		watch(c, interest | LOOP_READ);
		return;
	}
	if (c->last || c->dead)
		c->rest.len = c->seen = 0;
	if (!c->exchange && written && c->rest.len > 0) {
		loop_timer_set(c->server->resume, 0);
	} else if (!c->exchange && (c->dead || (c->eof && written))) {
		http_conn_close(c);
		return;
	} else if (!c->exchange && c->last && written) {
		linger(c);
	}
	/* The descriptor stays watched, as it was while the request waited, until the client writes more. */
	if (!c->eof && !c->is_unread &&
	    ((!c->exchange && written && c->rest.len == 0) || (c->exchange && (c->interest & LOOP_READ))))
		interest |= LOOP_READ;
	watch(c, interest);
}

static void exchange_free(struct http_exchange *x)
{
	buf_free(&x->head);
	buf_free(&x->query);
	free(x);
}

/* Whether the client wants to go on with this connection. */
static bool is_last(struct http_exchange *x)
{
	if (http_head_has(&x->head, "Connection", "close"))
		return true;
	return x->is_old && !http_head_has(&x->head, "Connection", "keep-alive");
}

void http_answer_begin(struct http_exchange *x, const char *content_type, const char *const *headers, bool chunked)
{
	struct http_conn *c = x->conn;
	const struct answer a = {.status = 200,
	                         .content_type = content_type,
	                         .headers = headers,
	                         .chunked = chunked,
	                         .endless = !chunked};

	c->exchange = NULL;
	exchange_free(x);
	if (!c->dead && append_answer(c, &a) < 0)
		c->dead = true;
}

void http_answer(struct http_exchange *x, int status, const char *content_type, struct slice body,
                 const char *const *headers)
{
	struct http_conn *c = x->conn;
	const struct answer a = {.status = status,
	                         .content_type = content_type,
	                         .body = body,
	                         .headers = headers,
	                         .is_old = x->is_old,
	                         .without_body = slice_eq(x->method, SLICE_LIT("HEAD"))};

	if (!c) {
		exchange_free(x);
		return;
	}
	c->last = c->last || is_last(x);
	c->exchange = NULL;
	exchange_free(x);
	if (!c->dead && append_answer(c, &a) < 0)
		c->dead = true;
	http_conn_write(c);
	http_conn_settle(c);
}
