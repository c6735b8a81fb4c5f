/* http_client_events.c - libcurl's sockets and timer on libevent
 *
 * libevent's callbacks drive libcurl. libcurl's own callbacks here only arm events and never
 * call functions that drive transfers (src/README.md, trap 14). */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/http_client/http_client_private.h"

#define AGAIN_US (100 * US_PER_MS)

/* A descriptor that libcurl wants watched. The struct is kept for reuse when libcurl stops
 * watching, which it does after each request. */
struct http_socket {
	struct http_client *client;
	SLIST_ENTRY(http_socket) link;
	struct event event;
};

static void drive(struct http_client *c, curl_socket_t fd, int what)
{
	int running;

	/* Fails only if out of memory or for an invalid handle. libcurl then returns before it
	 * has set its timer again; without another call no transfer would ever end, not even by
	 * its timeout. */
	if (curl_multi_socket_action(c->multi, fd, what, &running) != CURLM_OK)
		loop_timer_set(c->timer, AGAIN_US);
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct http_socket *s = arg;

	drive(s->client, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(void *arg)
{
	struct http_client *c = arg;

	drive(c, CURL_SOCKET_TIMEOUT, 0);
}

static void on_rest_timer(void *arg)
{
	struct http_client *c = arg;

	c->rest_due = true;
}

static void on_look_timer(void *arg)
{
	struct http_client *c = arg;

	c->look_due = true;
}

void http_events_look_at(struct http_client *c, int64_t at_us)
{
	if (loop_timer_is_set(c->look_timer) && c->look_at_us <= at_us)
		return;
	c->look_at_us = at_us;
	loop_timer_set(c->look_timer, at_us - clock_mono_us());
}

/* curl_multi_socket_all() is deprecated because it is slow if called for every event. But nothing
 * else runs all transfers and then reports their new sockets to socket_wanted(), which
 * curl_multi_perform() does not do in 7.88. */
void http_events_drive_all(struct http_client *c)
{
	int running;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	if (curl_multi_socket_all(c->multi, &running) != CURLM_OK)
		loop_timer_set(c->timer, AGAIN_US);
#pragma GCC diagnostic pop
}

static void on_hold_timer(void *arg)
{
	http_conns_enough(arg);
}

int64_t http_client_rest_us(const struct http_client *c)
{
	return c->config.http2 ? HTTP2_REST_US : HTTP_REST_US;
}

void http_client_answered(struct http_client *c)
{
	if (!loop_timer_is_set(c->rest_timer))
		loop_timer_set(c->rest_timer, http_client_rest_us(c));
}

static int timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *c = arg;

	(void)multi;
	if (timeout_ms < 0)
		loop_timer_cancel(c->timer);
	else
		loop_timer_set(c->timer, timeout_ms * US_PER_MS);
	return 0;
}

static struct http_socket *socket_new(struct http_client *c)
{
	struct http_socket *s = SLIST_FIRST(&c->spare);

	if (s)
		SLIST_REMOVE_HEAD(&c->spare, link);
	else
		s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->client = c;
	SLIST_INSERT_HEAD(&c->watched, s, link);
	return s;
}

static void socket_release(struct http_client *c, struct http_socket *s)
{
	event_del(&s->event);
	SLIST_REMOVE(&c->watched, s, http_socket, link);
	SLIST_INSERT_HEAD(&c->spare, s, link);
}

/* Never reports failure to libcurl, because an error here makes the whole multi handle unusable.
 * If a socket cannot be watched, only its own transfer times out. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http_client *c = arg;
	struct http_socket *s = socket_arg;
	short events =
	        (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			socket_release(c, s);
		return 0;
	}
	if (s)
		event_del(&s->event);
	else
		s = socket_new(c);
	if (!s)
		return 0;
	if (event_assign(&s->event, loop_base(c->loop), fd, events, on_socket_event, s) < 0 ||
	    event_add(&s->event, NULL) < 0 || curl_multi_assign(c->multi, fd, s) != CURLM_OK)
		socket_release(c, s);
	return 0;
}

static int set_multi_callbacks(struct http_client *c)
{
	CURLMcode code = curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);

	if (code == CURLM_OK)
		code = curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	if (code == CURLM_OK)
		code = curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
	if (code == CURLM_OK)
		code = curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	return code == CURLM_OK ? 0 : -EINVAL;
}

int http_events_init(struct http_client *c)
{
	SLIST_INIT(&c->watched);
	SLIST_INIT(&c->spare);
	c->timer = loop_timer_new(c->loop, on_timer, c);
	c->rest_timer = loop_timer_new(c->loop, on_rest_timer, c);
	c->hold_timer = loop_timer_new(c->loop, on_hold_timer, c);
	c->look_timer = loop_timer_new(c->loop, on_look_timer, c);
	if (!c->timer || !c->rest_timer || !c->hold_timer || !c->look_timer)
		return -ENOMEM;
	return set_multi_callbacks(c);
}

void http_events_free(struct http_client *c)
{
	struct http_socket *s;

	while (!SLIST_EMPTY(&c->watched))
		socket_release(c, SLIST_FIRST(&c->watched));
	while ((s = SLIST_FIRST(&c->spare))) {
		SLIST_REMOVE_HEAD(&c->spare, link);
		free(s);
	}
	c->timer = loop_timer_free(c->timer);
	c->rest_timer = loop_timer_free(c->rest_timer);
	c->hold_timer = loop_timer_free(c->hold_timer);
	c->look_timer = loop_timer_free(c->look_timer);
}
