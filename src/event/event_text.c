/* event_text.c - a judged line's texts: envelope, event bodies, client, dedup_key */
#include "event/event_text.h"

#include <string.h>

#include "json/json_text.h"

enum { KEEP_TEXT = 64 * 1024, MAX_TEXT = 1 << 30 /* offsets are 32 bits wide */ };

void event_text_init(struct event_text *t)
{
	buf_init(&t->bytes, MAX_TEXT);
}

void event_text_free(struct event_text *t)
{
	buf_free(&t->bytes);
	canonical_free(&t->canonical);
}

void event_text_clear(struct event_text *t)
{
	buf_clear(&t->bytes);
	buf_trim(&t->bytes, KEEP_TEXT);
	canonical_trim(&t->canonical);
}

/* ---- bodies ---- */

/* A value as written. A payload from the HTTP door may be spread over lines; what is stored must fit into one: a
 * line feed in valid JSON is white space. */
static int append_raw(struct buf *b, struct slice raw)
{
	size_t at = b->len;
	int r = buf_append_slice(b, raw);
	char *lf;

	while (r == 0 && (lf = memchr(b->data + at, '\n', b->len - at))) {
		*lf = ' ';
		at = (size_t)(lf - b->data);
	}
	return r;
}

static int append_name(struct event_text *t, const struct judge *j, const struct judged_event *e,
                       struct event_span *span)
{
	int r = buf_append_slice(&t->bytes, SLICE_LIT("{\"name\":"));

	if (r == 0)
		r = json_text_append_string(&t->bytes, json_value(j->doc, e->name));
	span->name = sizeof("{\"name\":\"") - 1;
	span->name_len = (uint32_t)t->bytes.len - span->body - span->name - 1;
	return r;
}

static int append_edited(struct buf *b, const struct json_doc *d, const struct json_node *node);

/* The members or elements that were not left out, without the brackets. */
static int append_present(struct buf *b, const struct json_doc *d, const struct json_node *node)
{
	int r = 0;

	for (const struct json_node *m = json_first(d, node); r == 0 && m; m = json_next(d, node, m)) {
		if (m != json_first(d, node))
			r = buf_append_char(b, ',');
		if (r == 0 && m->is_member)
			r = json_text_append_string(b, json_key(d, m));
		if (r == 0 && m->is_member)
			r = buf_append_char(b, ':');
		if (r == 0)
			r = append_edited(b, d, m);
	}
	return r;
}

/* A value of which the judge left out or replaced something; what is as written stays byte for byte. */
static int append_edited(struct buf *b, const struct json_doc *d, const struct json_node *node)
{
	bool object = node->type == JSON_OBJECT;
	int r;

	if (!node->edited)
		return append_raw(b, json_raw(d, node));
	if (node->type == JSON_STRING)
		return json_text_append_string(b, json_value(d, node));
	r = buf_append_char(b, object ? '{' : '[');
	if (r == 0)
		r = append_present(b, d, node);
	return r < 0 ? r : buf_append_char(b, object ? '}' : ']');
}

/* {"session_id":"…",<what was there> */
static int append_params_with_session(struct buf *b, const struct judge *j, const struct json_node *params)
{
	struct slice raw;
	int r = buf_append_slice(b, SLICE_LIT("{\"session_id\":\""));

	if (r == 0)
		r = buf_append_slice(b, j->session_id);
	if (r == 0)
		r = buf_append_slice(b, params && params->count > 0 ? SLICE_LIT("\",") : SLICE_LIT("\""));
	if (r < 0)
		return r;
	if (params && !params->edited) {
		raw = json_raw(j->doc, params);
		return append_raw(b, (struct slice){raw.p + 1, raw.n - 1});
	}
	r = params ? append_present(b, j->doc, params) : 0;
	return r < 0 ? r : buf_append_char(b, '}');
}

static int append_params(struct buf *b, const struct judge *j, const struct judged_event *e)
{
	int r;

	if (!e->params && !e->add_session)
		return 0;
	r = buf_append_slice(b, SLICE_LIT(",\"params\":"));
	if (r < 0)
		return r;
	if (e->add_session)
		return append_params_with_session(b, j, e->params);
	return append_edited(b, j->doc, e->params);
}

/* With validation off an event in events[] keeps members that GA4 does not know. */
static int append_others(struct buf *b, const struct judge *j, const struct judged_event *e)
{
	int r = 0;

	if (j->mode != VALIDATION_OFF || j->shape != SHAPE_PAYLOAD)
		return 0;
	for (const struct json_node *m = json_first(j->doc, e->node); r == 0 && m;
	     m = json_next(j->doc, e->node, m)) {
		if (m == e->name || m == e->params || m == e->timestamp)
			continue;
		r = buf_append_char(b, ',');
		if (r == 0)
			r = json_text_append_string(b, json_key(j->doc, m));
		if (r == 0)
			r = buf_append_char(b, ':');
		if (r == 0)
			r = append_raw(b, json_raw(j->doc, m));
	}
	return r;
}

static int append_event(struct event_text *t, const struct judge *j, const struct judged_event *e,
                        struct event_span *span)
{
	int r;

	span->body = (uint32_t)t->bytes.len;
	r = append_name(t, j, e, span);
	if (r == 0)
		r = append_params(&t->bytes, j, e);
	if (r == 0)
		r = append_others(&t->bytes, j, e);
	if (r == 0)
		r = buf_append_char(&t->bytes, '}');
	span->body_len = (uint32_t)t->bytes.len - span->body;
	return r;
}

/* ---- the whole ---- */

static int append_text(struct event_text *t, struct slice s, uint32_t *ret_at, uint32_t *ret_len)
{
	*ret_at = (uint32_t)t->bytes.len;
	*ret_len = (uint32_t)s.n;
	return buf_append_slice(&t->bytes, s);
}

int event_text_build(struct event_text *t, const struct judge *j)
{
	int r = canonical_envelope(&t->canonical, j, &t->bytes);

	t->judge = j;
	t->envelope_len = (uint32_t)t->bytes.len;
	t->n_events = j->n_events ? j->n_events : 1;
	if (j->n_events == 0)
		t->spans[0] = (struct event_span){0};
	for (uint32_t i = 0; r == 0 && i < j->n_events; i++)
		r = append_event(t, j, &j->events[i], &t->spans[i]);
	if (r == 0)
		r = append_text(t, j->client, &t->client, &t->client_len);
	return r < 0 ? r : append_text(t, j->dedup_key, &t->dedup, &t->dedup_len);
}

static struct event event_at(const struct event_text *t, uint32_t index, const char *bytes)
{
	const struct event_span *span = &t->spans[index];
	const struct judge *j = t->judge;
	struct event e = {.props_us = j->shape == SHAPE_PAYLOAD ? j->payload_us : 0};

	if (j->n_events == 0) {
		e.time_us = j->payload_us ? j->payload_us : j->wall_us;
		return e;
	}
	e.body = (struct slice){bytes + span->body, span->body_len};
	e.name = (struct slice){bytes + span->body + span->name, span->name_len};
	e.time_us = j->events[index].time_us;
	return e;
}

bool event_text_surely_fits(const struct event_text *t, uint32_t index)
{
	/* A user property of 15 bytes at least gets a time of 37 at most. */
	return (size_t)t->envelope_len * 4 + t->spans[index].body_len + 100 < LIMIT_REQUEST_BYTES;
}

struct envelope_size event_text_measure(const struct event_text *t)
{
	return payload_measure_envelope((struct slice){t->bytes.data, t->envelope_len});
}

size_t event_text_request_size(const struct event_text *t, const struct envelope_size *envelope, uint32_t index)
{
	struct event e = event_at(t, index, t->bytes.data);

	return payload_lone_size(envelope, &e);
}

uint32_t event_text_requests(const struct event_text *t, const struct envelope_size *envelope, size_t *ret_events)
{
	struct event first = event_at(t, 0, t->bytes.data);
	size_t head = payload_lone_size(envelope, &first) - payload_event_size(&first), bytes = 0, events = 0;
	uint32_t requests = 0, in_last = LIMIT_EVENTS_PER_REQUEST;

	for (uint32_t i = 0; i < t->n_events; i++) {
		struct event e = event_at(t, i, t->bytes.data);
		size_t size = payload_event_size(&e);

		if (in_last == LIMIT_EVENTS_PER_REQUEST || bytes + size >= LIMIT_REQUEST_BYTES) {
			requests++;
			in_last = 0;
			bytes = head;
		}
		in_last++;
		bytes += size;
		events += size;
	}
	*ret_events = events;
	return requests;
}

size_t event_text_block_size(const struct event_text *t)
{
	return sizeof(struct submission) + t->n_events * sizeof(struct event) + t->bytes.len;
}

struct submission *event_text_fill(const struct event_text *t, void *block, uint32_t sid, int64_t accepted_us)
{
	struct submission *sub = block;
	char *bytes = (char *)block + sizeof(*sub) + t->n_events * sizeof(struct event);

	memcpy(bytes, t->bytes.data, t->bytes.len);
	*sub = (struct submission){
	        .refs = 1,
	        .sid = sid,
	        .accepted_us = accepted_us,
	        .envelope = {bytes, t->envelope_len},
	        .client = {bytes + t->client, t->client_len},
	        .dedup_key = {bytes + t->dedup, t->dedup_len},
	        .n_events = t->n_events,
	};
	for (uint32_t i = 0; i < t->n_events; i++)
		sub->events[i] = event_at(t, i, bytes);
	return sub;
}
