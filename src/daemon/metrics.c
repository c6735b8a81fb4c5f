/* metrics.c - the metrics listed in ga4relay-ctl(8) as Prometheus text, for `ga4relay-ctl metrics` and GET
 * /metrics */
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "control/control.h"
#include "metrics/metrics_text.h"

/* The sources of the figures. Too large for the stack. */
struct figures {
	struct writer_stats writer;
	struct store_events events;
	struct delivery_status delivery;
	struct intake_stats intake;
	const struct control_context *context;
};

static void events(struct metrics_text *m, const struct figures *f)
{
	const struct streams *streams = f->context->streams;
	const struct counters *counters = f->context->counters;

	metric_head(m, "events_accepted_total", "counter", "Events stored durably and acknowledged.");
	for (size_t i = 0; i < streams->conf->n_streams; i++)
		metric_u64(m, "stream", streams->conf->streams[i].name,
		           counters->by_sid[streams->rules[i].sid].accepted);
	metric_head(m, "events_rejected_total", "counter", "Lines refused, by code.");
	for (int code = CODE_NONE + 1; code < CODE_COUNT; code++)
		metric_u64(m, "code", code_name((enum code)code), counters->rejected[code]);
	metric_head(m, "events_duplicate_total", "counter", "Lines whose dedup_key was known already.");
	metric_u64(m, NULL, NULL, counters->duplicates);
	metric_head(m, "events_delivered_total", "counter", "Events that the endpoint answered with 2xx.");
	for (size_t i = 0; i < streams->conf->n_streams; i++)
		metric_u64(m, "stream", streams->conf->streams[i].name,
		           counters->by_sid[streams->rules[i].sid].delivered);
	metric_head(m, "events_dead_total", "counter", "Events that became dead letters, by reason.");
	for (int reason = DEAD_NONE + 1; reason < DEAD_COUNT; reason++)
		metric_u64(m, "reason", dead_reason_name((enum dead_reason)reason), counters->dead[reason]);
	metric_head(m, "stream_events_dead_total", "counter",
	            "Events that became dead letters, by stream and reason.");
	for (size_t i = 0; i < streams->conf->n_streams; i++)
		for (int reason = DEAD_NONE + 1; reason < DEAD_COUNT; reason++)
			metric_u64_2(m, "stream", streams->conf->streams[i].name, "reason",
			             dead_reason_name((enum dead_reason)reason),
			             counters->by_sid[streams->rules[i].sid].dead[reason]);
	metric_head(m, "last_delivered_timestamp_seconds", "gauge",
	            "When the stream's last delivery was; absent until the first one since the start.");
	for (size_t i = 0; i < streams->conf->n_streams; i++) {
		int64_t last_us = counters->by_sid[streams->rules[i].sid].last_delivered_us;

		if (last_us > 0)
			metric_time(m, "stream", streams->conf->streams[i].name, last_us);
	}
}

static void requests(struct metrics_text *m, const struct figures *f)
{
	const struct streams *streams = f->context->streams;
	const struct counters *counters = f->context->counters;

	metric_head(m, "requests_total", "counter", "Requests to the endpoints, by what became of them.");
	for (size_t i = 0; i < streams->conf->n_streams; i++) {
		const struct stream_counters *of = &counters->by_sid[streams->rules[i].sid];

		for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
			metric_u64_2(m, "stream", streams->conf->streams[i].name, "outcome",
			             outcome_name((enum outcome)outcome), of->requests[outcome]);
	}
	metric_head(m, "request_duration_seconds", "histogram", "How long a request took, connecting included.");
	metric_histogram(m, &counters->request_seconds);
	metric_head(m, "batch_events", "histogram", "Events a request carried.");
	metric_histogram(m, &counters->batch_events);
}

/* The writer's histograms have 16 buckets whose bounds are powers of two from `first` on; the last bucket is
 * unbounded. */
static void powers(struct metrics_text *m, const uint64_t buckets[16], double first, double sum)
{
	double bounds[HISTOGRAM_MAX - 1];
	struct histogram h;

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		bounds[i] = ldexp(first, (int)i);
	histogram_init(&h, bounds, ARRAY_LEN(bounds));
	for (size_t i = 0; i < HISTOGRAM_MAX; i++) {
		h.counts[i] = buckets[i];
		h.total += buckets[i];
	}
	h.sum = sum;
	metric_histogram(m, &h);
}

static void commits(struct metrics_text *m, const struct figures *f)
{
	metric_head(m, "commit_duration_seconds", "histogram", "How long a group commit took, its sync included.");
	powers(m, f->writer.commit_us_buckets, 100e-6, (double)f->writer.commit_us_sum / 1e6);
	metric_head(m, "commit_rows", "histogram", "Rows that shared a commit.");
	powers(m, f->writer.commit_rows_buckets, 1, (double)f->writer.rows);
}

/* Asked now: what the outbox knows of the disk is as of its last commit. */
static void disk(struct metrics_text *m, const struct conf *conf)
{
	char dir[STORE_PATH_MAX];
	struct statvfs fs;

	snprintf(dir, sizeof(dir), "%s", conf->outbox.path);
	dirname(dir);
	metric_head(m, "disk_free_bytes", "gauge", "Free on the file system of the outbox.");
	if (statvfs(dir, &fs) == 0)
		metric_u64(m, NULL, NULL, (uint64_t)fs.f_bavail * fs.f_frsize);
	metric_head(m, "disk_min_free_bytes", "gauge", "outbox.min_free_disk.");
	metric_u64(m, NULL, NULL, conf->outbox.min_free_disk);
}

static void outbox(struct metrics_text *m, const struct figures *f)
{
	const struct store_stats *store = &f->writer.store;
	uint64_t states[STATE_COUNT] = {0}, in_flight = f->delivery.in_flight_events;

	for (size_t sid = 0; sid < STORE_STREAMS_MAX; sid++)
		for (size_t s = 0; s < STATE_COUNT; s++)
			states[s] += f->events.n[sid][s];
	if (in_flight > states[STATE_QUEUED])
		in_flight = states[STATE_QUEUED];
	metric_head(m, "outbox_events", "gauge", "Events in the outbox, by state.");
	metric_u64(m, "state", "queued", states[STATE_QUEUED] - in_flight);
	metric_u64(m, "state", "inflight", in_flight);
	for (enum event_state s = STATE_HELD; s < STATE_COUNT; s++)
		metric_u64(m, "state", event_state_name(s), states[s]);
	metric_u64(m, "state", "rejected", store->rejected);
	metric_head(m, "outbox_bytes", "gauge", "Pages in use and WAL not yet copied.");
	metric_u64(m, NULL, NULL, store->bytes_used);
	metric_head(m, "outbox_limit_events", "gauge", "outbox.max_events; delivered ones do not count.");
	metric_u64(m, NULL, NULL, f->context->streams->conf->outbox.max_events);
	metric_head(m, "outbox_limit_bytes", "gauge", "outbox.max_bytes.");
	metric_u64(m, NULL, NULL, f->context->streams->conf->outbox.max_bytes);
	metric_head(m, "outbox_set_aside", "gauge",
	            "1: a damaged outbox was set aside and is still beside the present one.");
	metric_u64(m, NULL, NULL, f->context->set_aside && f->context->set_aside[0]);
	disk(m, f->context->streams->conf);
}

static double age_s(int64_t us)
{
	return us > 0 ? (double)us / (double)US_PER_S : 0;
}

static void waiting(struct metrics_text *m, const struct figures *f)
{
	const struct delivery_status *d = &f->delivery;

	metric_head(m, "oldest_event_age_seconds", "gauge",
	            "Age of the oldest event that waits, of all and by stream; 0 without any.");
	metric_double(m, NULL, NULL, age_s(d->expiry.oldest_age_us));
	for (size_t i = 0; i < d->n_streams; i++)
		metric_double(m, "stream", d->streams[i].name, age_s(d->streams[i].oldest_age_us));
	metric_head(m, "events_queued", "gauge", "Events that wait for delivery, those in flight included.");
	for (size_t i = 0; i < d->n_streams; i++)
		metric_u64(m, "stream", d->streams[i].name, f->events.n[d->streams[i].sid][STATE_QUEUED]);
}

static void destinations(struct metrics_text *m, const struct figures *f)
{
	const struct delivery_status *d = &f->delivery;

	metric_head(m, "destination_up", "gauge",
	            "1: the stream's endpoint takes requests, or the stream is paused; 0: backing off.");
	for (size_t i = 0; i < d->n_streams; i++)
		metric_u64(m, "stream", d->streams[i].name,
		           d->streams[i].state == DESTINATION_UP || d->streams[i].state == DESTINATION_PAUSED);
	metric_head(m, "destination_paused", "gauge", "1: the stream is paused; its events wait.");
	for (size_t i = 0; i < d->n_streams; i++)
		metric_u64(m, "stream", d->streams[i].name, d->streams[i].state == DESTINATION_PAUSED);
	metric_head(m, "requests_in_flight", "gauge", "Requests waiting for an answer.");
	for (size_t i = 0; i < d->n_streams; i++)
		metric_u64(m, "stream", d->streams[i].name, d->streams[i].in_flight);
}

static void edge(struct metrics_text *m, const struct fleet_state *s)
{
	metric_head(m, "fleet_events_forwarded_total", "counter", "Events that the fleet's database acknowledged.");
	metric_u64(m, NULL, NULL, s->forwarded);
	metric_head(m, "fleet_events_known_total", "counter", "Forwarded events that the database had already.");
	metric_u64(m, NULL, NULL, s->known);
	metric_head(m, "fleet_events_in_flight", "gauge", "Events in statements that wait for their COMMIT.");
	metric_u64(m, NULL, NULL, s->in_flight);
	metric_head(m, "fleet_copies_total", "counter", "Times that this outbox turned out to be a copy.");
	metric_u64(m, NULL, NULL, s->copies);
}

static void hub(struct metrics_text *m, const struct fleet_state *s)
{
	metric_head(m, "fleet_leases", "gauge", "Lanes that this hub has leased.");
	metric_u64(m, NULL, NULL, s->leases);
	metric_head(m, "fleet_events_held", "gauge", "Events of the fleet's database in this hub's memory.");
	metric_u64(m, NULL, NULL, s->held);
	metric_head(m, "fleet_outcomes_unrecorded", "gauge", "Outcomes that the database does not have yet.");
	metric_u64(m, NULL, NULL, s->unrecorded);
	metric_head(m, "fleet_events_taken_total", "counter", "Events that this hub took from the database.");
	metric_u64(m, NULL, NULL, s->taken);
	metric_head(m, "fleet_leases_lost_total", "counter", "Leases that ended before they could be renewed.");
	metric_u64(m, NULL, NULL, s->leases_lost);
	metric_head(m, "fleet_unknown_stream_events_total", "counter",
	            "Events seen of streams that are not configured here.");
	metric_u64(m, NULL, NULL, s->unknown_stream);
	metric_head(m, "fleet_clock_difference_seconds", "gauge", "This host's clock less the database's.");
	metric_double(m, NULL, NULL, (double)s->clock_difference_us / (double)US_PER_S);
	metric_head(m, "fleet_oldest_event_age_seconds", "gauge",
	            "Age of the oldest event that is queued in the database, as of the last minute; 0 without any.");
	metric_double(m, NULL, NULL, age_s(s->oldest_age_us));
}

static void fleet(struct metrics_text *m, const struct control_context *context)
{
	struct fleet_state s;

	context->fleet(context->arg, &s);
	if (!s.role)
		return;
	metric_head(m, "fleet_up", "gauge", "1: this edge forwards, or this hub takes.");
	metric_u64(m, "role", s.role, s.up);
	metric_head(m, "fleet_synchronous", "gauge", "1: connected, and the database waits for standbys.");
	metric_u64(m, NULL, NULL, s.synchronous);
	if (strcmp(s.role, "edge") == 0)
		edge(m, &s);
	else
		hub(m, &s);
}

static void process(struct metrics_text *m, const struct figures *f)
{
	const struct counters *counters = f->context->counters;

	metric_head(m, "connections", "gauge", "Connections to the event socket.");
	metric_u64(m, NULL, NULL, f->intake.connections);
	metric_head(m, "paused_reading", "gauge", "1: writers block because the storage cannot keep up.");
	metric_u64(m, NULL, NULL, f->intake.paused);
	metric_head(m, "replies_unsent_total", "counter", "Replies that nobody was there to read.");
	metric_u64(m, NULL, NULL, counters->replies_unsent);
	struct loop_stats turns;

	loop_get_stats(f->context->loop, &turns);
	metric_head(m, "slow_loops_total", "counter",
	            "Turns of the event loop of more than 10 ms in which it worked, or waited for something.");
	metric_u64(m, NULL, NULL, turns.slow);
	metric_head(
	        m, "starved_loops_total", "counter",
	        "Turns of more than 10 ms because the processor was given to others: too few, or a throttled host.");
	metric_u64(m, NULL, NULL, turns.starved);
	metric_head(m, "start_time_seconds", "gauge", "When the process started.");
	metric_time(m, NULL, NULL, f->context->started_wall_us);
	metric_head(m, "config_last_reload_successful", "gauge", "0: the last reload was refused.");
	metric_u64(m, NULL, NULL, !f->context->reload_refused);
	metric_head(m, "config_last_reload_timestamp_seconds", "gauge",
	            "When the configuration in force was read: the last reload that was not refused, or the start.");
	metric_time(m, NULL, NULL, f->context->configured_wall_us);
	metric_head(m, "build_info", "gauge", "Always 1; the version is the label.");
	metric_u64(m, "version", GA4RELAY_VERSION, 1);
}

int metrics_write(const struct control_context *context, const struct now *now, struct buf *out)
{
	struct figures *f = calloc(1, sizeof(*f));
	struct metrics_text m = {.out = out};

	if (!f)
		return -ENOMEM;
	f->context = context;
	writer_get_stats(context->writer, &f->writer);
	writer_get_events(context->writer, &f->events);
	delivery_get_status(context->delivery, now, &f->delivery);
	intake_get_stats(context->intake, &f->intake);
	events(&m, f);
	requests(&m, f);
	commits(&m, f);
	outbox(&m, f);
	waiting(&m, f);
	destinations(&m, f);
	fleet(&m, context);
	process(&m, f);
	free(f);
	return m.error;
}
