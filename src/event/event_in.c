/* event_in.c - a line to a submission, or the reason why not: parse, judge and canonicalise in one go
 *
 * The result's texts (envelope, bodies, client, dedup_key) are first put one behind the other into a scratch buffer;
 * then one block of the right size is asked for and filled. Nothing else is allocated for a good line once the
 * scratch memory has grown. */
#include "event/event_in.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/nearest.h"
#include "event/event_text.h"
#include "ga4/violation.h"
#include "json/json_read.h"
#include "json/json_text.h"

enum {
	MAX_WARNINGS = 256 * 1024, /* LIMIT_WARNINGS findings, all of it escaped */
	LARGE_ENVELOPE = 8 * 1024, /* more than GA4's limits let anybody mean */
	STREAMS_SUGGESTED = 32
};

struct event_in {
	struct json_in *json;
	struct rules rules;
	struct judge judge;
	struct finding refusal;
	struct event_text text;
	struct buf warnings;
	size_t last_warning_at;
	int warnings_error;
	bool lists_findings;
	struct finding listed[LIMIT_WARNINGS];
	size_t n_listed;
	struct judged_event events[LIMIT_EVENTS_PER_LINE];
};

struct event_in *event_in_new(void)
{
	struct event_in *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->json = json_in_new(LIMIT_DEPTH);
	if (!in->json)
		return event_in_free(in);
	rules_init(&in->rules);
	buf_init(&in->warnings, MAX_WARNINGS);
	event_text_init(&in->text);
	return in;
}

struct event_in *event_in_free(struct event_in *in)
{
	if (!in)
		return NULL;
	json_in_free(in->json);
	buf_free(&in->warnings);
	event_text_free(&in->text);
	free(in);
	return NULL;
}

/* ---- warnings, as they go into the reply ---- */

static int append_warning(struct buf *b, const struct finding *w)
{
	int r = buf_printf(b, "%s{\"code\":\"%s\",\"field\":", b->len ? "," : ",\"warnings\":[", code_name(w->code));

	if (r == 0)
		r = json_text_append_string(b, slice_of(w->field));
	if (r == 0)
		r = buf_append_slice(b, SLICE_LIT(",\"message\":"));
	if (r == 0)
		r = json_text_append_string(b, slice_of(w->message));
	return r < 0 ? r : buf_append_char(b, '}');
}

static void on_warning(void *arg, const struct finding *w)
{
	struct event_in *in = arg;

	if (in->lists_findings && in->n_listed < LIMIT_WARNINGS)
		in->listed[in->n_listed++] = *w;
	if (in->warnings_error < 0)
		return;
	in->last_warning_at = in->warnings.len;
	in->warnings_error = append_warning(&in->warnings, w);
}

/* Where all that may be listed are, omits the last of them for one more. Returns how many are omitted by then. */
static uint32_t make_room_for_warning(struct event_in *in)
{
	uint32_t surplus = in->judge.n_warnings < LIMIT_WARNINGS ? 0 : in->judge.n_warnings - LIMIT_WARNINGS + 1;

	if (surplus > 0 && in->warnings_error == 0)
		in->warnings.len = in->last_warning_at;
	if (surplus > 0 && in->n_listed == LIMIT_WARNINGS)
		in->n_listed--;
	in->judge.n_warnings -= surplus;
	return surplus;
}

static int end_warnings(struct event_in *in)
{
	uint32_t n = in->judge.n_warnings;

	if (n == 0 || in->warnings_error < 0)
		return in->warnings_error;
	if (n <= LIMIT_WARNINGS)
		return buf_append_char(&in->warnings, ']');
	return buf_printf(&in->warnings, "],\"warnings_omitted\":%u", n - LIMIT_WARNINGS);
}

/* ---- the stream ---- */

static const char *nearest_stream(const struct line_context *ctx, struct slice name, char room[][64])
{
	const char *names[STREAMS_SUGGESTED];
	size_t n = 0;

	for (size_t i = 0; i < ctx->n_streams && n < STREAMS_SUGGESTED; i++) {
		if (ctx->streams[i].name.n >= sizeof(room[0]))
			continue;
		snprintf(room[n], sizeof(room[0]), "%.*s", SLICE_ARG(ctx->streams[i].name));
		names[n] = room[n];
		n++;
	}
	return nearest_name(name, names, n);
}

static bool refuse_stream(struct event_in *in, const struct line_context *ctx, struct slice name)
{
	char room[STREAMS_SUGGESTED][64], shown[QUOTED_MAX];
	const char *nearest = nearest_stream(ctx, name, room);

	in->refusal.code = CODE_STREAM_UNKNOWN;
	snprintf(in->refusal.field, VERDICT_FIELD_MAX, "stream");
	snprintf(in->refusal.message, VERDICT_MESSAGE_MAX, "no stream is called %s%s%s%s", quoted(shown, name),
	         nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
	return false;
}

/* Before anything is judged: the stream says by which rules. */
static bool find_stream(struct event_in *in, const struct line_context *ctx, size_t *ret)
{
	const struct json_node *node = in->judge.root[ROOT_STREAM];
	struct slice name;

	if (ctx->forced_stream >= 0 || !node) {
		*ret = ctx->forced_stream >= 0 ? (size_t)ctx->forced_stream : ctx->default_stream;
		return true;
	}
	if (node->type != JSON_STRING)
		return finding(&in->judge, TIER_D, CODE_VALUE_INVALID, AT(node), "stream must be a string");
	name = json_value(in->judge.doc, node);
	for (size_t i = 0; i < ctx->n_streams; i++) {
		if (slice_eq(ctx->streams[i].name, name)) {
			*ret = i;
			return true;
		}
	}
	return refuse_stream(in, ctx, name);
}

/* ---- judging ---- */

static void begin(struct event_in *in, const struct json_doc *doc, const struct line_context *ctx, int64_t wall_us)
{
	struct judge *j = &in->judge;

	j->doc = doc;
	j->rules = &in->rules;
	j->limits_360 = ctx->limits_360;
	j->from_door = ctx->forced_stream >= 0;
	j->wall_us = wall_us;
	j->max_age_us = ctx->max_age_us;
	j->events = in->events;
	j->refusal = &in->refusal;
	j->warn = on_warning;
	j->warn_arg = in;
	j->bad_number = doc->n;
	j->mode = VALIDATION_STANDARD;
	judge_scan(j);
}

static bool all_surely_fit(const struct event_text *text)
{
	for (uint32_t i = 0; i < text->n_events; i++)
		if (!event_text_surely_fits(text, i))
			return false;
	return true;
}

/* Of two members, the one that takes more of a request. */
static const struct json_node *larger(const struct json_node *a, const struct json_node *b)
{
	return !a || (b && b->raw_len > a->raw_len) ? b : a;
}

static const struct json_node *largest_child(const struct judge *j, const struct json_node *parent,
                                             const struct json_node *except)
{
	const struct json_node *largest = NULL;

	if (parent->type != JSON_OBJECT && parent->type != JSON_ARRAY)
		return NULL;
	for (const struct json_node *m = json_first(j->doc, parent); m; m = json_next(j->doc, parent, m))
		if (m != except)
			largest = larger(largest, m);
	return largest;
}

/* Finds the part to shorten so that a request becomes smaller: a member of the event or beside it or, where most of
 * it is in a part of that member, the part. */
static const struct json_node *largest_part(const struct judge *j, const struct json_node *event)
{
	const struct json_node *root = &j->doc->nodes[0];
	const struct json_node *at = larger(largest_child(j, event, NULL),
	                                    event == root ? NULL : largest_child(j, root, j->root[ROOT_EVENTS]));

	for (const struct json_node *part = at; part; part = largest_child(j, at, NULL)) {
		if (part->raw_len < at->raw_len / 2)
			break;
		at = part;
		if (part->type != JSON_OBJECT && part->type != JSON_ARRAY)
			break;
	}
	return at ? at : event;
}

static bool refuse_size(struct judge *j, const struct json_node *event, size_t size)
{
	const struct json_node *part = largest_part(j, event);
	char path[VERDICT_FIELD_MAX];

	write_place(path, j, AT(part));
	return finding(
	        j, TIER_D, CODE_VALUE_OUT_OF_BOUNDS, AT_END(event),
	        "a request with this event alone has %zu bytes; GA4 takes less than %d. The largest part of it "
	        "is %s, with %u bytes",
	        size, LIMIT_REQUEST_BYTES, path, part->raw_len);
}

/* A request with one event alone must be smaller than GA4's limit, measured by what will write it. */
static bool each_fits_request(struct event_in *in, const struct envelope_size *envelope)
{
	struct judge *j = &in->judge;

	for (uint32_t i = 0; i < in->text.n_events; i++) {
		const struct json_node *node = j->n_events ? j->events[i].node : &j->doc->nodes[0];
		size_t size = event_text_request_size(&in->text, envelope, i);

		if (size >= LIMIT_REQUEST_BYTES)
			return refuse_size(j, node, size);
	}
	return true;
}

/* Every request repeats the envelope: a payload of many requests must not be mostly that. */
static bool is_worth_repeating(struct event_in *in, const struct envelope_size *envelope)
{
	size_t events, repeated;
	uint32_t requests, omitted;
	bool goes_on;

	if (in->text.envelope_len < LARGE_ENVELOPE || in->judge.mode == VALIDATION_OFF)
		return true;
	requests = event_text_requests(&in->text, envelope, &events);
	repeated = (size_t)requests * in->text.envelope_len;
	if (requests == 1 || repeated <= events)
		return true;
	/* It concerns all of the line: what its events lack must not crowd it out. */
	omitted = make_room_for_warning(in);
	goes_on = finding(
	        &in->judge, TIER_W, CODE_VALUE_OUT_OF_BOUNDS,
	        AT(largest_child(&in->judge, &in->judge.doc->nodes[0], in->judge.root[ROOT_EVENTS])),
	        "each of this payload's %u requests repeats the %u bytes that stand beside its events: %zu bytes for "
	        "%zu of events; send less beside them",
	        requests, in->text.envelope_len, repeated, events);
	in->judge.n_warnings += omitted;
	return goes_on;
}

static bool judge_requests(struct event_in *in)
{
	struct envelope_size envelope;

	if (in->text.envelope_len < LARGE_ENVELOPE && all_surely_fit(&in->text))
		return true;
	envelope = event_text_measure(&in->text);
	return each_fits_request(in, &envelope) && is_worth_repeating(in, &envelope);
}

static void refuse_json(struct event_in *in, const struct err *err)
{
	in->refusal.code = CODE_JSON_INVALID;
	in->refusal.field[0] = '\0';
	snprintf(in->refusal.message, VERDICT_MESSAGE_MAX, "%.*s", VERDICT_MESSAGE_MAX - 1, err->text);
}

static int tell_refusal(struct event_in *in, size_t stream, struct line_result *ret)
{
	ret->sub = NULL;
	ret->stream = stream;
	ret->refusal = in->refusal;
	ret->warnings_json = (struct slice){NULL, 0};
	ret->warnings = in->listed;
	ret->n_warnings = in->n_listed;
	memset(ret->warning_counts, 0, sizeof(ret->warning_counts));
	return 0;
}

static int accept(struct event_in *in, size_t stream, const struct stream_rules *rules, event_in_alloc_fn *alloc,
                  void *alloc_arg, struct line_result *ret)
{
	void *block = alloc(alloc_arg, event_text_block_size(&in->text));

	if (!block)
		return -ENOMEM;
	ret->sub = event_text_fill(&in->text, block, rules->sid, in->judge.wall_us);
	ret->stream = stream;
	ret->refusal.code = CODE_NONE;
	ret->warnings_json = buf_slice(&in->warnings);
	ret->warnings = in->listed;
	ret->n_warnings = in->n_listed;
	memcpy(ret->warning_counts, in->judge.warning_counts, sizeof(ret->warning_counts));
	return 0;
}

/* Strict refuses at the first finding: whoever asks for all of them is told those of standard. */
static enum validation_mode mode_for(const struct line_context *ctx, enum validation_mode mode)
{
	if (ctx->delivery_only)
		return VALIDATION_OFF;
	return ctx->lists_findings && mode == VALIDATION_STRICT ? VALIDATION_STANDARD : mode;
}

static int judge_and_accept(struct event_in *in, const struct line_context *ctx, event_in_alloc_fn *alloc,
                            void *alloc_arg, struct line_result *ret)
{
	const struct stream_rules *rules;
	size_t stream = SIZE_MAX;
	int r;

	if (!find_stream(in, ctx, &stream))
		return tell_refusal(in, SIZE_MAX, ret);
	rules = &ctx->streams[stream];
	in->judge.type = rules->type;
	in->judge.mode = mode_for(ctx, rules->mode);
	if (!judge_line(&in->judge))
		return tell_refusal(in, stream, ret);
	r = event_text_build(&in->text, &in->judge);
	if (r < 0)
		return r;
	if (!judge_requests(in))
		return tell_refusal(in, stream, ret);
	r = end_warnings(in);
	return r < 0 ? r : accept(in, stream, rules, alloc, alloc_arg, ret);
}

int event_in_read(struct event_in *in, struct slice line, const struct line_context *ctx, int64_t wall_us,
                  event_in_alloc_fn *alloc, void *alloc_arg, struct line_result *ret)
{
	const struct json_doc *doc;
	struct err err;
	int r = json_in_read(in->json, line, &doc, &err);

	buf_clear(&in->warnings);
	in->warnings_error = 0;
	in->lists_findings = ctx->lists_findings;
	in->n_listed = 0;
	event_text_clear(&in->text);
	if (r == -EBADMSG) {
		refuse_json(in, &err);
		return tell_refusal(in, SIZE_MAX, ret);
	}
	if (r < 0)
		return r;
	begin(in, doc, ctx, wall_us);
	r = judge_and_accept(in, ctx, alloc, alloc_arg, ret);
	return r < 0 ? -ENOMEM : 0;
}
