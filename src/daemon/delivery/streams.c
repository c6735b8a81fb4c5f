/* streams.c - from the configured streams to outlets, at start and at every reload */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/delivery/private.h"

enum {
	CONNECTIONS_MAX = 4096, /* of all streams together */
	FAILURE_LINES = 20,     /* of one stream in … */
	FAILURE_LINES_US = 10 * 1000 * 1000,
};

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

struct outlet *outlet_free(struct delivery *d, struct outlet *o)
{
	if (!o)
		return NULL;
	outlet_abandon(&d->dispatch, o);
	scheduler_lane_free(o->lane);
	wipe(o->url);
	free(o->name);
	free(o);
	return NULL;
}

static unsigned max_per_stream(const struct conf *conf)
{
	size_t share = CONNECTIONS_MAX / (conf->n_streams ? conf->n_streams : 1);
	return conf->delivery.max_requests < share ? conf->delivery.max_requests : (unsigned)share;
}

static struct outlet *outlet_new(struct delivery *d, uint32_t sid, unsigned max_requests)
{
	struct outlet *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->sid = sid;
	o->failures_log = (struct log_limit){.interval_us = FAILURE_LINES_US, .burst = FAILURE_LINES};
	LIST_INIT(&o->requests);
	destination_init(&o->destination, max_requests);
	o->lane = scheduler_lane_new(&d->scheduler, sid, true);
	if (!o->lane) {
		free(o);
		return NULL;
	}
	return o;
}

/* A new secret or endpoint is a new destination: what was learnt of the old one says nothing about it. */
static void outlet_set(struct outlet *o, const struct conf_stream *s, char *take_name, char *take_url, unsigned max)
{
	if (o->url && strcmp(o->url, take_url) != 0) {
		if (o->destination.state != DESTINATION_UP)
			log_info("destination %s: changed by a reload, tried again at once", take_name);
		destination_renew(&o->destination, max);
		lane_forget_past(o->lane);
		o->last_error[0] = '\0';
		o->down_since_wall_us = 0;
		o->wrong_logged = false;
	}
	window_set_max(&o->destination.window, max);
	wipe(o->url);
	free(o->name);
	o->name = take_name;
	o->url = take_url;
	o->park_ambiguous = s->ambiguous == AMBIGUOUS_PARK;
	o->conf_paused = s->paused;
	o->removed = false;
	o->lane->removed = false;
}

static int stream_apply(struct delivery *d, const struct conf_stream *s, uint32_t sid, unsigned max)
{
	struct outlet *o = d->by_sid[sid];
	char *name = strdup(s->name), *url = dispatch_url(s);
	if (name && url && !o) {
		o = outlet_new(d, sid, max);
		if (o) {
			d->by_sid[sid] = o;
			d->outlets[d->n_outlets++] = o;
		}
	}
	if (!name || !url || !o) {
		free(name);
		wipe(url);
		return -ENOMEM;
	}
	if (o->removed)
		lane_rewind(o->lane, 1);
	outlet_set(o, s, name, url, max);
	return 0;
}

static void remove_missing(struct delivery *d, const struct streams *streams)
{
	for (size_t i = 0; i < d->n_outlets; i++) {
		struct outlet *o = d->outlets[i];
		if (streams_find_sid(streams, o->sid) != SIZE_MAX)
			continue;
		o->removed = true;
		o->lane->removed = true;
		lane_clear(o->lane);
	}
}

static void policy_apply(struct delivery *d, const struct conf *conf)
{
	d->scheduler.config = (struct scheduler_config){
	        .max_batch = conf->delivery.max_batch < SCHEDULER_BATCH_MAX ? conf->delivery.max_batch
	                                                                    : SCHEDULER_BATCH_MAX,
	        .linger_us = conf->delivery.linger_us,
	};
	d->dispatch.backoff = (struct backoff){conf->delivery.retry_min_us, conf->delivery.retry_max_us};
	d->dispatch.max_per_stream = max_per_stream(conf);
	d->dispatch.keep_delivered = conf->outbox.keep_delivered_us > 0;
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
	int r = http_client_new(&d->http, d->loop, &config, err);
	d->dispatch.http = d->http;
	return r;
}

int streams_apply(struct delivery *d, const struct streams *streams, struct err *err)
{
	const struct conf *conf = streams->conf;
	if (conf->n_streams == 0 || conf->n_streams >= STREAMS_MAX)
		return err_set(err, -EINVAL, "streams: %zu configured, 1 to %d are possible", conf->n_streams,
		               STREAMS_MAX - 1);
	int r = http_apply(d, conf, err);
	if (r < 0)
		return r;
	policy_apply(d, conf);
	remove_missing(d, streams);
	for (size_t i = 0; i < conf->n_streams; i++) {
		r = stream_apply(d, &conf->streams[i], streams->rules[i].sid, max_per_stream(conf));
		if (r < 0)
			return err_set(err, r, "stream %s: no memory", conf->streams[i].name);
	}
	return 0;
}

void streams_reap_removed(struct delivery *d)
{
	for (size_t i = 0; i < d->n_outlets;) {
		struct outlet *o = d->outlets[i];
		if (!o->removed) {
			i++;
			continue;
		}
		lane_clear(o->lane);
		if (o->in_flight > 0 || o->lane->n_events > 0 || o->lane->n_settling > 0) {
			i++;
			continue;
		}
		d->by_sid[o->sid] = NULL;
		d->outlets[i] = d->outlets[--d->n_outlets];
		outlet_free(d, o);
	}
}
