/* http_client.c - the life of a POST request over curl-multi
 *
 * The rest is in http_client_events.c (libevent), http_client_options.c (libcurl's options),
 * http_client_conns.c (connections) and http_client_answer.c (the answer). */
#include "net/http_client/http_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/parse.h"
#include "net/http_client/http_client_private.h"

/* ---- configuration ---- */

static void config_clear(struct http_client_config *config)
{
	free((char *)config->proxy);
	free((char *)config->ca_file);
	free((char *)config->user_agent);
	*config = (struct http_client_config){0};
}

static int config_copy(struct http_client_config *ret, const struct http_client_config *config)
{
	struct http_client_config copy = *config;

	copy.proxy = strdup(config->proxy ? config->proxy : "");
	copy.ca_file = strdup(config->ca_file ? config->ca_file : "");
	copy.user_agent = strdup(config->user_agent ? config->user_agent : "");
	if (!copy.proxy || !copy.ca_file || !copy.user_agent) {
		config_clear(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

static struct http_request *request_free(struct http_request *r)
{
	if (!r)
		return NULL;
	if (r->added)
		(void)curl_multi_remove_handle(r->client->multi, r->easy);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->own_headers);
	http_options_forget_url(r);
	buf_free(&r->gathered);
	free(r);
	return NULL;
}

static int request_new(struct http_request **ret, struct http_client *c, struct err *err)
{
	struct http_request *r = calloc(1, sizeof(*r));
	int result;

	if (!r)
		return err_set(err, -ENOMEM, "no memory for a request");
	r->client = c;
	r->options_version = c->config_version;
	buf_init(&r->gathered, ANSWER_GATHER_MAX);
	r->easy = curl_easy_init();
	result = r->easy ? http_options_set(r, &c->config, c->headers, err)
	                 : err_set(err, -ENOMEM, "no memory for a request");
	if (result < 0) {
		request_free(r);
		return result;
	}
	*ret = r;
	return 0;
}

static void idle_clear(struct http_client *c)
{
	struct http_request *r;

	while ((r = TAILQ_FIRST(&c->idle))) {
		TAILQ_REMOVE(&c->idle, r, link);
		request_free(r);
	}
	c->n_idle = 0;
}

/* Since 8.20 the resolver's threads are the multi handle's, whose cleanup waits for each lookup
 * unless told otherwise here; the option of the transfers no longer counts for that. */
static CURLMcode set_quick_exit(CURLM *multi)
{
#if LIBCURL_VERSION_NUM >= 0x081400
	return curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L);
#else
	(void)multi;
	return CURLM_OK;
#endif
}

/* Sets the configured options of the multi handle. */
static int set_multi_configured(struct http_client *c, struct err *err)
{
	CURLMcode code = curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)c->config.max_requests);

	if (code == CURLM_OK)
		code = curl_multi_setopt(c->multi, CURLMOPT_PIPELINING,
		                         c->config.http2 ? (long)CURLPIPE_MULTIPLEX : (long)CURLPIPE_NOTHING);
	if (code == CURLM_OK)
		code = set_quick_exit(c->multi);
	if (code != CURLM_OK)
		return err_set(err, -EINVAL, "libcurl refuses the connection pool's size or kind: %s",
		               curl_multi_strerror(code));
	return 0;
}

/* Creates a first handle, so that an invalid option is reported before the first request. */
static int apply_config(struct http_client *c, struct err *err)
{
	struct http_request *r;
	int result;

	c->config_version++;
	if (!c->multi)
		return 0; /* start() will apply the configuration */
	idle_clear(c);
	result = set_multi_configured(c, err);
	if (result == 0)
		result = request_new(&r, c, err);
	if (result < 0)
		return result;
	TAILQ_INSERT_HEAD(&c->idle, r, link);
	c->n_idle++;
	return 0;
}

void http_client_give_back(struct http_client *c)
{
	if (c)
		idle_clear(c);
}

static struct http_ca_stamp ca_stamp(const char *path)
{
	struct stat sb;

	if (path[0] == '\0' || stat(path, &sb) < 0)
		return (struct http_ca_stamp){0};
	return (struct http_ca_stamp){sb.st_dev, sb.st_ino, sb.st_size, sb.st_mtim.tv_sec, sb.st_mtim.tv_nsec};
}

static bool stamps_equal(const struct http_ca_stamp *a, const struct http_ca_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->seconds == b->seconds &&
	       a->nanoseconds == b->nanoseconds;
}

static void note_way(struct http_client *c, const struct http_client_config *previous)
{
	struct http_ca_stamp stamp = ca_stamp(c->config.ca_file);
	bool is_first = !previous->proxy;
	bool ca_changed = !is_first &&
	                  (strcmp(previous->ca_file, c->config.ca_file) != 0 || !stamps_equal(&stamp, &c->ca_stamp));

	c->ca_stamp = stamp;
	if (ca_changed)
		c->ca_since_us = clock_mono_us();
	if (ca_changed || is_first || strcmp(previous->proxy, c->config.proxy) != 0)
		c->way++;
}

unsigned http_client_way(const struct http_client *c)
{
	return c->way;
}

int http_client_set(struct http_client *c, const struct http_client_config *config, struct err *err)
{
	struct http_client_config next, previous = c->config;
	int r = config_copy(&next, config);

	if (r < 0)
		return err_set(err, r, "no memory for the HTTP client's configuration");
	c->config = next;
	r = apply_config(c, err);
	if (r < 0) {
		c->config = previous;
		c->config_version++;
		config_clear(&next);
		return r;
	}
	note_way(c, &previous);
	config_clear(&previous);
	return 0;
}

static void stop(struct http_client *c)
{
	idle_clear(c);
	/* This calls socket_wanted() for the connections that libcurl still keeps. */
	if (c->multi)
		(void)curl_multi_cleanup(c->multi);
	c->multi = NULL;
	http_events_free(c);
}

/* Runs with the first request, because initialising libcurl's libraries takes 2.4 MiB. A relay
 * that only accepts events does not need them. */
static int start(struct http_client *c)
{
	int r;

	if (c->multi)
		return 0;
	if (!c->initialized && http_options_global() < 0)
		return -ENOMEM;
	c->initialized = true;
	c->multi = curl_multi_init();
	r = c->multi ? http_events_init(c) : -ENOMEM;
	if (r == 0)
		r = apply_config(c, NULL);
	if (r < 0)
		stop(c); /* the next request tries again */
	return r;
}

int http_client_new(struct http_client **ret, struct loop *loop, const struct http_client_config *config,
                    struct err *err)
{
	struct http_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(err, -ENOMEM, "no memory for the HTTP client");
	c->loop = loop;
	TAILQ_INIT(&c->active);
	TAILQ_INIT(&c->held);
	TAILQ_INIT(&c->cancelled);
	TAILQ_INIT(&c->idle);
	c->headers = http_options_headers("");
	r = c->headers ? http_client_set(c, config, err) : err_set(err, -ENOMEM, "no memory for the HTTP client");
	if (r < 0) {
		http_client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

static void list_clear(struct http_request_list *list)
{
	struct http_request *r;

	while ((r = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, r, link);
		request_free(r);
	}
}

struct http_client *http_client_free(struct http_client *c)
{
	if (!c)
		return NULL;
	list_clear(&c->active);
	list_clear(&c->held);
	list_clear(&c->cancelled);
	list_clear(&c->idle);
	stop(c);
	if (c->initialized)
		curl_global_cleanup();
	http_conns_free(c);
	curl_slist_free_all(c->headers);
	config_clear(&c->config);
	free(c);
	return NULL;
}

/* ---- requests ---- */

static int request_take(struct http_request **ret, struct http_client *c)
{
	struct http_request *r = TAILQ_FIRST(&c->idle);

	if (!r)
		return request_new(ret, c, NULL);
	TAILQ_REMOVE(&c->idle, r, link);
	c->n_idle--;
	*ret = r;
	return 0;
}

/* Keeps the handle for later requests. After a failure it is freed instead, because libcurl's
 * state for such a handle is not reliable (curl issues 17139 and 18206). */
static void request_recycle(struct http_request *r, bool clean)
{
	struct http_client *c = r->client;

	if (!clean || r->authorized || r->options_version != c->config_version ||
	    c->n_idle >= c->config.max_requests) {
		request_free(r);
		return;
	}
	buf_trim(&r->gathered, 0);
	TAILQ_INSERT_HEAD(&c->idle, r, link);
	c->n_idle++;
}

/* Returns when a request must be looked at although libcurl reports nothing about it. */
static int64_t next_look_us(const struct http_request *r, int64_t now_us)
{
	int64_t soon = now_us + HTTP_LOOK_US;

	return r->begun == 0 && soon < r->deadline_mono_us ? soon : r->deadline_mono_us;
}

static int set_up(struct http_request *r, const char *url, const struct http_authorization *authorization,
                  struct slice body, bool fresh)
{
	int result = http_options_request(r, url, body, fresh);

	r->authorized = authorization != NULL;
	return result == 0 && authorization ? http_options_authorize(r, authorization) : result;
}

/* authorization: NULL unless one of Google's APIs is asked. */
static int post(struct http_client *c, const char *url, const struct http_authorization *authorization,
                struct slice body, bool fresh, size_t answer_max, http_done_fn *done, void *arg,
                struct http_request **ret)
{
	struct http_request *r;
	int result;

	if (c->in_flight >= c->config.max_requests)
		return -EBUSY;
	result = start(c);
	if (result < 0)
		return result;
	result = request_take(&r, c);
	if (result < 0)
		return result;
	http_answer_reset(r);
	r->http2 = c->config.http2;
	r->done = done;
	r->arg = arg;
	r->body_size = body.n;
	r->answer_max = answer_max < ANSWER_GATHER_MAX ? answer_max : ANSWER_GATHER_MAX;
	r->started_wall_us = clock_wall_us();
	r->started_mono_us = clock_mono_us();
	r->deadline_mono_us = r->started_mono_us + c->config.timeout_us;
	result = set_up(r, url, authorization, body, fresh);
	if (result == 0 && curl_multi_add_handle(c->multi, r->easy) != CURLM_OK)
		result = -ENOMEM;
	if (result < 0) {
		request_free(r);
		return result;
	}
	r->added = true;
	TAILQ_INSERT_TAIL(&c->active, r, link);
	http_events_look_at(c, next_look_us(r, r->started_mono_us));
	c->in_flight++;
	*ret = r;
	return 0;
}

int http_post(struct http_client *c, const char *url, struct slice body, bool fresh, size_t answer_max,
              http_done_fn *done, void *arg, struct http_request **ret)
{
	return post(c, url, NULL, body, fresh, answer_max, done, arg, ret);
}

int http_post_authorized(struct http_client *c, const char *url, const struct http_authorization *authorization,
                         struct slice body, size_t answer_max, http_done_fn *done, void *arg,
                         struct http_request **ret)
{
	return post(c, url, authorization, body, true, answer_max, done, arg, ret);
}

/* Removes the request from its list and from libcurl. */
static void take_out(struct http_request *r, struct http_request_list *from)
{
	if (r->added)
		(void)curl_multi_remove_handle(r->client->multi, r->easy);
	r->added = false;
	TAILQ_REMOVE(from, r, link);
}

void http_cancel(struct http_request *r)
{
	struct http_client *c = r->client;

	if (!r->added && !r->held)
		return;
	take_out(r, r->held ? &c->held : &c->active);
	r->held = false;
	TAILQ_INSERT_TAIL(&c->cancelled, r, link);
	loop_again(c->loop);
}

/* Completes a request that is in no list. done() may call http_post(), which must not find this
 * handle idle yet. */
static void finish(struct http_request *r, CURLcode code)
{
	struct http_client *c = r->client;
	struct attempt attempt;
	struct slice body;

	http_answer_attempt(r, code, &attempt);
	http_conns_left(r);
	body = buf_slice(&r->gathered);
	c->in_flight--;
	r->done(r->arg, &attempt, body);
	request_recycle(r, code == CURLE_OK && r->begun == 1);
}

/* Hands the request to libcurl again, as if for the first time. */
static void add_again(struct http_request *r)
{
	struct http_client *c = r->client;

	r->held = r->hung_up = false;
	r->error[0] = '\0';
	r->added = curl_multi_add_handle(c->multi, r->easy) == CURLM_OK;
	TAILQ_INSERT_TAIL(r->added ? &c->active : &c->cancelled, r, link);
	if (r->added)
		http_events_look_at(c, next_look_us(r, clock_mono_us()));
	else
		loop_again(c->loop);
}

static void hold(struct http_request *r)
{
	struct http_client *c = r->client;

	TAILQ_INSERT_TAIL(&c->held, r, link);
	if (!loop_timer_is_set(c->hold_timer))
		loop_timer_set(c->hold_timer, HTTP_HOLD_US);
}

static void reap_finished(struct http_client *c)
{
	struct CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(c->multi, &left))) {
		struct http_request *r = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r) != CURLE_OK)
			continue;
		/* This call invalidates msg. */
		take_out(r, &c->active);
		if (r->held)
			hold(r);
		else if (r->hung_up && curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK)
			add_again(r);
		else
			finish(r, code);
	}
}

/* Restarts the held requests after a connection answered or failed. They may use any connection. */
static void release_held(struct http_client *c)
{
	struct http_request_list list = TAILQ_HEAD_INITIALIZER(list);
	struct http_request *r;

	if (!c->held_may_go)
		return;
	c->held_may_go = false;
	loop_timer_cancel(c->hold_timer);
	TAILQ_CONCAT(&list, &c->held, link);
	while ((r = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, r, link);
		add_again(r);
	}
}

/* Ends requests whose answer's head arrived but whose body did not end in time; only the status
 * matters then. Visits all active requests, but only when rest_timer has fired. */
static void reap_late(struct http_client *c)
{
	int64_t limit = clock_mono_us() - http_client_rest_us(c);
	struct http_request *r, *next;

	if (!c->rest_due)
		return;
	c->rest_due = false;
	for (r = TAILQ_FIRST(&c->active); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->answered_mono_us == 0 || r->answer_max > 0)
			continue;
		if (r->answered_mono_us > limit) {
			http_client_answered(c);
			continue;
		}
		r->cut = true;
		take_out(r, &c->active);
		TAILQ_INSERT_TAIL(&c->cancelled, r, link);
	}
}

/* A request that is still unanswered has timed out. Once its head is there, reap_late() limits the rest. */
static bool has_timed_out(const struct http_request *r, int64_t now_us)
{
	return r->deadline_mono_us <= now_us && (r->answered_mono_us == 0 || r->answer_max > 0);
}

static bool wants_drive(const struct http_client *c, int64_t now_us)
{
	const struct http_request *r;

	TAILQ_FOREACH(r, &c->active, link)
	if (has_timed_out(r, now_us) || (r->begun == 0 && r->started_mono_us + HTTP_LOOK_US <= now_us))
		return true;
	return false;
}

static void time_out(struct http_request *r)
{
	char limit[32];

	take_out(r, &r->client->active);
	snprintf(r->error, sizeof(r->error), "no answer within %s",
	         format_duration(r->deadline_mono_us - r->started_mono_us, limit));
	TAILQ_INSERT_TAIL(&r->client->cancelled, r, link);
}

/* Ends requests that have timed out, after reading what has arrived: if this process was stopped
 * or starved, the answers are in the sockets, and an answer that is there is no time-out.
 * Reading continues all transfers; libcurl 7.88 needs that to connect to the next address of a
 * name (src/README.md, trap 28). Visits all active requests, but only when look_timer has fired. */
static void reap_timed_out(struct http_client *c)
{
	int64_t now_us = clock_mono_us();
	struct http_request *r, *next;

	if (!c->look_due)
		return;
	c->look_due = false;
	if (wants_drive(c, now_us)) {
		http_events_drive_all(c);
		reap_finished(c);
	}
	for (r = TAILQ_FIRST(&c->active); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (has_timed_out(r, now_us))
			time_out(r);
		else if (r->deadline_mono_us > now_us)
			http_events_look_at(c, next_look_us(r, now_us));
	}
}

void http_client_catch_up(struct http_client *c)
{
	if (!c->multi)
		return;
	http_events_drive_all(c);
	http_client_reap(c);
}

void http_client_reap(struct http_client *c)
{
	struct http_request *r;

	if (!c->multi)
		return;
	reap_finished(c);
	reap_timed_out(c);
	reap_late(c);
	while ((r = TAILQ_FIRST(&c->cancelled))) {
		TAILQ_REMOVE(&c->cancelled, r, link);
		if (r->error[0] == '\0')
			memcpy(r->error, "cut off by the relay", sizeof("cut off by the relay"));
		finish(r, r->cut ? CURLE_WRITE_ERROR : CURLE_OPERATION_TIMEDOUT);
	}
	release_held(c);
}

unsigned http_client_in_flight(const struct http_client *c)
{
	return c->in_flight;
}
