/* attempt_record.c - the attempt record of an event: attempts, results, reason of its death */
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "outbox/store/store_private.h"

enum { TRIES_MAX = 10 };

int attempt_record_get(struct store *st, uint64_t id, struct attempt_record *ret)
{
	struct db *db = &st->db;
	int r;

	*ret = (struct attempt_record){.reason = DEAD_NONE};
	if (st->counters.now[STORED_ATTEMPT_RECORDS] == 0)
		return 0;
	db_int(db, SQL_NOTE, 1, (int64_t)id);
	r = db_row(db, SQL_NOTE);
	if (r <= 0)
		return r;
	ret->attempts = (uint32_t)db_col(db, SQL_NOTE, 0);
	ret->maybe_sent = db_col(db, SQL_NOTE, 1) != 0;
	ret->no_expiry = db_col(db, SQL_NOTE, 2) != 0;
	ret->reason = (enum dead_reason)(db_col(db, SQL_NOTE, 3) & 0xff);
	if (ret->reason >= DEAD_COUNT)
		ret->reason = DEAD_NONE;
	ret->last_status = (int)db_col(db, SQL_NOTE, 4);
	ret->last_error = db_col_text(db, SQL_NOTE, 5);
	ret->answer = db_col_text(db, SQL_NOTE, 6);
	ret->tries = db_col_text(db, SQL_NOTE, 7);
	ret->settled_us = db_col(db, SQL_NOTE, 8);
	return 1;
}

void attempt_record_done(struct store *st)
{
	db_reset(&st->db, SQL_NOTE);
}

int attempt_record_put(struct store *st, uint64_t id, const struct attempt_record *record, bool is_new)
{
	struct db *db = &st->db;

	db_int(db, SQL_SET_NOTE, 1, (int64_t)id);
	db_int(db, SQL_SET_NOTE, 2, record->attempts);
	db_int(db, SQL_SET_NOTE, 3, record->maybe_sent);
	db_int(db, SQL_SET_NOTE, 4, record->no_expiry);
	db_int(db, SQL_SET_NOTE, 5, record->reason);
	db_int(db, SQL_SET_NOTE, 6, record->last_status);
	db_text(db, SQL_SET_NOTE, 7, record->last_error);
	db_text(db, SQL_SET_NOTE, 8, record->answer);
	db_text(db, SQL_SET_NOTE, 9, record->tries);
	db_int(db, SQL_SET_NOTE, 10, record->settled_us);
	if (is_new)
		stored_counters_add(&st->counters, STORED_ATTEMPT_RECORDS, 1);
	if (record->settled_us &&
	    maintenance_due_us(st, record->reason, record->settled_us) < st->maintenance.settled_due_us)
		st->maintenance.settled_due_us = maintenance_due_us(st, record->reason, record->settled_us);
	return db_run(db, SQL_SET_NOTE);
}

/* The error is a text of libcurl or the kernel; bytes that are not valid UTF-8 become '?'. */
static int append_json_text(struct buf *b, const char *text)
{
	size_t n = strlen(text), valid = utf8_check(text, n);
	int r = buf_append_char(b, '"');

	for (size_t i = 0; r == 0 && i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			r = buf_append_char(b, '\\');
		if (r == 0)
			r = buf_append_char(b, c < 0x20 || c == 0x7f || (c >= 0x80 && valid < n) ? '?' : (char)c);
	}
	return r < 0 ? r : buf_append_char(b, '"');
}

static struct slice without_oldest(struct slice tries)
{
	size_t lines = 0;
	const char *end;

	for (size_t i = 0; i < tries.n; i++)
		lines += tries.p[i] == '\n';
	while (lines >= TRIES_MAX && (end = memchr(tries.p, '\n', tries.n))) {
		tries.n -= (size_t)(end + 1 - tries.p);
		tries.p = end + 1;
		lines--;
	}
	return tries;
}

int attempt_record_add_try(struct buf *b, struct slice tries, const struct settle_attempt *attempt)
{
	int r = buf_append_slice(b, without_oldest(tries));

	if (r == 0)
		r = buf_printf(b, "{\"when_micros\":%lld,\"status\":%d,\"error\":", (long long)attempt->when_us,
		               attempt->status);
	if (r == 0)
		r = append_json_text(b, attempt->error);
	if (r == 0)
		r = buf_printf(b, ",\"ms\":%lld}\n", (long long)(attempt->duration_us / 1000));
	return r;
}

int attempt_record_tries_json(struct buf *b, struct slice tries)
{
	int r;

	if (tries.n == 0)
		return 0;
	r = buf_append_char(b, '[');
	/* JSON text contains no raw newline, so a newline ends each attempt. */
	for (size_t i = 0; r == 0 && i < tries.n; i++) {
		if (tries.p[i] != '\n')
			r = buf_append_char(b, tries.p[i]);
		else if (i + 1 < tries.n)
			r = buf_append_char(b, ',');
	}
	return r < 0 ? r : buf_append_char(b, ']');
}

int store_get_state(struct store *st, uint64_t id, uint32_t *ret_sid, enum event_state *ret_state)
{
	struct db *db = &st->db;
	int64_t sid, state;
	int r;

	db_int(db, SQL_EVENT_STATE, 1, (int64_t)id);
	r = db_row(db, SQL_EVENT_STATE);
	if (r <= 0)
		return r;
	sid = db_col(db, SQL_EVENT_STATE, 0);
	state = db_col(db, SQL_EVENT_STATE, 1);
	db_reset(db, SQL_EVENT_STATE);
	if (sid < 0 || sid >= STORE_STREAMS_MAX || state < 0 || state >= STATE_COUNT)
		return 0;
	*ret_sid = (uint32_t)sid;
	*ret_state = (enum event_state)state;
	return 1;
}

int store_set_state(struct store *st, uint64_t id, uint32_t sid, enum event_state from, enum event_state to)
{
	if (from == to)
		return 0;
	stored_counters_event(&st->counters, sid, from, -1);
	stored_counters_event(&st->counters, sid, to, 1);
	db_int(&st->db, SQL_SET_STATE, 1, (int64_t)id);
	db_int(&st->db, SQL_SET_STATE, 2, to);
	return db_run(&st->db, SQL_SET_STATE);
}

int store_bury(struct store *st, uint64_t id, uint32_t sid, enum event_state from, enum dead_reason reason,
               int64_t wall_us)
{
	struct attempt_record record;
	int found = attempt_record_get(st, id, &record), r;

	if (found < 0)
		return found;
	record.reason = reason;
	record.settled_us = wall_us;
	record.no_expiry = false;
	stored_counters_add(&st->counters, STORED_DEAD + reason, 1);
	/* The record's texts belong to the row that was read, so both statements are active on
	 * the same row. */
	r = attempt_record_put(st, id, &record, found == 0);
	attempt_record_done(st);
	return r < 0 ? r : store_set_state(st, id, sid, from, STATE_DEAD);
}
