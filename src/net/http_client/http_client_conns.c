/* http_client_conns.c - what is known of each connection, and which requests its server never looked at
 *
 * A kept connection that the other side has closed is not used: libcurl looks at a connection before it uses it
 * again, but 8.22 only when its last look is more than a second old, and a reset escapes 7.88. What is written to
 * such a connection counts as sent.
 *
 * With HTTP/2, a new connection carries one request until it has answered. Its server's limit of streams is known by
 * then, which a burst of requests would break; and a connection that is good for nothing costs one attempt, not one
 * for each.
 *
 * A server that refuses a stream, or goes away with a GOAWAY that names the last stream it looked at, says that later
 * ones may be sent again safely. libcurl tells that only in words, in its debug text, and of a refused stream only
 * when no other request has been near its connection: without the words the events are marked maybe-sent, which is
 * what is true without them. A request that libcurl wants to repeat ends when its connection is long gone: what was
 * said is kept with the request. */
#include <ctype.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_client/http_client_private.h"

enum conn_state {
	CONN_UNTRIED, /* the next request finds out */
	CONN_TRIED,   /* one is on its way */
	CONN_PROVEN   /* it has answered, or takes its time */
};

struct http_conn {
	SLIST_ENTRY(http_conn) link;
	curl_socket_t fd;
	int port;              /* our end's, by which libcurl names it; 0: not asked for yet */
	bool used;             /* a request was sent over it */
	enum conn_state state; /* with HTTP/2 */
};

static int socket_port(curl_socket_t fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
	socklen_t size = sizeof(addr);

	if (getsockname(fd, &addr.any, &size) < 0)
		return 0;
	if (addr.any.sa_family == AF_INET)
		return ntohs(addr.in.sin_port);
	return addr.any.sa_family == AF_INET6 ? ntohs(addr.in6.sin6_port) : 0;
}

static struct http_conn *find(const struct http_client *c, int port)
{
	struct http_conn *conn;

	if (port == 0)
		return NULL;
	SLIST_FOREACH(conn, &c->conns, link)
	{
		if (conn->port == 0)
			conn->port = socket_port(conn->fd);
		if (conn->port == port)
			return conn;
	}
	return NULL;
}

static void forget(struct http_client *c, curl_socket_t fd)
{
	struct http_conn *conn;

	SLIST_FOREACH(conn, &c->conns, link)
	{
		if (conn->fd != fd)
			continue;
		SLIST_REMOVE(&c->conns, conn, http_conn, link);
		free(conn);
		return;
	}
}

/* Without memory its requests go unobserved. */
void http_conns_open(struct http_client *c, curl_socket_t fd)
{
	struct http_conn *conn = calloc(1, sizeof(*conn));

	forget(c, fd);
	if (!conn)
		return;
	conn->fd = fd;
	SLIST_INSERT_HEAD(&c->conns, conn, link);
}

int http_conns_close(void *arg, curl_socket_t fd)
{
	forget(arg, fd);
	return close(fd);
}

/* Closed or reset by the other side, also behind bytes that nobody has read yet (TLS announces its end). */
static bool is_hung_up(curl_socket_t fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

enum http_admission http_conns_admit(struct http_request *r, int port)
{
	struct http_conn *conn = find(r->client, port);

	if (!conn)
		return HTTP_ADMITTED;
	if (conn->used && is_hung_up(conn->fd))
		return HTTP_HUNG_UP;
	if (r->http2 && conn->state == CONN_TRIED)
		return HTTP_HELD;
	r->port = port;
	r->opened = !conn->used;
	conn->used = true;
	r->proves = r->http2 && conn->state == CONN_UNTRIED;
	if (r->proves)
		conn->state = CONN_TRIED;
	return HTTP_ADMITTED;
}

void http_conns_settled(struct http_request *r)
{
	struct http_conn *conn = r->proves ? find(r->client, r->port) : NULL;

	if (!r->proves)
		return;
	r->proves = false;
	if (conn)
		conn->state = r->status ? CONN_PROVEN : CONN_UNTRIED;
	r->client->held_may_go = true;
}

/* An endpoint that takes long to answer is no reason to send it one request at a time. */
void http_conns_enough(struct http_client *c)
{
	struct http_conn *conn;

	SLIST_FOREACH(conn, &c->conns, link)
	if (conn->state == CONN_TRIED)
		conn->state = CONN_PROVEN;
	c->held_may_go = true;
}

/* Later streams of that connection were not looked at. Of two GOAWAYs the first may name the highest number. */
static void go_away(struct http_client *c, int port, uint32_t last_stream)
{
	struct http_request *r;

	TAILQ_FOREACH(r, &c->active, link)
	if (r->port == port && r->stream > last_stream)
		r->refused = true;
}

/* The number behind the words, if the text has them. */
static bool number_after(struct slice text, struct slice words, uint32_t *ret)
{
	const char *p = text.n ? memmem(text.p, text.n, words.p, words.n) : NULL, *end = text.p + text.n;
	uint64_t n = 0;

	if (!p)
		return false;
	p += words.n;
	if (p == end || !isdigit((unsigned char)*p))
		return false;
	for (; p < end && isdigit((unsigned char)*p) && n <= UINT32_MAX; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	*ret = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
	return true;
}

int http_conns_hear(CURL *easy, curl_infotype type, char *data, size_t n, void *arg)
{
	struct http_request *r = arg;
	struct slice text = {data, n};
	uint32_t last;

	(void)easy;
	if (type != CURLINFO_TEXT)
		return 0;
	if (slice_starts(text, SLICE_LIT("Using Stream ID: "))) /* 7.x */
		(void)number_after(text, SLICE_LIT("Using Stream ID: "), &r->stream);
	else if (slice_starts(text, SLICE_LIT("[HTTP/2] ["))) /* 8.x: … OPENED stream for … */
		(void)number_after(text, SLICE_LIT("[HTTP/2] ["), &r->stream);
	else if (slice_starts(text, SLICE_LIT("REFUSED_STREAM, retrying")))
		r->refused = true;
	else if (number_after(text, SLICE_LIT("ved GOAWAY, error="), &last) &&
	         number_after(text, SLICE_LIT(", last_stream="), &last))
		go_away(r->client, r->port, last);
	return 0;
}

void http_conns_free(struct http_client *c)
{
	struct http_conn *conn;

	while ((conn = SLIST_FIRST(&c->conns))) {
		SLIST_REMOVE_HEAD(&c->conns, link);
		free(conn);
	}
}
