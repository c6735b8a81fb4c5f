/* row_json.c - an event as list, show, export and tap print it */
#include "event/row_json.h"

#include <errno.h>
#include <string.h>

#include "event/payload.h"
#include "json/json_write.h"

enum { LINE_TEXT_MAX = 4 << 20 };

static void kv_slice(struct json_out *j, const char *key, struct slice s)
{
	json_out_key(j, key);
	if (s.n)
		json_out_slice(j, s);
	else
		json_out_null(j);
}

static void kv_number(struct json_out *j, const char *key, int64_t v, bool is_null)
{
	json_out_key(j, key);
	if (is_null)
		json_out_null(j);
	else
		json_out_i64(j, v);
}

/* The public fields: their names and meaning are only ever added to (ga4relay-ctl(8)). */
static void write_public(struct json_out *j, const struct row_view *row)
{
	json_out_kv_i64(j, "id", (int64_t)row->id);
	json_out_kv_str(j, "state", row->state);
	json_out_kv_str(j, "reason", row->reason);
	kv_slice(j, "stream", row->stream);
	kv_slice(j, "client", row->client);
	kv_slice(j, "name", row->name);
	kv_number(j, "accepted_micros", row->accepted_us, row->delivered_us > 0);
	kv_number(j, "event_micros", row->event_us, row->event_us == 0);
	json_out_kv_i64(j, "attempts", row->attempts);
	kv_number(j, "last_status", row->last_status, row->last_status == 0);
	kv_slice(j, "last_error", row->last_error);
	kv_number(j, "next_attempt_ms", row->next_attempt_ms, row->next_attempt_ms < 0);
	json_out_kv_bool(j, "maybe_sent", row->maybe_sent);
	json_out_kv_i64(j, "bytes", row->bytes);
	if (row->outbox.n) {
		kv_slice(j, "outbox", row->outbox);
		json_out_kv_i64(j, "outbox_id", (int64_t)row->outbox_id);
	}
}

/* The line is made by the code that makes it from a submission: a row becomes one for a moment. */
static int make_line(struct buf *text, const struct row_view *row)
{
	_Alignas(struct submission) char room[sizeof(struct submission) + sizeof(struct event)];
	struct submission *sub = (struct submission *)room;

	memset(room, 0, sizeof(room));
	sub->accepted_us = row->accepted_us;
	sub->envelope = row->envelope;
	sub->client = row->client;
	sub->first_id = row->id;
	sub->n_events = 1;
	sub->events[0] = (struct event){
	        .body = row->body, .name = row->name, .time_us = row->event_us, .props_us = row->props_us};
	return payload_write_line(text, sub, 0, row->stream);
}

static void write_shown(struct json_out *j, const struct row_view *row)
{
	json_out_key(j, "tries");
	json_out_raw(j, row->tries.n ? row->tries : SLICE_LIT("[]"));
	if (row->answer.n)
		kv_slice(j, "answer", row->answer);
}

static void write_delivered(struct json_out *j, const struct row_view *row)
{
	json_out_kv_i64(j, "delivered_micros", row->delivered_us);
	json_out_key(j, "request");
	json_out_object(j);
	json_out_kv_i64(j, "events", row->request_events);
	json_out_kv_i64(j, "first_id", (int64_t)row->request_first);
	json_out_kv_i64(j, "last_id", (int64_t)row->request_last);
	json_out_close(j);
}

static void write_rejected(struct json_out *j, const struct row_view *row)
{
	json_out_kv_str(j, "code", row->code);
	kv_slice(j, "field", row->field);
	kv_slice(j, "message", row->message);
	if (row->address.n) {
		json_out_kv_str(j, "uid", NULL);
		json_out_kv_str(j, "pid", NULL);
		kv_slice(j, "address", row->address);
	} else {
		json_out_kv_i64(j, "uid", row->uid);
		json_out_kv_i64(j, "pid", row->pid);
		json_out_kv_str(j, "address", NULL);
	}
}

int row_write(struct buf *out, const struct row_view *row)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(LINE_TEXT_MAX);
	struct slice line = row->line;
	size_t before = out->len;
	struct json_out *j;
	int r = 0;

	if (row->with_line && !line.p) {
		r = make_line(&text, row);
		line = buf_slice(&text);
	}
	if (r < 0)
		return r;
	j = json_out_begin(out);
	if (!j)
		return -ENOMEM;
	json_out_object(j);
	write_public(j, row);
	if (row->delivered_us > 0)
		write_delivered(j, row);
	if (row->with_line)
		kv_slice(j, "line", line);
	if (row->with_tries)
		write_shown(j, row);
	if (row->code)
		write_rejected(j, row);
	r = json_out_end(j);
	if (r == 0)
		r = buf_append_char(out, '\n');
	if (r < 0)
		out->len = before;
	return r;
}
