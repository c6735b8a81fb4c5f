/* http_stream.c - answers of the HTTP server whose end is not known when they begin */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/http_server/http_server_private.h"

struct http_stream *http_stream_begin(struct http_exchange *x, const char *content_type, const char *const *headers,
                                      const struct http_stream_ops *ops, void *arg)
{
	struct http_stream *s = calloc(1, sizeof(*s));
	struct http_conn *c = x->conn;
	bool without_body = slice_eq(x->method, SLICE_LIT("HEAD"));

	if (!s || !c || without_body) {
		free(s);
		http_answer(x, without_body ? 200 : 503, without_body ? content_type : NULL, SLICE_LIT(""), headers);
		return NULL;
	}
	*s = (struct http_stream){.conn = c, .ops = ops, .arg = arg, .chunked = !x->is_old};
	c->last = true;
	http_answer_begin(x, content_type, headers, s->chunked);
	c->stream = s;
	c->since_us = clock_mono_us();
	http_conn_settle(c);
	return s;
}

int http_stream_write(struct http_stream *s, struct slice piece)
{
	struct http_conn *c = s->conn;
	size_t before = c->out.len;
	int r = 0;

	if (piece.n == 0)
		return 0;
	if (http_conn_unwritten(c) == 0)
		c->since_us = clock_mono_us();
	if (s->chunked)
		r = buf_printf(&c->out, "%zx\r\n", piece.n);
	if (r == 0)
		r = buf_append_slice(&c->out, piece);
	if (r == 0 && s->chunked)
		r = buf_append_slice(&c->out, SLICE_LIT("\r\n"));
	if (r < 0)
		c->out.len = before;
	http_conn_settle(c);
	return r;
}

size_t http_stream_unwritten(const struct http_stream *s)
{
	return http_conn_unwritten(s->conn);
}

/* Its owner knows already. */
static void leave(struct http_stream *s)
{
	s->conn->stream = NULL;
	free(s);
}

void http_stream_end(struct http_stream *s)
{
	struct http_conn *c = s->conn;

	if (s->chunked && buf_append_slice(&c->out, SLICE_LIT("0\r\n\r\n")) < 0)
		c->dead = true;
	leave(s);
	http_conn_settle(c);
}

void http_stream_cut(struct http_stream *s)
{
	struct http_conn *c = s->conn;

	leave(s);
	http_conn_close(c);
}

void http_stream_closed(struct http_stream *s)
{
	const struct http_stream_ops *ops = s->ops;
	void *arg = s->arg;

	leave(s);
	ops->on_closed(arg);
}
