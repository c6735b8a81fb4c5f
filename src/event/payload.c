/* payload.c - events of one envelope to the body of one request
 *
 * {<envelope>,"events":[{"name":…,"params":…,"timestamp_micros":N},…]}
 *
 * The envelope is stored canonical (sorted, no white space) and an event's body as it came; what is added here is
 * each event's time, and a time for user properties that have none. Everything goes through one sink twice, first
 * only to be counted: the size is exact by construction, and what writes needs to look for room no more. */
#include "event/payload.h"

#include <stdbool.h>

#include "json/json_text.h"

/* With to NULL it counts; else all that was counted has room there. */
struct sink {
	char *to;
	size_t n, n_dated; /* n_dated: properties that got a time */
};

static void put(struct sink *s, struct slice text)
{
	if (s->to && text.n)
		memcpy(s->to + s->n, text.p, text.n);
	s->n += text.n;
}

static unsigned digits_of(uint64_t v)
{
	/* microseconds between 2001 and 2286 */
	static const uint64_t least = UINT64_C(1000000000000000);
	unsigned n = 1;

	if (v >= least && v < 10 * least)
		return 16;
	while (v /= 10)
		n++;
	return n;
}

static void put_i64(struct sink *s, int64_t v)
{
	uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	unsigned n = digits_of(rest);

	if (v < 0)
		put(s, SLICE_LIT("-"));
	s->n += n;
	if (!s->to)
		return;
	/* eight at a time: divisions of 32 bits cost half of those of 64 */
	for (char *at = s->to + s->n; n > 0; rest /= 100000000) {
		uint32_t part = (uint32_t)(rest % 100000000);

		for (unsigned i = 0; i < 8 && n > 0; i++, n--, part /= 10)
			*--at = (char)('0' + part % 10);
	}
}

static void put_time(struct sink *s, struct slice before, int64_t time_us)
{
	put(s, before);
	put(s, SLICE_LIT("\"timestamp_micros\":"));
	put_i64(s, time_us);
}

static struct slice cut(const char *from, const char *to)
{
	return (struct slice){from, (size_t)(to - from)};
}

static bool has_own_time(struct slice property)
{
	struct json_text_member m;

	for (bool more = json_text_first(property, &m); more; more = json_text_next(&m))
		if (slice_eq(m.key, SLICE_LIT("\"timestamp_micros\"")))
			return true;
	return false;
}

/* Copies an envelope's text up to `end` from `at`, dating the properties within. */
static const char *put_properties(struct sink *s, const char *at, struct slice properties, int64_t props_us)
{
	struct json_text_member m;

	for (bool more = json_text_first(properties, &m); more; more = json_text_next(&m)) {
		if (m.value.n < 2 || m.value.p[0] != '{' || has_own_time(m.value))
			continue;
		put(s, cut(at, m.value.p + 1));
		put_time(s, SLICE_LIT(""), props_us);
		s->n_dated++;
		if (m.value.n > 2)
			put(s, SLICE_LIT(","));
		at = m.value.p + 1;
	}
	return at;
}

/* The envelope's members without its braces. */
static void put_envelope(struct sink *s, struct slice envelope, int64_t props_us)
{
	static const struct slice key = {"\"user_properties\"", sizeof("\"user_properties\"") - 1};
	const char *at, *end;
	struct json_text_member m;

	if (envelope.n < 2)
		return;
	at = envelope.p + 1;
	end = envelope.p + envelope.n - 1;
	/* The walk is for those few that have properties. */
	if (slice_has(envelope, key)) {
		for (bool more = json_text_first(envelope, &m); more; more = json_text_next(&m))
			if (slice_eq(m.key, key))
				at = put_properties(s, at, m.value, props_us);
	}
	put(s, cut(at, end));
}

static void put_event(struct sink *s, const struct event *event)
{
	put(s, (struct slice){event->body.p, event->body.n - 1});
	put_time(s, SLICE_LIT(","), event->time_us);
	put(s, SLICE_LIT("}"));
}

/* When the user properties were so: the payload's time, else the newest event's (as GA4 would date them). */
static int64_t properties_time(const struct payload_event *events, size_t n)
{
	int64_t newest = INT64_MIN;

	for (size_t i = 0; i < n; i++) {
		const struct event *e = &events[i].sub->events[events[i].index];
		int64_t t = e->props_us ? e->props_us : e->time_us;

		if (t > newest)
			newest = t;
	}
	return newest;
}

static void put_payload(struct sink *s, const struct payload_event *events, size_t n)
{
	const struct submission *sub = events[0].sub;
	const struct event *first = &sub->events[events[0].index];
	bool comma = sub->envelope.n > 2;

	put(s, SLICE_LIT("{"));
	put_envelope(s, sub->envelope, properties_time(events, n));
	if (first->body.n == 0) {
		/* Without events nothing else says when it was so. */
		put_time(s, comma ? SLICE_LIT(",") : SLICE_LIT(""), first->time_us);
	} else {
		put(s, comma ? SLICE_LIT(",\"events\":[") : SLICE_LIT("\"events\":["));
		for (size_t i = 0; i < n; i++) {
			if (i > 0)
				put(s, SLICE_LIT(","));
			put_event(s, &events[i].sub->events[events[i].index]);
		}
		put(s, SLICE_LIT("]"));
	}
	put(s, SLICE_LIT("}"));
}

size_t payload_size(const struct payload_event *events, size_t n)
{
	struct sink s = {0};

	put_payload(&s, events, n);
	return s.n;
}

static size_t time_length(int64_t time_us)
{
	struct sink s = {0};

	put_i64(&s, time_us);
	return s.n;
}

struct envelope_size payload_measure_envelope(struct slice envelope)
{
	struct sink s = {0};

	put_envelope(&s, envelope, 0); /* "0": one byte a time */
	return (struct envelope_size){.bytes = s.n - s.n_dated, .n_undated = s.n_dated, .empty = envelope.n <= 2};
}

size_t payload_lone_size(const struct envelope_size *envelope, const struct event *event)
{
	int64_t props_us = event->props_us ? event->props_us : event->time_us;
	struct sink s = {.n = sizeof("{}") - 1 + envelope->bytes};

	if (envelope->n_undated > 0)
		s.n += envelope->n_undated * time_length(props_us);
	s.n += !envelope->empty; /* a comma */
	if (event->body.n == 0) {
		put_time(&s, SLICE_LIT(""), event->time_us);
	} else {
		put(&s, SLICE_LIT("\"events\":[]"));
		put_event(&s, event);
	}
	return s.n;
}

size_t payload_event_size(const struct event *event)
{
	struct sink s = {0};

	if (event->body.n == 0) {
		put_time(&s, SLICE_LIT(","), event->time_us);
		return s.n;
	}
	put_event(&s, event);
	return s.n + 1; /* its comma */
}

size_t payload_envelope_size(const struct submission *sub)
{
	/* Properties are dated by the newest event of a request that is not known yet: times between 2001 and 2286
	 * all have 16 digits. */
	static const int64_t usual_us = INT64_C(1000000000000000);
	int64_t longest_us = usual_us;
	struct sink s = {0};

	for (uint32_t i = 0; i < sub->n_events; i++)
		if (sub->events[i].time_us > longest_us)
			longest_us = sub->events[i].time_us;
	put_envelope(&s, sub->envelope, longest_us);
	return s.n + sizeof("{,\"events\":[]}") - 1;
}

int payload_write(struct buf *out, const struct payload_event *events, size_t n)
{
	struct sink s = {0};
	int r = buf_reserve(out, payload_size(events, n));

	if (r < 0)
		return r;
	s.to = out->data + out->len;
	put_payload(&s, events, n);
	out->len += s.n;
	return 0;
}

/* An Event line can say all of it: nothing in the event but name and params, properties dated by the event, and (with
 * validation off) no request-level member that would be read as the event's. */
static bool fits_event_line(const struct submission *sub, const struct event *e)
{
	struct json_text_member m;

	if (e->props_us != 0 || slice_has(sub->envelope, SLICE_LIT("\"params\"")))
		return false;
	for (bool more = json_text_first(e->body, &m); more; more = json_text_next(&m))
		if (!slice_eq(m.key, SLICE_LIT("\"name\"")) && !slice_eq(m.key, SLICE_LIT("\"params\"")))
			return false;
	return true;
}

/* What follows the stream's name. */
static void put_line_rest(struct sink *s, const struct submission *sub, const struct event *e)
{
	if (sub->envelope.n > 2) {
		put(s, SLICE_LIT(","));
		put(s, cut(sub->envelope.p + 1, sub->envelope.p + sub->envelope.n - 1));
	}
	if (e->body.n == 0) {
		put_time(s, SLICE_LIT(","), e->props_us ? e->props_us : e->time_us);
	} else if (fits_event_line(sub, e)) {
		put(s, SLICE_LIT(","));
		put(s, cut(e->body.p + 1, e->body.p + e->body.n - 1));
		put_time(s, SLICE_LIT(","), e->time_us);
	} else {
		if (e->props_us)
			put_time(s, SLICE_LIT(","), e->props_us);
		put(s, SLICE_LIT(",\"events\":["));
		put_event(s, e);
		put(s, SLICE_LIT("]"));
	}
	put(s, SLICE_LIT("}"));
}

static int begin_line(struct buf *out, struct slice stream_name)
{
	int r = buf_append_slice(out, stream_name.n ? SLICE_LIT("{\"stream\":") : SLICE_LIT("{"));

	return r == 0 && stream_name.n ? json_text_append_string(out, stream_name) : r;
}

/* Without a stream's name nothing stands before the first comma. */
static void cut_comma(struct buf *out, size_t at)
{
	if (out->data[at] != ',')
		return;
	memmove(out->data + at, out->data + at + 1, out->len - at - 1);
	out->len--;
}

int payload_write_line(struct buf *out, const struct submission *sub, uint32_t index, struct slice stream_name)
{
	const struct event *e = &sub->events[index];
	struct sink s = {0};
	size_t before = out->len, rest;
	int r = begin_line(out, stream_name);

	put_line_rest(&s, sub, e);
	if (r == 0)
		r = buf_reserve(out, s.n);
	if (r < 0) {
		out->len = before;
		return r;
	}
	rest = out->len;
	s = (struct sink){.to = out->data + rest};
	put_line_rest(&s, sub, e);
	out->len += s.n;
	if (stream_name.n == 0)
		cut_comma(out, rest);
	return 0;
}
