/* stream.c - streams are made, configured and removed, at start and at every reload */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/delivery_private.h"

enum {
	CONNECTIONS_MAX = 4096, /* of all streams together */
	FAILURE_LINES = 20,     /* of one stream, in … */
	FAILURE_LINES_US = 10 * 1000 * 1000,
};

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

struct stream *stream_free(struct delivery *d, struct stream *s)
{
	if (!s)
		return NULL;
	requests_abandon(d, s);
	queue_close(&s->queue);
	wipe(s->url);
	free(s->name);
	free(s);
	return NULL;
}

static unsigned max_per_stream(const struct conf *conf)
{
	size_t share = CONNECTIONS_MAX / (conf->n_streams ? conf->n_streams : 1);
	return conf->delivery.max_requests < share ? conf->delivery.max_requests : (unsigned)share;
}

static struct stream *stream_new(struct delivery *d, uint32_t sid, unsigned max_requests)
{
	struct stream *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->sid = sid;
	destination_log_init(&s->log);
	s->failures_log = (struct log_limit){.interval_us = FAILURE_LINES_US, .burst = FAILURE_LINES};
	LIST_INIT(&s->requests);
	destination_init(&s->destination, max_requests);
	queue_open(&s->queue, d->queues, sid);
	d->by_sid[sid] = d->streams[d->n_streams++] = s;
	return s;
}

/* A new secret, endpoint, proxy or CA file makes a new destination: what was learnt of the old one says nothing about
 * it. */
static void renew_destination(struct stream *s, const char *name, unsigned max)
{
	if (s->destination.state != DESTINATION_UP)
		log_info("destination %s: changed by a reload, tried again at once", name);
	destination_renew(&s->destination, max);
	queue_forget_past(&s->queue);
	s->last_error[0] = '\0';
	s->down_since_wall_us = 0;
	s->log.remind_at_us = INT64_MAX;
}

static void stream_set(struct stream *s, const struct conf_stream *conf, char *take_name, char *take_url,
                       unsigned max, bool new_way)
{
	if (s->url && (new_way || strcmp(s->url, take_url) != 0))
		renew_destination(s, take_name, max);
	window_set_max(&s->destination.window, max);
	wipe(s->url);
	free(s->name);
	s->name = take_name;
	s->url = take_url;
	s->park_ambiguous = conf->ambiguous == AMBIGUOUS_PARK;
	s->conf_paused = conf->paused;
	s->removed = false;
	queue_restart(&s->queue);
}

static int stream_apply(struct delivery *d, const struct conf_stream *conf, uint32_t sid, bool new_way)
{
	unsigned max = d->max_per_stream;
	struct stream *s = d->by_sid[sid];
	char *name = strdup(conf->name), *url = conf_endpoint_url(conf->endpoint, conf, true);
	if (name && url && !s)
		s = stream_new(d, sid, max);
	if (!name || !url || !s) {
		free(name);
		wipe(url);
		return -ENOMEM;
	}
	stream_set(s, conf, name, url, max, new_way);
	return 0;
}

static bool is_configured(uint32_t sid, const struct stream_rules *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].sid == sid)
			return true;
	return false;
}

static void remove_missing(struct delivery *d, const struct conf *conf, const struct stream_rules *rules)
{
	for (size_t i = 0; i < d->n_streams; i++) {
		struct stream *s = d->streams[i];
		if (is_configured(s->sid, rules, conf->n_streams))
			continue;
		s->removed = true;
		queue_stop(&s->queue);
	}
}

static void policy_apply(struct delivery *d, const struct conf *conf)
{
	unsigned max_batch = conf->delivery.max_batch;
	struct queue_config config = {
	        .max_batch = max_batch < LIMIT_EVENTS_PER_REQUEST ? max_batch : LIMIT_EVENTS_PER_REQUEST,
	        .linger_us = d->forwarder ? 0 : conf->delivery.linger_us,
	};
	queues_set_config(d->queues, &config);
	expiry_set_max_age(d->expiry, conf->delivery.max_age_us);
	d->backoff = (struct backoff){conf->delivery.retry_min_us, conf->delivery.retry_max_us};
	d->refuse_after_us = conf->delivery.refuse_after_us;
	d->max_per_stream = max_per_stream(conf);
	d->keep_delivered = conf->outbox.keep_delivered_us > 0;
}

static int http_apply(struct delivery *d, const struct conf *conf, struct err *err)
{
	size_t most = (size_t)max_per_stream(conf) * (conf->n_streams ? conf->n_streams : 1);
	struct http_client_config config = {
	        .max_requests = (unsigned)most,
	        .http2 = conf->delivery.http2,
	        .connect_timeout_us = conf->delivery.connect_timeout_us,
	        .timeout_us = conf->delivery.timeout_us,
	        .proxy = conf->delivery.proxy ? conf->delivery.proxy : "",
	        .ca_file = conf->delivery.ca_file ? conf->delivery.ca_file : "",
	        .user_agent = "ga4relay/" GA4RELAY_VERSION,
	};
	if (d->http)
		return http_client_set(d->http, &config, err);
	return http_client_new(&d->http, d->loop, &config, err);
}

int streams_apply(struct delivery *d, const struct conf *conf, const struct stream_rules *rules, struct err *err)
{
	if (conf->n_streams == 0 || conf->n_streams >= STORE_STREAMS_MAX)
		return err_set(err, -EINVAL, "streams: %zu configured, 1 to %d are possible", conf->n_streams,
		               STORE_STREAMS_MAX - 1);
	unsigned way = d->http ? http_client_way(d->http) : 0;
	int r = http_apply(d, conf, err);
	if (r < 0)
		return r;
	bool new_way = http_client_way(d->http) != way;
	policy_apply(d, conf);
	remove_missing(d, conf, rules);
	for (size_t i = 0; i < conf->n_streams; i++) {
		r = stream_apply(d, &conf->streams[i], rules[i].sid, new_way);
		if (r < 0)
			return err_set(err, r, "stream %s: no memory", conf->streams[i].name);
	}
	return 0;
}

static bool is_idle(const struct stream *s)
{
	const struct stream_queue *q = &s->queue;
	return s->in_flight == 0 && q->n_events == 0 && q->n_settling == 0 && !q->refilling;
}

void streams_reap_removed(struct delivery *d)
{
	for (size_t i = d->n_streams; i-- > 0;) {
		struct stream *s = d->streams[i];
		if (!s->removed)
			continue;
		queue_clear(&s->queue);
		if (!is_idle(s))
			continue;
		d->by_sid[s->sid] = NULL;
		d->streams[i] = d->streams[--d->n_streams];
		stream_free(d, s);
	}
}
