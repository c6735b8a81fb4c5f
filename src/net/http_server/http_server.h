/* http_server.h - a small bounded HTTP/1.1 server for the HTTP door; loop thread only */
#ifndef NET_HTTP_SERVER_HTTP_SERVER_H
#define NET_HTTP_SERVER_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "net/listener/listener.h"
#include "net/loop.h"

struct http_server;
struct http_exchange; /* a request that waits for its answer */

struct http_server_config {
	const char *listen; /* "127.0.0.1:8125", "[::1]:0", "unix:/path" */
	size_t max_body, max_headers;
	/* Limit for the bytes of incomplete requests on all connections; 0: unlimited */
	size_t max_partial;
	unsigned max_connections;
	int64_t timeout_us;
};

struct http_request_info {
	struct slice method, path; /* the path has no query and is not percent-decoded */
	struct slice body;
	bool over_unix;
	struct http_exchange *exchange;
};

/* Must lead to exactly one http_answer() or http_stream_begin(), now or later. */
typedef void http_handler_fn(void *arg, const struct http_request_info *request);

int http_server_open(struct http_server **ret, struct loop *loop, const struct http_server_config *config,
                     http_handler_fn *handler, void *arg, struct err *err) MUST_CHECK;
struct http_server *http_server_free(struct http_server *s);
/* Stops accepting connections (for a shutdown). Open connections are still served. */
void http_server_drain(struct http_server *s);
/* True once every request is answered, and every answer written or a second over since
 * http_server_drain(). */
bool http_server_drained(const struct http_server *s);
/* Returns the bound port (useful if the configured port is 0). */
unsigned http_server_port(const struct http_server *s);
/* Returns the decoded value of a query parameter or a header, or NULL. Valid until the answer. */
const char *http_query(struct http_exchange *x, const char *name);
/* True if the parameter occurs more than once in the query. */
bool http_query_repeats(struct http_exchange *x, const char *name);
const char *http_header(struct http_exchange *x, const char *name);
/* Fills *ret with the client's identity. `address` has room for an IPv6 address, and
 * ret->address points to it. */
enum { HTTP_ADDRESS_MAX = 46 };
void http_peer(struct http_exchange *x, char address[HTTP_ADDRESS_MAX], struct peer *ret);
/* Sends the answer and frees the exchange. content_type and headers (an array of name, value, …,
 * NULL) may be NULL. Safe if the client is gone. */
void http_answer(struct http_exchange *x, int status, const char *content_type, struct slice body,
                 const char *const *headers);

/* An answer, with status 200, that is written piece by piece: server-sent events. Its connection takes no further
 * request. It ends with http_stream_end(), http_stream_cut() or on_closed(), the last of which comes from the loop
 * and never from within these functions; after each of them the stream is gone. A client that reads nothing for the
 * server's timeout while something is unwritten is closed. */
struct http_stream;
struct http_stream_ops {
	void (*on_closed)(void *arg);  /* the client has gone, or the server is freed */
	void (*on_written)(void *arg); /* nothing is left to be written: there is room for more */
};
/* Frees the exchange. ops is borrowed. NULL: answered without a stream, because it was HEAD or memory ran out. */
struct http_stream *http_stream_begin(struct http_exchange *x, const char *content_type, const char *const *headers,
                                      const struct http_stream_ops *ops, void *arg);
/* Queues a piece, whole or, on -ENOMEM, not at all. */
int http_stream_write(struct http_stream *s, struct slice piece) MUST_CHECK;
/* Bytes that the client has not taken yet. */
size_t http_stream_unwritten(const struct http_stream *s);
void http_stream_end(struct http_stream *s);
/* Ends it without what is unwritten, so that its client sees that it is not whole. */
void http_stream_cut(struct http_stream *s);

#endif
