/* jobs_settle.c - storing the outcomes of events that were tried
 *
 * The delivered ids of all jobs of a group are collected, sorted and deleted in runs: deleting
 * them in scattered twos and threes would cost four times as much (src/README.md, trap 9). */
#include <errno.h>
#include <stdlib.h>

#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

int store_gather_gone(struct store *st, uint64_t id, uint32_t sid)
{
	if (st->n_gone == st->cap_gone) {
		size_t cap = st->cap_gone ? st->cap_gone * 2 : 1024;
		struct gone *gone = reallocarray(st->gone, cap, sizeof(*gone));

		if (!gone)
			return -ENOMEM;
		st->gone = gone;
		st->cap_gone = cap;
	}
	st->gone[st->n_gone++] = (struct gone){id, sid};
	return 0;
}

static int compare_gone(const void *a, const void *b)
{
	uint64_t x = ((const struct gone *)a)->id, y = ((const struct gone *)b)->id;

	return (x > y) - (x < y);
}

/* Uses the rows' current streams and states, because an operator may have held or dropped one
 * meanwhile. Adds to *delivered the rows that were not delivered before. */
static int uncount(struct store *st, uint64_t first, uint64_t last, int64_t *delivered)
{
	struct db *db = &st->db;
	int r;

	db_int(db, SQL_EVENTS_IN, 1, (int64_t)first);
	db_int(db, SQL_EVENTS_IN, 2, (int64_t)last);
	while ((r = db_row(db, SQL_EVENTS_IN)) > 0) {
		int64_t sid = db_col(db, SQL_EVENTS_IN, 0), state = db_col(db, SQL_EVENTS_IN, 1);

		if (sid >= 0 && sid < STORE_STREAMS_MAX && state >= 0 && state < STATE_COUNT)
			stored_counters_event(&st->counters, (uint32_t)sid, (enum event_state)state, -1);
		*delivered += state != STATE_DELIVERED;
		st->maintenance.gone_since_gc++;
	}
	return r;
}

/* Subtracts dead letters among them from the counters of their reasons. */
static int delete_notes(struct store *st, uint64_t first, uint64_t last)
{
	struct db *db = &st->db;
	int r;

	if (st->counters.now[STORED_ATTEMPT_RECORDS] == 0)
		return 0;
	db_int(db, SQL_REASONS_IN, 1, (int64_t)first);
	db_int(db, SQL_REASONS_IN, 2, (int64_t)last);
	while ((r = db_row(db, SQL_REASONS_IN)) > 0) {
		int64_t reason = db_col(db, SQL_REASONS_IN, 0);

		if (reason > DEAD_NONE && reason < DEAD_COUNT)
			stored_counters_add(&st->counters, STORED_DEAD + (int)reason, -1);
	}
	if (r < 0)
		return r;
	db_int(db, SQL_DELETE_NOTES_IN, 1, (int64_t)first);
	db_int(db, SQL_DELETE_NOTES_IN, 2, (int64_t)last);
	r = db_run(db, SQL_DELETE_NOTES_IN);
	if (r == 0)
		stored_counters_add(&st->counters, STORED_ATTEMPT_RECORDS, -(int64_t)db_changes(db));
	return r;
}

static int delete_run(struct store *st, uint64_t first, uint64_t last, int64_t *delivered)
{
	struct db *db = &st->db;
	int r = uncount(st, first, last, delivered);

	if (r == 0)
		r = delete_notes(st, first, last);
	if (r < 0)
		return r;
	db_int(db, SQL_DELETE_EVENTS_IN, 1, (int64_t)first);
	db_int(db, SQL_DELETE_EVENTS_IN, 2, (int64_t)last);
	return db_run(db, SQL_DELETE_EVENTS_IN);
}

int store_delete_run(struct store *st, uint64_t first, uint64_t last)
{
	int64_t others = 0;

	return delete_run(st, first, last, &others);
}

/* Nearly always all of the run are still queued, so one statement deletes and counts them.
 * Otherwise the rows are read. */
static int delete_queued_run(struct store *st, uint64_t first, uint64_t last, uint32_t sid, int64_t *delivered)
{
	struct db *db = &st->db;
	uint64_t done;
	int r = delete_notes(st, first, last);

	if (r < 0)
		return r;
	db_int(db, SQL_DELETE_QUEUED_IN, 1, (int64_t)first);
	db_int(db, SQL_DELETE_QUEUED_IN, 2, (int64_t)last);
	db_int(db, SQL_DELETE_QUEUED_IN, 3, sid);
	r = db_run(db, SQL_DELETE_QUEUED_IN);
	if (r < 0)
		return r;
	done = db_changes(db);
	stored_counters_delivered(&st->counters, sid, (int64_t)done);
	st->maintenance.gone_since_gc += done;
	return done == last - first + 1 ? 0 : delete_run(st, first, last, delivered);
}

int store_flush_gone(struct store *st)
{
	size_t n = st->n_gone, i = 0;
	int64_t delivered = 0;
	int r = 0;

	st->n_gone = 0;
	if (n == 0)
		return 0;
	qsort(st->gone, n, sizeof(*st->gone), compare_gone);
	while (r == 0 && i < n) {
		const struct gone *from = &st->gone[i++], *last = from;

		while (i < n && st->gone[i].id - last->id <= 1 && st->gone[i].sid == from->sid)
			last = &st->gone[i++];
		r = from->sid ? delete_queued_run(st, from->id, last->id, from->sid, &delivered)
		              : delete_run(st, from->id, last->id, &delivered);
	}
	if (delivered > 0)
		stored_counters_add(&st->counters, STORED_DELIVERED, delivered);
	return r;
}

/* True if the outcome does not end an attempt, so that nothing is counted or recorded for one. */
static bool without_attempt(const struct settle *s)
{
	return s->kind == SETTLE_DEAD && (s->reason == DEAD_EXPIRED || s->reason == DEAD_CORRUPT);
}

static int note_attempt(struct store *st, const struct settle *s, const struct settle_attempt *attempt)
{
	_cleanup_(buf_free) struct buf tries = BUF_INIT(16384);
	struct attempt_record record;
	int found = attempt_record_get(st, s->id, &record), r;

	if (found < 0)
		return found;
	r = attempt_record_add_try(&tries, record.tries, attempt);
	record.attempts++;
	record.maybe_sent |= s->maybe_sent;
	record.last_status = attempt->status;
	record.last_error = slice_of(attempt->error);
	record.answer = slice_of(attempt->answer);
	record.tries = buf_slice(&tries);
	if (s->kind != SETTLE_FAILED)
		record.settled_us = attempt->when_us + attempt->duration_us;
	record.reason = s->kind == SETTLE_DEAD ? s->reason : DEAD_NONE;
	if (s->kind == SETTLE_DEAD)
		record.no_expiry = false;
	if (r == 0)
		r = attempt_record_put(st, s->id, &record, found == 0);
	attempt_record_done(st);
	return r;
}

static int settle_noted(struct store *st, const struct settle *s, const struct settle_attempt *attempt)
{
	enum event_state state;
	uint32_t sid;
	int r = store_flush_puts(st);

	if (r < 0)
		return r;
	r = store_get_state(st, s->id, &sid, &state);
	/* Dropped while it was in flight, or settled before: nothing is left to record. */
	if (r <= 0 || state == STATE_DEAD || state == STATE_DELIVERED)
		return r < 0 ? r : 0;
	if (without_attempt(s))
		return store_bury(st, s->id, sid, state, s->reason, attempt->when_us);
	r = note_attempt(st, s, attempt);
	if (r < 0 || s->kind == SETTLE_FAILED)
		return r;
	stored_counters_add(&st->counters, s->kind == SETTLE_DEAD ? STORED_DEAD + (int)s->reason : STORED_DELIVERED,
	                    1);
	return store_set_state(st, s->id, sid, state, s->kind == SETTLE_DEAD ? STATE_DEAD : STATE_DELIVERED);
}

static int run_settle(struct store *st, struct job *job)
{
	struct job_settle *j = CONTAINER_OF(job, struct job_settle, job);
	int r = 0;

	for (size_t i = 0; r == 0 && i < j->n; i++) {
		if (j->events[i].kind == SETTLE_DELIVERED && st->config.keep_delivered_us == 0)
			r = store_gather_gone(st, j->events[i].id, j->events[i].sid);
		else
			r = settle_noted(st, &j->events[i], &j->attempt);
	}
	/* Half a job must not be committed. */
	if (r == -ENOMEM && st->db.trouble == TROUBLE_NONE)
		db_fail(&st->db, "out of memory");
	return r;
}

static size_t settle_rows(const struct job *job)
{
	return CONTAINER_OF(job, const struct job_settle, job)->n;
}

/* blind, because ids are only collected; settle_noted() flushes the insert batch itself. */
static const struct job_class settle_class = {
        .name = "settle", .kind = JOB_WRITE, .blind = true, .run = run_settle, .rows = settle_rows};

void job_settle_init(struct job_settle *j, void (*done)(struct job *))
{
	j->job = (struct job){.class = &settle_class, .done = done};
}
