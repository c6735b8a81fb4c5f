/* http_server_private.h - the internal state of the HTTP server; for net/http_server/ only */
#ifndef NET_HTTP_SERVER_HTTP_SERVER_PRIVATE_H
#define NET_HTTP_SERVER_HTTP_SERVER_PRIVATE_H

#include <sys/queue.h>

#include "base/buf.h"
#include "net/http_server/http_server.h"
#include "net/http_server/http_server_bind.h"
#include "net/http_server/http_server_framing.h"

enum { HTTP_KEPT = 4096 /* bytes of a buffer that a connection keeps for its next request, or answer */ };

/* A whole request. It outlives its connection's end, and the server's. */
struct http_exchange {
	STAILQ_ENTRY(http_exchange) by_turn; /* server->waiting, until the handler is called */
	struct http_conn *conn;              /* NULL: the server is gone */
	struct buf head;                     /* the request line and headers, as they came */
	struct buf query;                    /* decoded: name, NUL, value, NUL, … */
	struct slice method, path;
	bool is_old; /* HTTP/1.0 */
};

STAILQ_HEAD(http_exchange_queue, http_exchange);

struct http_stream {
	struct http_conn *conn;
	const struct http_stream_ops *ops;
	void *arg;
	bool chunked; /* not to HTTP/1.0 */
};

struct http_conn {
	TAILQ_ENTRY(http_conn) link;
	TAILQ_ENTRY(http_conn) by_turn; /* server->unread, while is_unread */
	struct http_server *server;
	struct loop_watch *watch;
	int fd;
	unsigned interest;
	struct peer peer;
	char address[HTTP_ADDRESS_MAX]; /* of a TCP client */
	struct http_framing framing;
	struct buf head, body; /* of the request being read; the body until its handler has seen it */
	/* Read behind a request that waits for its answer; the first `seen` bytes were processed */
	struct buf rest;
	struct buf out; /* answers; the first `sent` bytes were already written */
	size_t seen, sent, accounted /* its share of server->partial */;
	/* When it began to wait for what it waits for: a request, its end, or the client's reading */
	int64_t since_us;
	struct http_exchange *exchange; /* waits for its answer */
	struct http_stream *stream;     /* the answer, as long as it goes on */
	bool is_unread : 1;             /* has input, and waits for a turn that has time for it */
	bool eof : 1;                   /* the client has shut down its sending side */
	bool dead : 1;                  /* a write failed */
	bool last : 1;                  /* no further request is taken */
	bool lingers : 1;               /* all is written: reads on to the client's end, and drops it */
	bool gone : 1;                  /* closed; the struct stays valid until the end of the turn */
};
TAILQ_HEAD(http_conn_list, http_conn);

struct http_server {
	struct loop *loop;
	struct loop_watch *watch;
	struct loop_timer *accept_timer, *sweep, *resume, *serve, *read;
	struct bound bound;
	http_handler_fn *handler;
	void *arg;
	struct http_conn_list conns, unread;
	struct http_exchange_queue waiting; /* requests that the handler has not seen */
	unsigned n_conns, max_connections;
	uint64_t turn;   /* of the loop, when the last bytes were read … */
	int64_t read_us; /* … and how long that took in this turn */
	size_t max_head, max_body;
	size_t partial, max_partial; /* bytes of incomplete requests on all connections */
	int64_t timeout_us;
	int64_t drain_since_us; /* 0: not draining */
	int64_t date_s;         /* `date` is the header of this second */
	char date[48];
	char *chunk;
};

/* http_server.c: closes connections until what they hold is within max_partial. */
void http_server_trim(struct http_server *s);

/* http_conn.c */
struct http_conn *http_conn_new(struct http_server *s, int fd, const struct peer *peer, const char *address);
void http_conn_close(struct http_conn *c);
/* Reads from those that had to wait, as far as this turn has time for it. */
void http_conn_read_waiting(struct http_server *s);
/* Passes a whole request to the handler. */
void http_conn_serve(struct http_exchange *x);
/* Reads what was left when a request had to wait for its answer. */
void http_conn_resume(struct http_conn *c);
static inline size_t http_conn_unwritten(const struct http_conn *c)
{
	return c->out.len - c->sent;
}

/* http_answer.c */
/* Refuses what was read so far: the connection takes no further request. */
void http_conn_refuse(struct http_conn *c, int status, const char *why);
/* Appends an interim answer. 0 or negative errno. */
int http_answer_continue(struct http_conn *c) MUST_CHECK;
/* Appends the head of a stream, and frees the exchange. */
void http_answer_begin(struct http_exchange *x, const char *content_type, const char *const *headers, bool chunked);
/* Writes what can be written now. */
void http_conn_write(struct http_conn *c);
/* Closes c once nothing is left to do for it; updates what is watched otherwise. */
void http_conn_settle(struct http_conn *c);

/* http_stream.c: the connection is closed. */
void http_stream_closed(struct http_stream *s);

/* http_request.c: what is in the head of a request. */
enum { HTTP_READ_MAX = 16 * 1024 };
/* Finds method and path in the head of x, and decodes its query. 0, -ENOMEM, or -EINVAL: its target names another
 * host than its Host header. */
int http_request_parse(struct http_exchange *x) MUST_CHECK;
bool http_head_names(const struct buf *head, const char *name);
/* Whether a header's value, a list, has this word. */
bool http_head_has(const struct buf *head, const char *name, const char *word);

#endif
