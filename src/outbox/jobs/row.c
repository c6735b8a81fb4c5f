/* row.c - an event row: reading it in a scan, matching a filter, preparing it for display */
#include "outbox/jobs/row.h"

#include <errno.h>

#include "outbox/jobs/jobs.h"
#include "outbox/store/inline_envelope.h"
#include "outbox/store/store_private.h"

void scan_row_head(struct store *st, enum sql q, struct scan_row *ret)
{
	int64_t sid = db_col(&st->db, q, 1), state = db_col(&st->db, q, 2);

	*ret = (struct scan_row){.id = (uint64_t)db_col(&st->db, q, 0)};
	ret->sid = sid > 0 && sid < STORE_STREAMS_MAX ? (uint32_t)sid : 0;
	ret->state = state >= 0 && state < STATE_COUNT ? (enum event_state)state : STATE_COUNT;
	if (db_col_is_text(&st->db, q, 3))
		ret->inline_ = db_col_text(&st->db, q, 3);
	else
		ret->envelope = (uint64_t)db_col(&st->db, q, 3);
}

int row_envelope(struct store *st, const struct scan_row *row, struct slice *ret_envelope, struct slice *ret_client)
{
	if (row->inline_.n == 0)
		return envelopes_get(&st->envelopes, &st->db, row->envelope, ret_envelope, ret_client);
	*ret_envelope = row->inline_;
	return inline_envelope_client(row->inline_, ret_client) ? 0 : -ENOENT;
}

void scan_row_body(struct store *st, enum sql q, struct scan_row *row)
{
	row->accepted_us = db_col(&st->db, q, 4);
	row->time_us = db_col(&st->db, q, 5);
	row->props_us = db_col(&st->db, q, 6);
	row->body = db_col_text(&st->db, q, 7);
	row->sound = event_body_name(row->body, &row->name) && row->sid != 0 && row->state != STATE_COUNT;
}

static bool state_matches(const struct event_filter *f, enum event_state state)
{
	uint32_t wanted = f->states ? f->states : ~(1u << STATE_DELIVERED);

	return wanted & 1u << state;
}

static int client_matches(struct store *st, const struct event_filter *f, const struct scan_row *row)
{
	struct slice body, client;
	int r;

	if (!f->client)
		return 1;
	r = row_envelope(st, row, &body, &client);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return slice_eq(client, slice_of(f->client));
}

static int reason_matches(struct store *st, const struct event_filter *f, const struct scan_row *row)
{
	struct attempt_record record;
	int r;

	if (f->reason < 0)
		return 1;
	if (row->state != STATE_DEAD)
		return 0;
	r = attempt_record_get(st, row->id, &record);
	attempt_record_done(st);
	return r < 0 ? r : (int)record.reason == f->reason;
}

int row_matches(struct store *st, enum sql q, const struct event_filter *f, struct scan_row *ret)
{
	int r;

	scan_row_head(st, q, ret);
	if (!state_matches(f, ret->state) || (f->sid && ret->sid != f->sid))
		return 0;
	scan_row_body(st, q, ret);
	if (f->accepted_before_us && ret->accepted_us >= f->accepted_before_us)
		return 0;
	if (f->name && !slice_eq(ret->name, slice_of(f->name)))
		return 0;
	r = client_matches(st, f, ret);
	return r <= 0 ? r : reason_matches(st, f, ret);
}

/* Stores an offset for now, because the arena may still be reallocated. */
static int keep(struct buf *arena, struct slice s, struct slice *ret)
{
	size_t at = arena->len;
	int r = buf_append_slice(arena, s);

	if (r == 0)
		*ret = (struct slice){(const char *)at, s.n};
	return r;
}

static int show_note(struct store *st, uint64_t id, bool want_body, struct buf *arena, struct event_row *ret)
{
	struct attempt_record record;
	size_t at;
	int r = attempt_record_get(st, id, &record);

	if (r <= 0)
		return r;
	ret->attempts = record.attempts;
	ret->maybe_sent = record.maybe_sent;
	ret->reason = record.reason;
	ret->last_status = record.last_status;
	r = keep(arena, record.last_error, &ret->last_error);
	if (r == 0)
		r = keep(arena, record.answer, &ret->answer);
	at = arena->len;
	if (r == 0 && want_body)
		r = attempt_record_tries_json(arena, record.tries);
	ret->tries = (struct slice){(const char *)at, arena->len - at};
	attempt_record_done(st);
	return r;
}

int row_show(struct store *st, const struct scan_row *row, bool want_body, struct buf *arena, struct event_row *ret)
{
	struct slice envelope = {NULL, 0}, client = {NULL, 0};
	int r = row_envelope(st, row, &envelope, &client);

	/* If the attempt record is missing, the row is shown without it. */
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = (struct event_row){.id = row->id,
	                          .state = row->state == STATE_COUNT ? STATE_DEAD : row->state,
	                          .sid = row->sid,
	                          .accepted_us = row->accepted_us,
	                          .time_us = row->time_us,
	                          .props_us = row->props_us,
	                          .bytes = (uint32_t)(row->body.n + envelope.n)};
	r = keep(arena, client, &ret->client);
	if (r == 0)
		r = keep(arena, row->name, &ret->name);
	if (r == 0 && want_body)
		r = keep(arena, envelope, &ret->envelope);
	if (r == 0 && want_body)
		r = keep(arena, row->body, &ret->body);
	return r < 0 ? r : show_note(st, row->id, want_body, arena, ret);
}

int row_show_rejected(struct store *st, enum sql q, bool want_body, struct buf *arena, struct event_row *ret)
{
	struct db *db = &st->db;
	int64_t code = db_col(db, q, 1);
	int r;

	*ret = (struct event_row){.id = (uint64_t)db_col(db, q, 0),
	                          .is_rejected = true,
	                          .code = code > CODE_NONE && code < CODE_COUNT ? (enum code)code
	                                                                        : CODE_VALUE_INVALID,
	                          .accepted_us = db_col(db, q, 4),
	                          .time_us = db_col(db, q, 4),
	                          .uid = (uint32_t)db_col(db, q, 5),
	                          .pid = (uint32_t)db_col(db, q, 6)};
	r = db_col_is_text(db, q, 5) ? keep(arena, db_col_text(db, q, 5), &ret->address) : 0;
	if (r == 0)
		r = keep(arena, db_col_text(db, q, 2), &ret->field);
	if (r == 0)
		r = keep(arena, db_col_text(db, q, 3), &ret->message);
	ret->bytes = (uint32_t)db_col_text(db, q, 7).n;
	if (r == 0 && want_body)
		r = keep(arena, db_col_text(db, q, 7), &ret->line);
	return r;
}

void rows_rebase(struct event_row *rows, size_t n, const struct buf *arena)
{
	for (size_t i = 0; i < n; i++) {
		struct event_row *row = &rows[i];
		struct slice *slices[] = {&row->client,     &row->name,   &row->envelope, &row->body,
		                          &row->last_error, &row->answer, &row->tries,    &row->field,
		                          &row->message,    &row->line,   &row->address};

		for (size_t k = 0; k < ARRAY_LEN(slices); k++)
			slices[k]->p = slices[k]->n ? arena->data + (size_t)slices[k]->p : NULL;
	}
}
