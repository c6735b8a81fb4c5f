/* status.c - the commands status and metrics */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/control_private.h"

/* The data for one status answer. About 30 KB, so it is allocated on the heap. */
struct picture {
	struct writer_stats writer;
	struct store_events events;
	struct delivery_status delivery;
	struct intake_stats intake;
	struct now now;
	const struct counters *counters;
	uint64_t states[STATE_COUNT];
};

static struct picture *picture_take(const struct control_context *context)
{
	struct picture *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	clock_now(&p->now);
	p->counters = context->counters;
	writer_get_stats(context->writer, &p->writer);
	writer_get_events(context->writer, &p->events);
	delivery_get_status(context->delivery, &p->now, &p->delivery);
	intake_get_stats(context->intake, &p->intake);
	for (size_t sid = 0; sid < STORE_STREAMS_MAX; sid++)
		for (size_t s = 0; s < STATE_COUNT; s++)
			p->states[s] += p->events.n[sid][s];
	return p;
}

/* Splits the rows that the outbox counts as queued into queued and in flight. Its counters are as of the last
 * commit. */
static void write_states(struct json_out *j, const uint64_t states[STATE_COUNT], uint64_t in_flight)
{
	uint64_t queued = states[STATE_QUEUED];

	if (in_flight > queued)
		in_flight = queued;
	json_out_kv_i64(j, "queued", (int64_t)(queued - in_flight));
	json_out_kv_i64(j, "inflight", (int64_t)in_flight);
	json_out_kv_i64(j, "held", (int64_t)states[STATE_HELD]);
	json_out_kv_i64(j, "dead", (int64_t)states[STATE_DEAD]);
	json_out_kv_i64(j, "delivered", (int64_t)states[STATE_DELIVERED]);
}

static void write_events(struct json_out *j, const struct picture *p)
{
	json_out_key(j, "events");
	json_out_object(j);
	write_states(j, p->states, p->delivery.in_flight_events);
	json_out_kv_i64(j, "rejected", (int64_t)p->writer.store.rejected);
	json_out_close(j);
}

static void write_seconds(struct json_out *j, const char *key, int64_t us, bool is_null)
{
	json_out_key(j, key);
	if (is_null)
		json_out_null(j);
	else
		json_out_double(j, (double)(us / US_PER_MS) / 1e3);
}

static void write_stream(struct json_out *j, const struct picture *p, const struct delivery_stream_status *s,
                         bool detail)
{
	const struct stream_counters *of = &p->counters->by_sid[s->sid];

	json_out_object(j);
	json_out_kv_str(j, "name", s->name);
	json_out_kv_str(j, "state", destination_state_name(s->state));
	json_out_kv_i64(j, "retry_in_ms", s->retry_in_us / US_PER_MS);
	json_out_kv_i64(j, "window", s->window);
	json_out_kv_i64(j, "in_flight", s->in_flight);
	json_out_kv_str(j, "last_error", s->last_error[0] ? s->last_error : NULL);
	json_out_kv_i64(j, "delivered", (int64_t)of->delivered);
	json_out_key(j, "last_delivered_micros");
	if (of->last_delivered_us > 0)
		json_out_i64(j, of->last_delivered_us);
	else
		json_out_null(j);
	if (detail && s->sid < STORE_STREAMS_MAX) {
		json_out_key(j, "events");
		json_out_object(j);
		write_states(j, p->events.n[s->sid], s->in_flight_events);
		json_out_close(j);
		json_out_kv_i64(j, "down_since_micros", s->down_since_wall_us);
	}
	json_out_close(j);
}

static bool is_configured(const struct picture *p, uint32_t sid)
{
	for (size_t i = 0; i < p->delivery.n_streams; i++)
		if (p->delivery.streams[i].sid == sid)
			return true;
	return false;
}

/* A stream that is no longer configured keeps its events, undelivered and visible. */
static void write_removed(struct json_out *j, const struct control *c, const struct picture *p, uint32_t sid,
                          bool detail)
{
	const uint64_t *states = p->events.n[sid];
	struct delivery_stream_status removed = {.sid = sid, .name = c->names[sid], .state = DESTINATION_PAUSED};

	if (is_configured(p, sid) || !c->names[sid][0])
		return;
	if (states[STATE_QUEUED] + states[STATE_HELD] + states[STATE_DEAD] == 0)
		return;
	strcpy(removed.last_error, "no longer in the configuration: its events wait");
	write_stream(j, p, &removed, detail);
}

static void write_streams(struct json_out *j, const struct control *c, const struct picture *p, bool detail)
{
	json_out_key(j, "streams");
	json_out_array(j);
	for (size_t i = 0; i < p->delivery.n_streams; i++)
		write_stream(j, p, &p->delivery.streams[i], detail);
	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX; sid++)
		write_removed(j, c, p, sid, detail);
	json_out_close(j);
}

static void write_dead(struct json_out *j, const struct picture *p)
{
	json_out_key(j, "dead");
	json_out_object(j);
	for (int reason = DEAD_NONE + 1; reason < DEAD_COUNT; reason++)
		json_out_kv_i64(j, dead_reason_name((enum dead_reason)reason), (int64_t)p->writer.store.dead[reason]);
	json_out_close(j);
}

static void write_delivered(struct json_out *j, const struct picture *p)
{
	uint64_t since_start = 0;

	for (size_t sid = 0; sid < ARRAY_LEN(p->counters->by_sid); sid++)
		since_start += p->counters->by_sid[sid].delivered;
	json_out_key(j, "delivered");
	json_out_object(j);
	json_out_kv_i64(j, "total", (int64_t)p->writer.store.delivered_total);
	json_out_kv_i64(j, "since_start", (int64_t)since_start);
	json_out_kv_i64(j, "last_hour", (int64_t)hour_sum(&p->counters->delivered_lately, p->now.mono_us));
	json_out_close(j);
}

static void write_rates(struct json_out *j, const struct counters *counters, int64_t mono_us)
{
	struct rate in, out;

	counters_rates(counters, mono_us, &in, &out);
	json_out_key(j, "rates");
	json_out_object(j);
	json_out_kv_double(j, "in_1m", in.per_s_1m);
	json_out_kv_double(j, "in_5m", in.per_s_5m);
	json_out_kv_double(j, "out_1m", out.per_s_1m);
	json_out_kv_double(j, "out_5m", out.per_s_5m);
	json_out_close(j);
}

/* Of a relay in a fleet: its connection, and its own part. */
static void write_fleet(struct json_out *j, const struct control_context *context)
{
	struct fleet_state s;

	context->fleet(context->arg, &s);
	if (!s.role)
		return;
	json_out_key(j, "fleet");
	json_out_object(j);
	json_out_kv_str(j, "role", s.role);
	json_out_kv_bool(j, "up", s.up);
	json_out_kv_str(j, "problem", s.problem[0] ? s.problem : NULL);
	json_out_kv_str(j, "server", s.server[0] ? s.server : NULL);
	json_out_kv_i64(j, "for_s", s.for_us / US_PER_S);
	json_out_kv_bool(j, "synchronous", s.synchronous);
	json_out_kv_i64(j, "server_version", s.version);
	if (strcmp(s.role, "edge") == 0) {
		json_out_kv_i64(j, "in_flight", (int64_t)s.in_flight);
		json_out_kv_i64(j, "forwarded", (int64_t)s.forwarded);
		json_out_kv_i64(j, "known", (int64_t)s.known);
		json_out_kv_i64(j, "copies", (int64_t)s.copies);
	} else {
		json_out_kv_i64(j, "leases", s.leases);
		json_out_kv_i64(j, "held", (int64_t)s.held);
		json_out_kv_i64(j, "unrecorded", (int64_t)s.unrecorded);
		json_out_kv_i64(j, "taken", (int64_t)s.taken);
		json_out_kv_i64(j, "leases_lost", (int64_t)s.leases_lost);
		json_out_kv_i64(j, "unknown_stream", (int64_t)s.unknown_stream);
		json_out_kv_double(j, "clock_difference_s", (double)(s.clock_difference_us / US_PER_MS) / 1e3);
		write_seconds(j, "oldest_age_s", s.oldest_age_us, s.oldest_age_us <= 0);
	}
	json_out_close(j);
}

/* The fields are a public format. Exceptional states add members of their own. */
static void write_status(struct json_out *j, const struct control *c, const struct picture *p, bool detail)
{
	const struct control_context *context = c->context;
	const struct store_stats *store = &p->writer.store;

	json_out_kv_str(j, "version", GA4RELAY_VERSION);
	json_out_kv_i64(j, "uptime_s", (p->now.mono_us - context->started_mono_us) / US_PER_S);
	write_events(j, p);
	write_seconds(j, "oldest_age_s", p->delivery.expiry.oldest_age_us,
	              p->delivery.expiry.oldest_time_us == INT64_MAX);
	write_seconds(j, "first_expiry_s", p->delivery.expiry.first_expiry_us,
	              p->delivery.expiry.first_expiry_us < 0);
	write_streams(j, c, p, detail);
	write_dead(j, p);
	write_rates(j, context->counters, p->now.mono_us);
	json_out_key(j, "outbox");
	json_out_object(j);
	json_out_kv_i64(j, "bytes", (int64_t)store->bytes_used);
	json_out_kv_i64(j, "limit", (int64_t)context->streams->conf->outbox.max_bytes);
	json_out_close(j);
	json_out_kv_i64(j, "connections", p->intake.connections);
	json_out_kv_i64(j, "maybe_twice", store->unclean_start ? (int64_t)store->maybe_twice : 0);
	write_delivered(j, p);
	write_fleet(j, context);
	if (store->full)
		json_out_kv_str(j, "full", store->full_why);
	if (context->set_aside && context->set_aside[0])
		json_out_kv_str(j, "set_aside", context->set_aside);
	if (p->delivery.expiry.suspended)
		json_out_kv_bool(j, "expiry_suspended", true);
}

static int write_line(const struct control *c, bool detail, struct buf *out)
{
	struct picture *p = picture_take(c->context);
	struct json_out *j = p ? json_out_begin(out) : NULL;
	int r;

	if (!j) {
		free(p);
		return -ENOMEM;
	}
	json_out_object(j);
	write_status(j, c, p, detail);
	free(p);
	r = json_out_end(j);
	return r == 0 ? buf_append_char(out, '\n') : r;
}

int control_write_status(const struct control *c, struct buf *out)
{
	return write_line(c, false, out);
}

uint64_t control_queued(const struct control *c)
{
	return writer_queued(c->context->writer, 0);
}

int control_status(struct session *s, const struct request *request, struct err *err)
{
	struct control *c = s->control;
	int r;

	buf_clear(&c->out);
	r = write_line(c, request_flag(request, "detail"), &c->out);
	if (r < 0)
		return err_set(err, r, "out of memory");
	if (control_say(s, &c->out) == 0)
		session_end_ok(s);
	return 0;
}

int control_metrics(struct session *s, const struct request *request UNUSED, struct err *err)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(CONTROL_ANSWER_MAX / 8);
	struct json_out *j;
	struct now now;
	int r;

	clock_now(&now);
	r = metrics_write(s->control->context, &now, &text);
	if (r < 0)
		return err_set(err, r, "metrics: out of memory");
	j = session_begin_end(s, true);
	if (j) {
		json_out_key(j, "text");
		json_out_slice(j, buf_slice(&text));
		session_finish_end(s, j);
	}
	return 0;
}
