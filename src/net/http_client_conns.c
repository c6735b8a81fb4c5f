/* http_client_conns.c - with HTTP/2: what is known of each connection, and which requests its server never looked at
 *
 * A new connection carries one request until it has answered. Its server's limit of streams is known by then, which a
 * burst of requests would break; and a connection that is good for nothing costs one attempt, not one for each.
 *
 * A server that refuses a stream, or goes away with a GOAWAY that names the last stream it looked at, says that later
 * ones may be sent again safely. libcurl tells that only in words, in its debug text, and of a refused stream only
 * when no other request has been near its connection: without the words the events are marked maybe-sent, which is
 * what is true without them. A request that libcurl wants to repeat ends when its connection is long gone: what was
 * said is kept with the request. */
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_client_priv.h"

enum conn_state {
	CONN_UNTRIED, /* the next request finds out */
	CONN_TRIED,   /* one is on its way */
	CONN_PROVEN   /* it has answered, or takes its time */
};

struct http_conn {
	SLIST_ENTRY(http_conn) link;
	int port; /* our end's: its name */
	enum conn_state state;
};

static struct http_conn *find(const struct http_client *c, int port)
{
	struct http_conn *conn;

	SLIST_FOREACH(conn, &c->conns, link)
	if (conn->port == port)
		return conn;
	return NULL;
}

static struct http_conn *conn_new(struct http_client *c, int port)
{
	struct http_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->port = port;
	SLIST_INSERT_HEAD(&c->conns, conn, link);
	return conn;
}

bool http_conns_admit(struct http_request *r, int port)
{
	struct http_conn *conn = find(r->client, port);

	if (!conn) {
		conn = conn_new(r->client, port);
		r->opened = conn != NULL;
	}
	if (!conn)
		return true;
	if (conn->state == CONN_TRIED)
		return false;
	r->port = port;
	r->proves = conn->state == CONN_UNTRIED;
	if (r->proves)
		conn->state = CONN_TRIED;
	return true;
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
	const char *p = memmem(text.p, text.n, words.p, words.n), *end = text.p + text.n;
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

int http_conns_close(void *arg, curl_socket_t fd)
{
	struct http_client *c = arg;
	struct http_conn *conn = find(c, socket_port(fd));

	if (conn) {
		SLIST_REMOVE(&c->conns, conn, http_conn, link);
		free(conn);
	}
	return close(fd);
}

void http_conns_free(struct http_client *c)
{
	struct http_conn *conn;

	while ((conn = SLIST_FIRST(&c->conns))) {
		SLIST_REMOVE_HEAD(&c->conns, link);
		free(conn);
	}
}
