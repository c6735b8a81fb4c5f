/* sandbox_print.c - prints what the collector received and what intake says of lines, readable */
#include "sandbox/sandbox_print.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"

/* Maximum bytes shown of one value, of all parameters in a line, of a name, of a sender's line, and of a message. */
enum { VALUE_MAX = 40, PARAMS_MAX = 120, NAME_MAX_SHOWN = 40, LINE_MAX_SHOWN = 160, TEXT_MAX = 1024 };
/* A shorter wait in the relay is not mentioned. */
#define WAITED_US (2 * US_PER_S)

struct style {
	const char *mark, *on, *off;
};

static const struct style styles[] = {
        [SANDBOX_RECEIVED] = {"✓", "\033[32m", "\033[0m"},
        [SANDBOX_REFUSED] = {"✗", "\033[31m", "\033[0m"},
        [SANDBOX_FAILED] = {"…", "\033[33m", "\033[0m"},
        [SANDBOX_WARNED] = {"!", "\033[33m", "\033[0m"},
};

static int put_mark(struct buf *out, enum sandbox_mark mark, bool colour)
{
	const struct style *s = &styles[mark];

	return buf_printf(out, "%s%s%s ", colour ? s->on : "", s->mark, colour ? s->off : "");
}

/* Appends s with control characters (C0, DEL, C1 in UTF-8), which could act on the terminal, replaced by '?'. Cut at
 * max bytes, not inside a character. */
static int put_clean(struct buf *out, struct slice s, size_t max)
{
	size_t n = s.n;
	int r = 0;

	if (n > max)
		for (n = max; n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80; n--)
			;
	for (size_t i = 0; i < n && r == 0; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)s.p[i + 1] < 0xa0;

		r = buf_append_char(out, c < 0x20 || c == 0x7f || c1 ? '?' : (char)c);
		i += c1;
	}
	return r == 0 && n < s.n ? buf_append(out, "…", sizeof("…") - 1) : r;
}

static struct slice text_of(const struct json_doc *d, const struct json_node *object, const char *name)
{
	const struct json_node *n = object && object->type == JSON_OBJECT ? json_member(d, object, name) : NULL;

	if (!n || (n->type != JSON_STRING && n->type != JSON_NUMBER))
		return SLICE_LIT("");
	return json_value(d, n);
}

static int put_value(struct buf *out, const struct json_doc *d, const struct json_node *n)
{
	switch ((enum json_type)n->type) {
	case JSON_STRING:
	case JSON_NUMBER:
		return put_clean(out, json_value(d, n), VALUE_MAX);
	case JSON_ARRAY:
		return buf_printf(out, "[%" PRIu32 "]", n->count);
	case JSON_NULL:
	case JSON_BOOL:
	case JSON_OBJECT:
		break;
	}
	return put_clean(out, json_raw(d, n), VALUE_MAX);
}

/* Appends " name=value". A monetary value is followed by its currency, whose own parameter is then left out. */
static int put_param(struct buf *out, const struct json_doc *d, const struct json_node *params,
                     const struct json_node *p)
{
	struct slice key = json_key(d, p), currency = text_of(d, params, "currency");
	int r;

	if (slice_eq(key, SLICE_LIT("currency")) && json_member(d, params, "value"))
		return 0;
	r = buf_append_char(out, ' ');
	if (r == 0)
		r = put_clean(out, key, NAME_MAX_SHOWN);
	if (r == 0)
		r = buf_append_char(out, '=');
	if (r == 0)
		r = put_value(out, d, p);
	if (r == 0 && slice_eq(key, SLICE_LIT("value")) && currency.n > 0) {
		r = buf_append_char(out, ' ');
		if (r == 0)
			r = put_clean(out, currency, 3);
	}
	return r;
}

static int put_params(struct buf *out, const struct json_doc *d, const struct json_node *params)
{
	size_t start = out->len;
	int r = 0;

	if (!params || params->type != JSON_OBJECT)
		return 0;
	if (params->count > 0)
		r = buf_append_char(out, ' ');
	for (const struct json_node *p = json_first(d, params); p && r == 0; p = json_next(d, params, p)) {
		if (out->len - start > PARAMS_MAX)
			return buf_append(out, " …", sizeof(" …") - 1);
		r = put_param(out, d, params, p);
	}
	return r;
}

static int put_age(struct buf *out, struct slice timestamp, int64_t wall_us)
{
	uint64_t t;

	if (parse_u64(timestamp, &t) < 0 || t > INT64_MAX || wall_us - (int64_t)t < WAITED_US)
		return 0;
	return buf_printf(out, "  (happened %" PRId64 " s ago)", (wall_us - (int64_t)t) / US_PER_S);
}

static int put_event(struct buf *out, const struct json_doc *d, const struct json_node *event, enum sandbox_mark mark,
                     int64_t wall_us, bool colour)
{
	const struct json_node *root = &d->nodes[0];
	struct slice client = text_of(d, root, "client_id"), name = SLICE_LIT("(no events)");
	int r = put_mark(out, mark, colour);

	if (client.n == 0)
		client = text_of(d, root, "app_instance_id");
	if (event)
		name = text_of(d, event, "name");
	if (r == 0)
		r = put_clean(out, name, NAME_MAX_SHOWN);
	if (r == 0)
		r = buf_append(out, "  client ", 9);
	if (r == 0)
		r = put_clean(out, client.n ? client : SLICE_LIT("(none)"), NAME_MAX_SHOWN);
	if (r == 0 && event && event->type == JSON_OBJECT) {
		r = put_params(out, d, json_member(d, event, "params"));
		if (r == 0)
			r = put_age(out, text_of(d, event, "timestamp_micros"), wall_us);
	}
	return r == 0 ? buf_append_char(out, '\n') : r;
}

int sandbox_print_events(struct buf *out, enum sandbox_mark mark, const struct json_doc *body, int64_t wall_us,
                         bool colour)
{
	const struct json_node *events = json_member(body, &body->nodes[0], "events");
	int r = 0;

	if (!events || events->type != JSON_ARRAY || events->count == 0)
		return put_event(out, body, NULL, mark, wall_us, colour);
	for (const struct json_node *e = json_first(body, events); e && r == 0; e = json_next(body, events, e))
		r = put_event(out, body, e, mark, wall_us, colour);
	return r;
}

int sandbox_print_text(struct buf *out, enum sandbox_mark mark, const char *text, bool colour)
{
	int r = put_mark(out, mark, colour);

	if (r == 0)
		r = put_clean(out, slice_of(text), TEXT_MAX);
	return r == 0 ? buf_append_char(out, '\n') : r;
}

/* Appends "field: message (CODE)" and a line feed. */
static int put_remark(struct buf *out, struct slice field, struct slice message, struct slice code)
{
	int r = put_clean(out, field, TEXT_MAX);

	if (r == 0 && field.n > 0)
		r = buf_append(out, ": ", 2);
	if (r == 0)
		r = put_clean(out, message, TEXT_MAX);
	if (r == 0)
		r = buf_append(out, " (", 2);
	if (r == 0)
		r = put_clean(out, code, NAME_MAX_SHOWN);
	return r == 0 ? buf_append(out, ")\n", 2) : r;
}

int sandbox_print_refusal(struct buf *out, struct slice line, const struct finding *refusal, bool colour)
{
	int r = put_mark(out, SANDBOX_REFUSED, colour);

	if (r == 0)
		r = buf_append(out, "refused: ", 9);
	if (r == 0)
		r = put_remark(out, slice_of(refusal->field), slice_of(refusal->message),
		               slice_of(code_name(refusal->code)));
	if (r == 0)
		r = buf_append(out, "    ", 4);
	if (r == 0)
		r = put_clean(out, line, LINE_MAX_SHOWN);
	return r == 0 ? buf_append_char(out, '\n') : r;
}

int sandbox_print_warnings(struct buf *out, struct slice line, const struct json_doc *warnings, bool colour)
{
	const struct json_node *list = json_member(warnings, &warnings->nodes[0], "warnings");
	int r = put_mark(out, SANDBOX_WARNED, colour);

	if (r == 0)
		r = buf_append(out, "with warnings: ", 15);
	if (r == 0)
		r = put_clean(out, line, LINE_MAX_SHOWN);
	if (r == 0)
		r = buf_append_char(out, '\n');
	for (const struct json_node *w = list ? json_first(warnings, list) : NULL; w && r == 0;
	     w = json_next(warnings, list, w)) {
		r = buf_append(out, "    ", 4);
		if (r == 0)
			r = put_remark(out, text_of(warnings, w, "field"), text_of(warnings, w, "message"),
			               text_of(warnings, w, "code"));
	}
	return r;
}
