/* http_client_conns.c - the state of each connection, and requests its server did not process
 *
 * libcurl checks a kept connection before it uses it again and drops it if the peer has closed
 * it. But 8.22 does so only if its last check is more than a second old, and 7.88 misses a
 * reset. Data written to such a connection counts as sent. 7.88 also uses a connection again on
 * which an answer arrived that no request asked for.
 *
 * With HTTP/2, a new connection carries one request until that is answered. By then the server's
 * limit of concurrent streams is known, which a burst of requests would exceed; and if the
 * connection is unusable, only one attempt fails. A connection that has reached its lifetime gets
 * no further requests for a moment, so that it becomes idle and libcurl closes it.
 *
 * A server that refuses a stream says that it did not process it. libcurl then repeats the
 * request, which it does otherwise only on a kept connection; so a repetition of a request that
 * opened its connection tells. On a kept one a refusal and a dead connection look the same, and
 * the events are marked maybe-sent.
 *
 * A GOAWAY names the last stream that the server processed, but libcurl's interface does not report
 * it. So the events of later streams are marked maybe-sent, too. When libcurl wants to repeat a
 * request, the connection is gone before the request ends, so these facts are stored in the
 * request. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_client/http_client_private.h"

enum conn_state {
	CONN_UNTRIED, /* the next request will test it */
	CONN_TRIED,   /* a request is testing it */
	CONN_PROVEN   /* it has answered, or the answer takes long */
};

struct http_conn {
	SLIST_ENTRY(http_conn) link;
	curl_socket_t fd;
	uint64_t id;
	int local_port, peer_port; /* 0: not looked up yet */
	char local_ip[INET6_ADDRSTRLEN], peer_ip[INET6_ADDRSTRLEN];
	bool used;  /* a request was sent over it */
	bool http1; /* its first answer was HTTP/1 */
	/* With HTTP/2 only: */
	enum conn_state state;
	unsigned in_flight;
	int64_t opened_us;
	int64_t drain_us; /* start of the latest attempt to drain it; 0: none yet */
};

/* A drain attempt holds new requests for at most DRAIN_US, and the next one comes no sooner than
 * DRAIN_AGAIN_US later: a stream that hangs must not stop all others. */
#define DRAIN_US (1 * US_PER_S)
#define DRAIN_AGAIN_US (10 * US_PER_S)

/* Writes the address of one end as libcurl does. Returns its port, or 0. */
static int read_end(curl_socket_t fd, int (*get)(int, struct sockaddr *, socklen_t *), char ip[INET6_ADDRSTRLEN])
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
	socklen_t size = sizeof(addr);

	if (get(fd, &addr.any, &size) < 0)
		return 0;
	if (addr.any.sa_family == AF_INET && inet_ntop(AF_INET, &addr.in.sin_addr, ip, INET6_ADDRSTRLEN))
		return ntohs(addr.in.sin_port);
	if (addr.any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &addr.in6.sin6_addr, ip, INET6_ADDRSTRLEN))
		return ntohs(addr.in6.sin6_port);
	return 0;
}

static bool has_ends(struct http_conn *conn, const struct http_ends *ends)
{
	if (conn->local_port == 0)
		conn->local_port = read_end(conn->fd, getsockname, conn->local_ip);
	if (conn->peer_port == 0)
		conn->peer_port = read_end(conn->fd, getpeername, conn->peer_ip);
	return conn->local_port == ends->local_port && strcmp(conn->local_ip, ends->local_ip) == 0 &&
	       strcmp(conn->peer_ip, ends->peer_ip) == 0;
}

/* Several connections may have the same local port if their peers differ. The peer's port decides
 * only between such connections, because 7.88 reports that of the URL instead of a proxy's. */
static struct http_conn *find_by_ends(const struct http_client *c, const struct http_ends *ends)
{
	struct http_conn *conn, *found = NULL;
	unsigned n = 0;

	SLIST_FOREACH(conn, &c->conns, link)
	{
		if (!has_ends(conn, ends))
			continue;
		if (conn->peer_port == ends->peer_port)
			return conn;
		found = conn;
		n++;
	}
	return n == 1 ? found : NULL;
}

static struct http_conn *find(const struct http_client *c, uint64_t id)
{
	struct http_conn *conn;

	if (id == 0)
		return NULL;
	SLIST_FOREACH(conn, &c->conns, link)
	if (conn->id == id)
		return conn;
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

/* If memory runs out, the connection's requests are not tracked. */
void http_conns_open(struct http_client *c, curl_socket_t fd)
{
	struct http_conn *conn = calloc(1, sizeof(*conn));

	forget(c, fd);
	if (!conn)
		return;
	conn->fd = fd;
	conn->id = ++c->last_conn_id;
	conn->opened_us = clock_mono_us();
	SLIST_INSERT_HEAD(&c->conns, conn, link);
}

int http_conns_close(void *arg, curl_socket_t fd)
{
	forget(arg, fd);
	return close(fd);
}

/* True if the peer closed or reset the connection, even if unread bytes precede that (such as
 * TLS's close notification). Over HTTP/1, unread bytes alone also make it unusable: they may be a
 * second answer to the previous request, and libcurl 7.88 would take it for the answer to the
 * next one. Over HTTP/2 they are frames of the connection. */
static bool is_unusable(const struct http_conn *conn)
{
	struct pollfd p = {.fd = conn->fd, .events = (short)(POLLRDHUP | (conn->http1 ? POLLIN : 0))};

	return poll(&p, 1, 0) > 0;
}

/* True if new requests must wait until those in flight on the connection have ended. libcurl
 * closes a connection that is too old when it is idle, which with HTTP/2 may never be the case. */
static bool is_draining(struct http_conn *conn)
{
	int64_t now_us = clock_mono_us();

	if (conn->in_flight == 0 || now_us - conn->opened_us <= HTTP_LIFE_US)
		return false;
	if (conn->drain_us == 0 || now_us - conn->drain_us >= DRAIN_AGAIN_US)
		conn->drain_us = now_us;
	return now_us - conn->drain_us < DRAIN_US;
}

static bool has_connected(const struct http_request *r)
{
	long connects = 0;

	return curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &connects) == CURLE_OK && connects > 0;
}

/* libcurl repeats a request by itself: on a kept connection because that seems to be dead, else
 * only if the server refused the stream (or HTTP/2 altogether). */
void http_conns_repeated(struct http_request *r)
{
	if (r->http2 && r->connected)
		r->refused = true;
}

enum http_admission http_conns_admit(struct http_request *r, const struct http_ends *ends)
{
	struct http_conn *conn = find_by_ends(r->client, ends);

	r->multiplexed = r->http2;
	if (!conn)
		return HTTP_ADMITTED;
	if (conn->used && is_unusable(conn))
		return HTTP_HUNG_UP;
	if (r->http2 && (conn->state == CONN_TRIED || is_draining(conn)))
		return HTTP_HELD;
	r->conn_id = conn->id;
	r->multiplexed = r->http2 && !conn->http1;
	r->opened = !conn->used;
	r->connected = r->opened && has_connected(r);
	conn->used = true;
	r->counted = r->http2;
	conn->in_flight += r->counted;
	r->proves = r->http2 && conn->state == CONN_UNTRIED;
	if (r->proves)
		conn->state = CONN_TRIED;
	return HTTP_ADMITTED;
}

void http_conns_speaks_http1(const struct http_request *r)
{
	struct http_conn *conn = r->opened ? find(r->client, r->conn_id) : NULL;

	if (conn)
		conn->http1 = true;
}

void http_conns_settled(struct http_request *r)
{
	struct http_conn *conn = r->proves ? find(r->client, r->conn_id) : NULL;

	if (!r->proves)
		return;
	r->proves = false;
	if (conn)
		conn->state = r->status ? CONN_PROVEN : CONN_UNTRIED;
	r->client->held_may_go = true;
}

void http_conns_left(struct http_request *r)
{
	struct http_conn *conn = r->counted ? find(r->client, r->conn_id) : NULL;

	http_conns_settled(r);
	r->counted = false;
	if (!conn || conn->in_flight == 0)
		return;
	conn->in_flight--;
	if (conn->in_flight == 0 && conn->drain_us)
		r->client->held_may_go = true;
}

/* Stops waiting for first answers: a slow endpoint must not be limited to one request at a time. */
void http_conns_enough(struct http_client *c)
{
	struct http_conn *conn;

	SLIST_FOREACH(conn, &c->conns, link)
	if (conn->state == CONN_TRIED)
		conn->state = CONN_PROVEN;
	c->held_may_go = true;
}

void http_conns_free(struct http_client *c)
{
	struct http_conn *conn;

	while ((conn = SLIST_FIRST(&c->conns))) {
		SLIST_REMOVE_HEAD(&c->conns, link);
		free(conn);
	}
}
