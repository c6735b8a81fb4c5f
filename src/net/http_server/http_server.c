/* http_server.c - a small bounded HTTP/1.1 server on evhttp
 *
 * evhttp can limit the size of head and body (src/README.md, trap 18), but neither the number of
 * connections, nor the time that a request takes to arrive, nor what a client sends before its
 * answer is written, nor the time that requests take of a turn. All are limited here: every
 * connection has a struct http_conn from accept to close. */
#include "net/http_server/http_server.h"
#include "net/event_time.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/event_time.h"
#include "net/http_server/http_server_bind.h"
#include "net/http_server/http_server_framing.h"

struct http_conn {
	struct http_server *server;
	LIST_ENTRY(http_conn) link;
	struct bufferevent *bev; /* owned by evhttp */
	/* NULL: not known yet; until then we hold a reference to bev */
	struct evhttp_connection *evcon;
	struct http_exchange *exchange; /* waits for its answer */
	int64_t first_byte_us;          /* when the request being read began; 0: none */
	size_t partial;                 /* bytes of that request so far */
	struct http_framing framing;
	bool refused; /* rejected for its framing, and answered */
};
LIST_HEAD(http_conn_list, http_conn);

struct http_exchange {
	struct http_server *server;
	struct http_conn *conn; /* NULL: the client is gone */
	LIST_ENTRY(http_exchange) link;
	STAILQ_ENTRY(http_exchange) by_turn; /* s->waiting, until the handler is called */
	struct evhttp_request *req;          /* NULL: the server is gone */
	struct evkeyvalq query;
	bool query_parsed, orphan;
};
LIST_HEAD(http_exchange_list, http_exchange);
STAILQ_HEAD(http_exchange_queue, http_exchange);

struct http_server {
	struct loop *loop;
	struct evhttp *http;
	struct evconnlistener *listener; /* owned by evhttp; NULL while closing */
	struct loop_timer *resume, *sweep, *serve;
	struct event *meet, *trim, *refuse;
	struct bound bound;
	http_handler_fn *handler;
	void *arg;
	struct http_conn_list conns;
	struct http_exchange_list exchanges;
	struct http_exchange_queue waiting; /* those of them that the handler has not seen */
	unsigned n_conns, n_orphans,
	        max_connections;     /* orphan: an exchange without a connection still holds memory */
	size_t partial, max_partial; /* bytes of incomplete requests on all connections */
	size_t max_request;
	int64_t timeout_us;
	int64_t drain_since_us; /* 0: not draining */
};

enum { RESUME_AFTER_US = 100000 };
/* Time budget per turn for handling requests, and what is charged for each beside its handler's
 * time: evhttp reads its head and writes its answer. */
enum { TURN_US = 1000, REQUEST_US = 50 };
/* Beyond a whole request, what one read may bring. */
enum { READ_MARGIN = 64 << 10 };
/* How long a stopping server waits for a client that does not read its answer. */
#define DRAIN_US US_PER_S

/* ---- connections ---- */

static void update_accepting(struct http_server *s)
{
	if (!s->listener || loop_timer_is_set(s->resume))
		return;
	if (s->drain_since_us || s->n_conns + s->n_orphans >= s->max_connections)
		evconnlistener_disable(s->listener);
	else
		evconnlistener_enable(s->listener);
}

/* Without free descriptors the listener would spin (src/README.md, trap 16), so new connections
 * wait in the kernel for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct http_server *s = arg;

	evconnlistener_disable(listener);
	loop_timer_set(s->resume, RESUME_AFTER_US);
}

static void on_resume(void *arg)
{
	update_accepting(arg);
}

static void on_refused_written(struct bufferevent *bev, void *arg)
{
	struct http_conn *conn = arg;

	(void)bev;
	evhttp_connection_free(conn->evcon);
}

static void on_refused_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	on_refused_written(bev, arg);
}

/* Detaches the connection from evhttp's callbacks. If an answer is due, http_answer() ends the
 * connection instead. */
static void take_from_evhttp(struct http_conn *conn)
{
	if (conn->exchange || !conn->evcon)
		return;
	bufferevent_setcb(conn->bev, NULL, NULL, on_refused_event, conn);
	event_active(conn->server->refuse, EV_TIMEOUT, 0);
}

/* Checks bytes that have just arrived, before evhttp reads them. */
static void check_framing(struct http_conn *conn, struct evbuffer *buffer, size_t n)
{
	struct evbuffer_ptr at;
	struct evbuffer_iovec piece;

	if (conn->framing.problem ||
	    evbuffer_ptr_set(buffer, &at, evbuffer_get_length(buffer) - n, EVBUFFER_PTR_SET) < 0)
		return;
	while (n > 0 && evbuffer_peek(buffer, (ev_ssize_t)n, &at, &piece, 1) > 0) {
		size_t len = piece.iov_len < n ? piece.iov_len : n;

		if (http_framing_feed(&conn->framing, piece.iov_base, len)) {
			take_from_evhttp(conn);
			return;
		}
		n -= len;
		if (n > 0 && evbuffer_ptr_set(buffer, &at, len, EVBUFFER_PTR_ADD) < 0)
			return;
	}
}

static void on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	struct http_conn *conn = arg;
	struct http_server *s = conn->server;
	size_t n;

	if (info->n_added > 0)
		check_framing(conn, buffer, info->n_added);
	/* evhttp does not look at it before it has written an error, and then closes. */
	if (evbuffer_get_length(buffer) > s->max_request + READ_MARGIN)
		bufferevent_disable(conn->bev, EV_READ);
	if (info->n_added == 0 || conn->exchange)
		return;
	if (conn->first_byte_us == 0)
		conn->first_byte_us = clock_mono_us();
	/* Counts at most the largest request: beyond that evhttp reads on only to answer 413,
	 * and does not keep the bytes. */
	n = s->max_request - conn->partial < info->n_added ? s->max_request - conn->partial : info->n_added;
	conn->partial += n;
	s->partial += n;
	if (s->partial > s->max_partial)
		event_active(s->trim, EV_TIMEOUT, 0);
}

static void forget_partial(struct http_conn *conn)
{
	conn->server->partial -= conn->partial;
	conn->partial = 0;
	conn->first_byte_us = 0;
}

static void conn_free(struct http_conn *conn)
{
	struct http_server *s = conn->server;

	evbuffer_remove_cb(bufferevent_get_input(conn->bev), on_input, conn);
	forget_partial(conn);
	if (conn->exchange) {
		conn->exchange->conn = NULL;
		conn->exchange->orphan = true;
		s->n_orphans++;
	}
	LIST_REMOVE(conn, link);
	s->n_conns--;
	free(conn);
	update_accepting(s);
}

static void on_conn_close(struct evhttp_connection *evcon, void *arg)
{
	(void)evcon;
	conn_free(arg);
}

/* evhttp creates its connection object after on_accepted() has returned, and passes it on only
 * with the first request. Until then it can be found as the argument of the bufferevent's
 * callbacks (libevent 2.0 to 2.2). */
static void meet_connection(struct http_conn *conn)
{
	bufferevent_data_cb read_cb, write_cb;
	bufferevent_event_cb event_cb;
	void *evcon = NULL;

	bufferevent_getcb(conn->bev, &read_cb, &write_cb, &event_cb, &evcon);
	conn->evcon = evcon;
	if (evcon) {
		evhttp_connection_set_closecb(evcon, on_conn_close, conn);
		(void)bufferevent_decref(conn->bev);
		return;
	}
	/* evhttp ran out of memory. */
	struct bufferevent *bev = conn->bev;

	conn_free(conn);
	(void)bufferevent_decref(bev);
}

/* Runs before any byte of the new connections is read, because they were accepted in the same
 * turn. */
static void on_meet(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct http_conn *conn, *next;

	(void)fd, (void)what;
	for (conn = LIST_FIRST(&s->conns); conn; conn = next) {
		next = LIST_NEXT(conn, link);
		if (!conn->evcon)
			meet_connection(conn);
	}
}

/* evhttp calls this for each accepted connection. If it returns NULL, evhttp creates a
 * bufferevent itself. */
static struct bufferevent *on_accepted(struct event_base *base, void *arg)
{
	struct http_server *s = arg;
	struct http_conn *conn = calloc(1, sizeof(*conn));
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);

	if (!conn || !bev || !evbuffer_add_cb(bufferevent_get_input(bev), on_input, conn)) {
		if (bev)
			bufferevent_free(bev);
		free(conn);
		return NULL;
	}
	bufferevent_incref(bev);
	conn->server = s;
	conn->bev = bev;
	LIST_INSERT_HEAD(&s->conns, conn, link);
	s->n_conns++;
	event_active(s->meet, EV_TIMEOUT, 0);
	update_accepting(s);
	return bev;
}

static struct http_conn *holds_most(const struct http_server *s)
{
	struct http_conn *conn, *most = NULL;

	LIST_FOREACH(conn, &s->conns, link)
	if (conn->evcon && !conn->exchange && conn->partial > (most ? most->partial : 0))
		most = conn;
	return most;
}

/* None of these clients has authenticated yet, so the connections with the most buffered bytes
 * are closed first. */
static void on_trim(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct http_conn *most;

	(void)fd, (void)what;
	while (s->partial > s->max_partial && (most = holds_most(s)))
		evhttp_connection_free(most->evcon);
}

static void refuse_conn(struct http_conn *conn)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev), *in = bufferevent_get_input(conn->bev);

	conn->refused = true;
	bufferevent_disable(conn->bev, EV_READ);
	(void)evbuffer_drain(in, evbuffer_get_length(in));
	bufferevent_setcb(conn->bev, NULL, on_refused_written, on_refused_event, conn);
	bufferevent_enable(conn->bev, EV_WRITE); /* evhttp disables it while it reads */
	if (evbuffer_add_printf(out,
	                        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n"
	                        "Content-Length: %zu\r\n\r\n%s\n",
	                        strlen(conn->framing.problem) + 1, conn->framing.problem) < 0)
		evhttp_connection_free(conn->evcon);
}

static void on_refuse(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct http_conn *conn, *next;

	(void)fd, (void)what;
	for (conn = LIST_FIRST(&s->conns); conn; conn = next) {
		next = LIST_NEXT(conn, link);
		if (conn->framing.problem && conn->evcon && !conn->exchange && !conn->refused)
			refuse_conn(conn);
	}
}

/* A read timeout restarts with each byte; this one limits the whole request. */
static void on_sweep(void *arg)
{
	struct http_server *s = arg;
	int64_t limit = clock_mono_us() - s->timeout_us;
	struct http_conn *conn, *next;

	for (conn = LIST_FIRST(&s->conns); conn; conn = next) {
		next = LIST_NEXT(conn, link);
		if (conn->evcon && !conn->exchange && conn->first_byte_us && conn->first_byte_us < limit)
			evhttp_connection_free(conn->evcon);
	}
	loop_timer_set(s->sweep, s->timeout_us / 4 + 1);
}

/* ---- requests ---- */

struct method_name {
	enum evhttp_cmd_type type;
	struct slice name;
};
static const struct method_name method_names[] = {
        {EVHTTP_REQ_GET, {"GET", 3}},     {EVHTTP_REQ_POST, {"POST", 4}},       {EVHTTP_REQ_HEAD, {"HEAD", 4}},
        {EVHTTP_REQ_PUT, {"PUT", 3}},     {EVHTTP_REQ_DELETE, {"DELETE", 6}},   {EVHTTP_REQ_OPTIONS, {"OPTIONS", 7}},
        {EVHTTP_REQ_TRACE, {"TRACE", 5}}, {EVHTTP_REQ_CONNECT, {"CONNECT", 7}}, {EVHTTP_REQ_PATCH, {"PATCH", 5}},
};

/* Passes all methods that evhttp knows to the handler, which decides; evhttp rejects the others. */
static unsigned known_methods(void)
{
	unsigned mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(method_names); i++)
		mask |= method_names[i].type;
	return mask;
}

static struct slice method_name(enum evhttp_cmd_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(method_names); i++)
		if (method_names[i].type == type)
			return method_names[i].name;
	return SLICE_LIT("");
}

static struct http_conn *conn_of(struct http_server *s, struct evhttp_connection *evcon)
{
	struct http_conn *conn;

	LIST_FOREACH(conn, &s->conns, link)
	if (conn->evcon == evcon)
		return conn;
	return NULL;
}

static struct http_exchange *exchange_new(struct http_server *s, struct evhttp_request *req)
{
	struct http_exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->server = s;
	x->req = req;
	TAILQ_INIT(&x->query);
	LIST_INSERT_HEAD(&s->exchanges, x, link);
	x->conn = conn_of(s, evhttp_request_get_connection(req));
	if (x->conn) {
		x->conn->exchange = x;
		x->conn->first_byte_us = 0;
	}
	return x;
}

/* Returns the path as received, without scheme, host and query. */
static struct slice request_path(struct evhttp_request *req)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	return slice_of(path ? path : "");
}

static void handle(struct http_server *s, struct http_exchange *x)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(x->req);
	size_t n = evbuffer_get_length(input);
	const unsigned char *body = n ? evbuffer_pullup(input, -1) : NULL;
	const struct http_request_info info = {
	        .method = method_name(evhttp_request_get_command(x->req)),
	        .path = request_path(x->req),
	        .body = {(const char *)body, n},
	        .over_unix = s->bound.is_unix,
	        .exchange = x,
	};

	if (x->conn)
		forget_partial(x->conn);
	if (n && !body)
		http_answer(x, HTTP_SERVUNAVAIL, NULL, SLICE_LIT(""), NULL);
	else
		s->handler(s->arg, &info);
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
		handle(s, x);
	}
	if (!STAILQ_EMPTY(&s->waiting))
		loop_timer_set(s->serve, 0);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct http_server *s = arg;
	struct http_exchange *x = exchange_new(s, req);

	if (!x) {
		evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	STAILQ_INSERT_TAIL(&s->waiting, x, by_turn);
	if (!loop_timer_is_set(s->serve))
		loop_timer_set(s->serve, 0);
}

const char *http_query(struct http_exchange *x, const char *name)
{
	const struct evhttp_uri *uri = x->req ? evhttp_request_get_evhttp_uri(x->req) : NULL;
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;

	if (!query)
		return NULL;
	if (!x->query_parsed && evhttp_parse_query_str(query, &x->query) < 0)
		evhttp_clear_headers(&x->query);
	x->query_parsed = true;
	return evhttp_find_header(&x->query, name);
}

bool http_query_repeats(struct http_exchange *x, const char *name)
{
	const struct evkeyval *q;
	unsigned n = 0;

	if (!http_query(x, name))
		return false;
	TAILQ_FOREACH(q, &x->query, next)
	n += evutil_ascii_strcasecmp(q->key, name) == 0;
	return n > 1;
}

const char *http_header(struct http_exchange *x, const char *name)
{
	return x->req ? evhttp_find_header(evhttp_request_get_input_headers(x->req), name) : NULL;
}

static int local_peer(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	return 0;
}

static int remote_address(int fd, char address[HTTP_ADDRESS_MAX])
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	bool v6;

	if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	v6 = ss.ss_family == AF_INET6;
	return inet_ntop(ss.ss_family,
	                 v6 ? (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr
	                    : (void *)&((struct sockaddr_in *)&ss)->sin_addr,
	                 address, HTTP_ADDRESS_MAX)
	               ? 0
	               : -errno;
}

void http_peer(struct http_exchange *x, char address[HTTP_ADDRESS_MAX], struct peer *ret)
{
	int fd = x->conn ? bufferevent_getfd(x->conn->bev) : -1;

	if (x->server && x->server->bound.is_unix && local_peer(fd, ret) == 0)
		return;
	if (fd < 0 || remote_address(fd, address) < 0)
		snprintf(address, HTTP_ADDRESS_MAX, "unknown"); /* the client has disconnected */
	*ret = (struct peer){.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1, .address = address};
}

static void exchange_free(struct http_exchange *x)
{
	struct http_server *s = x->server;

	evhttp_clear_headers(&x->query);
	if (s) {
		LIST_REMOVE(x, link);
		if (x->conn)
			x->conn->exchange = NULL;
		if (x->orphan)
			s->n_orphans--;
		update_accepting(s);
	}
	free(x);
}

static int add_headers(struct evhttp_request *req, const char *content_type, const char *const *headers)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);

	if (content_type && evhttp_add_header(out, "Content-Type", content_type) < 0)
		return -ENOMEM;
	for (size_t i = 0; headers && headers[i] && headers[i + 1]; i += 2)
		if (evhttp_add_header(out, headers[i], headers[i + 1]) < 0)
			return -ENOMEM;
	return 0;
}

/* While evhttp writes it reads, to notice when the client closes, and keeps what it reads without
 * a limit. Until the answer is written, further requests stay in the kernel instead; evhttp
 * enables reading for the next one. */
static void send_reply(struct evhttp_request *req, int status, struct bufferevent *bev)
{
	if (bev)
		bufferevent_incref(bev);
	evhttp_send_reply(req, status, NULL, NULL);
	if (!bev)
		return;
	bufferevent_disable(bev, EV_READ);
	(void)bufferevent_decref(bev);
}

void http_answer(struct http_exchange *x, int status, const char *content_type, struct slice body,
                 const char *const *headers)
{
	struct evhttp_request *req = x->req;
	struct bufferevent *bev = x->conn ? x->conn->bev : NULL;
	bool last = x->conn && x->conn->framing.problem;

	/* Must precede the send, which may free the connection. */
	exchange_free(x);
	if (!req)
		return;
	if (!evhttp_request_get_connection(req)) {
		evhttp_request_free(req);
		return;
	}
	if (last) /* bytes after the last request are not a request */
		(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Connection", "close");
	if (add_headers(req, content_type, headers) < 0 ||
	    (body.n > 0 && evbuffer_add(evhttp_request_get_output_buffer(req), body.p, body.n) < 0)) {
		evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	send_reply(req, status, bev);
}

/* ---- opening and closing ---- */

static int configure(struct http_server *s, const struct http_server_config *config)
{
	struct event_time buf;

	evhttp_set_max_headers_size(s->http, (ev_ssize_t)config->max_headers);
	evhttp_set_max_body_size(s->http, (ev_ssize_t)config->max_body);
	evhttp_set_timeout_tv(s->http, event_time(&buf, config->timeout_us));
	evhttp_set_allowed_methods(s->http, (ev_uint16_t)known_methods());
	evhttp_set_gencb(s->http, on_request, s);
	evhttp_set_bevcb(s->http, on_accepted, s);
	/* Reads the rest of a body that is too large, so that the client receives the 413. */
	return evhttp_set_flags(s->http, EVHTTP_SERVER_LINGERING_CLOSE) == 0 ? 0 : -EINVAL;
}

static int start(struct http_server *s, const struct http_server_config *config, struct err *err)
{
	struct event_base *base = loop_base(s->loop);
	int r = http_server_bind(&s->bound, config->listen, err);

	if (r < 0)
		return r;
	s->http = evhttp_new(base);
	s->resume = loop_timer_new(s->loop, on_resume, s);
	s->sweep = loop_timer_new(s->loop, on_sweep, s);
	s->serve = loop_timer_new(s->loop, on_serve, s);
	s->meet = event_new(base, -1, 0, on_meet, s);
	s->trim = event_new(base, -1, 0, on_trim, s);
	s->refuse = event_new(base, -1, 0, on_refuse, s);
	s->listener =
	        evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, s->bound.fd);
	if (!s->http || !s->resume || !s->sweep || !s->serve || !s->meet || !s->trim || !s->refuse || !s->listener ||
	    configure(s, config) < 0 || !evhttp_bind_listener(s->http, s->listener))
		return err_set(err, -ENOMEM, "no memory for the HTTP server");
	s->bound.fd = -1; /* the listener, which evhttp owns, has it now */
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	loop_timer_set(s->sweep, s->timeout_us / 4 + 1);
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
	s->max_request = config->max_headers + config->max_body;
	s->max_partial = config->max_partial ? config->max_partial : SIZE_MAX;
	LIST_INIT(&s->conns);
	LIST_INIT(&s->exchanges);
	STAILQ_INIT(&s->waiting);
	r = start(s, config, err);
	if (r < 0) {
		http_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* evhttp frees a pending request with its connection, except if the client has disconnected. */
static void abandon_exchanges(struct http_server *s)
{
	struct http_exchange *x;

	while ((x = LIST_FIRST(&s->exchanges))) {
		LIST_REMOVE(x, link);
		if (!evhttp_request_get_connection(x->req))
			evhttp_request_free(x->req);
		if (x->conn)
			x->conn->exchange = NULL;
		x->req = NULL;
		x->server = NULL;
		x->conn = NULL;
	}
}

struct http_server *http_server_free(struct http_server *s)
{
	struct http_exchange *x;

	if (!s)
		return NULL;
	while ((x = take_waiting(s)))
		http_answer(x, HTTP_SERVUNAVAIL, NULL, SLICE_LIT(""), NULL);
	abandon_exchanges(s);
	http_server_unbind(&s->bound);
	if (s->meet)
		on_meet(-1, 0, s);
	if (s->bound.fd >= 0 && s->listener) /* opening failed halfway */
		evconnlistener_free(s->listener);
	else
		fd_close(s->bound.fd);
	s->listener = NULL;
	if (s->http)
		evhttp_free(s->http); /* closes connections, which calls on_conn_close() */
	if (s->meet)
		event_free(s->meet);
	if (s->trim)
		event_free(s->trim);
	if (s->refuse)
		event_free(s->refuse);
	loop_timer_free(s->resume);
	loop_timer_free(s->sweep);
	loop_timer_free(s->serve);
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
	const struct http_conn *conn;

	if (!LIST_EMPTY(&s->exchanges))
		return false;
	LIST_FOREACH(conn, &s->conns, link)
	if (!late && evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0)
		return false;
	return true;
}

unsigned http_server_port(const struct http_server *s)
{
	return s->bound.port;
}
