/* journal_json.c - an entry of the journal as JSON, for the page and for GET /api/events (ga4relay(8), The live page)
 */
#include "http/page/journal_json.h"

#include <errno.h>

#include "ga4/hint.h"
#include "json/json_write.h"

const char *journal_verdict_name(enum journal_verdict v)
{
	static const char *const names[] = {[VERDICT_ACCEPTED] = "accepted",
	                                    [VERDICT_WARNED] = "warned",
	                                    [VERDICT_DUPLICATE] = "duplicate",
	                                    [VERDICT_REFUSED] = "refused"};

	return names[v];
}

const char *journal_state_name(enum journal_state s)
{
	static const char *const names[] = {
	        [JOURNAL_QUEUED] = "queued",       [JOURNAL_SENT] = "sent",         [JOURNAL_DELIVERED] = "delivered",
	        [JOURNAL_FORWARDED] = "forwarded", [JOURNAL_RETRYING] = "retrying", [JOURNAL_DEAD] = "dead",
	        [JOURNAL_HELD] = "held",           [JOURNAL_DROPPED] = "dropped",   [JOURNAL_NONE] = NULL};

	return names[s];
}

static void kv_slice(struct json_out *j, const char *key, struct slice s)
{
	json_out_key(j, key);
	if (s.n > 0)
		json_out_slice(j, s);
	else
		json_out_null(j);
}

static void kv_number(struct json_out *j, const char *key, int64_t v)
{
	json_out_key(j, key);
	if (v != 0)
		json_out_i64(j, v);
	else
		json_out_null(j);
}

static void write_steps(struct json_out *j, const struct journal_entry *e)
{
	json_out_key(j, "steps");
	json_out_array(j);
	for (unsigned i = 0; i < e->n_steps; i++) {
		json_out_object(j);
		json_out_kv_str(j, "state", journal_state_name(e->steps[i].state));
		kv_number(j, "status", e->steps[i].status);
		json_out_kv_i64(j, "micros", e->steps[i].at_us);
		json_out_close(j);
	}
	json_out_close(j);
}

/* It shows once it is there; one that is dead never is. */
static void write_realtime(struct json_out *j, const struct journal_entry *e)
{
	const char *why_not = e->not_realtime;

	if (e->verdict == VERDICT_DUPLICATE)
		why_not = "it is a duplicate: the first one is sent";
	else if (e->state == JOURNAL_DEAD)
		why_not = "it was not delivered";
	else if (e->state == JOURNAL_DROPPED)
		why_not = "an operator dropped it";
	json_out_key(j, "realtime");
	json_out_object(j);
	json_out_kv_bool(j, "shows", why_not == NULL);
	json_out_kv_str(j, "because", why_not);
	json_out_close(j);
}

static void write_changing(struct json_out *j, const struct journal_entry *e)
{
	json_out_kv_i64(j, "id", (int64_t)e->changed);
	kv_number(j, "event_id", (int64_t)e->id);
	json_out_kv_str(j, "state", journal_state_name(e->state));
	json_out_kv_str(j, "reason", e->reason != DEAD_NONE ? dead_reason_name(e->reason) : NULL);
	json_out_kv_i64(j, "attempts", e->attempts);
	kv_number(j, "last_status", e->last_status);
	kv_slice(j, "last_error", slice_of(e->last_error));
	json_out_kv_bool(j, "maybe_sent", e->maybe_sent);
	kv_number(j, "request_events", e->request_events);
	write_realtime(j, e);
	write_steps(j, e);
}

static void write_refusal(struct json_out *j, const struct journal_entry *e)
{
	json_out_key(j, "refusal");
	if (e->verdict != VERDICT_REFUSED) {
		json_out_null(j);
		return;
	}
	json_out_object(j);
	json_out_kv_str(j, "code", code_name(e->code));
	kv_slice(j, "field", e->field);
	kv_slice(j, "message", e->message);
	json_out_kv_bool(j, "retry", code_is_retryable(e->code));
	json_out_kv_str(j, "hint", hint_of(e->code));
	json_out_close(j);
}

static void write_constant(struct json_out *j, const struct journal_entry *e, const struct streams *streams)
{
	size_t stream = e->sid ? streams_find_sid(streams, e->sid) : SIZE_MAX;

	json_out_kv_i64(j, "made_id", (int64_t)e->made);
	json_out_kv_str(j, "verdict", journal_verdict_name(e->verdict));
	json_out_kv_str(j, "stream", stream == SIZE_MAX ? NULL : streams->conf->streams[stream].name);
	kv_slice(j, "client", e->client);
	kv_slice(j, "name", e->name);
	json_out_kv_i64(j, "received_micros", e->received_us);
	kv_number(j, "event_micros", e->event_us);
	kv_slice(j, "line", e->line);
	json_out_kv_i64(j, "line_bytes", e->line_bytes);
	kv_number(j, "line_first_event_id", (int64_t)e->line_id);
	json_out_kv_i64(j, "line_events", e->n_events);
	kv_slice(j, "body", e->body);
	json_out_key(j, "warnings");
	json_out_raw(j, e->warnings.n ? e->warnings : SLICE_LIT("[]"));
	write_refusal(j, e);
}

int journal_write(struct buf *out, const struct journal_entry *e, const struct streams *streams, bool is_update)
{
	struct json_out *j = json_out_begin(out);

	if (!j)
		return -ENOMEM;
	json_out_object(j);
	write_changing(j, e);
	if (is_update)
		json_out_kv_bool(j, "update", true);
	else
		write_constant(j, e, streams);
	return json_out_end(j);
}
