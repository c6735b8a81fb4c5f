/* jobs_put.c - storing submissions in the queue, once per dedup_key */
#include <errno.h>

#include "outbox/jobs/jobs.h"
#include "outbox/store/inline_envelope.h"
#include "outbox/store/store_private.h"

static uint64_t hash_key_of(const struct store *st, const struct submission *sub)
{
	return hash_bytes(&st->envelopes.key, sub->dedup_key.p, sub->dedup_key.n) ^ hash_u64(sub->sid);
}

struct key_row {
	int64_t n, at;
	uint64_t first;
	uint32_t count;
};

/* Returns 1 if the key exists, 0 if not. */
static int find_key(struct store *st, const struct submission *sub, struct key_row *ret)
{
	struct db *db = &st->db;
	int r;

	db_int(db, SQL_FIND_KEY, 1, (int64_t)hash_key_of(st, sub));
	while ((r = db_row(db, SQL_FIND_KEY)) > 0) {
		if (db_col(db, SQL_FIND_KEY, 1) != sub->sid ||
		    !slice_eq(db_col_text(db, SQL_FIND_KEY, 2), sub->dedup_key))
			continue;
		ret->n = db_col(db, SQL_FIND_KEY, 0);
		ret->first = (uint64_t)db_col(db, SQL_FIND_KEY, 3);
		ret->count = (uint32_t)db_col(db, SQL_FIND_KEY, 4);
		ret->at = db_col(db, SQL_FIND_KEY, 5);
		db_reset(db, SQL_FIND_KEY);
		return 1;
	}
	return r;
}

static int64_t now_us(const struct store *st, const struct job_put *j)
{
	return key_clock_time(&st->key_clock, j->wall_us, j->boot_us);
}

/* Returns 1 for a duplicate, with the result filled in; 0 if new. A key whose window has passed
 * is replaced. */
static int check_duplicate(struct store *st, struct job_put *j)
{
	struct key_row row;
	int r = find_key(st, j->sub, &row);

	if (r <= 0)
		return r;
	if (row.at > now_us(st, j) - st->config.dedup_window_us || !key_clock_trusts(&st->key_clock, row.n)) {
		j->first_id = row.first;
		j->count = row.count;
		j->duplicate = true;
		return 1;
	}
	db_int(&st->db, SQL_DELETE_KEY, 1, row.n);
	return db_run(&st->db, SQL_DELETE_KEY);
}

static int keep_key(struct store *st, const struct job_put *j)
{
	struct db *db = &st->db;

	db_int(db, SQL_ADD_KEY, 1, (int64_t)hash_key_of(st, j->sub));
	db_int(db, SQL_ADD_KEY, 2, j->sub->sid);
	db_text(db, SQL_ADD_KEY, 3, j->sub->dedup_key);
	db_int(db, SQL_ADD_KEY, 4, (int64_t)j->first_id);
	db_int(db, SQL_ADD_KEY, 5, j->count);
	db_int(db, SQL_ADD_KEY, 6, now_us(st, j));
	if (st->maintenance.keys_due_mono_us == INT64_MAX)
		st->maintenance.keys_due_mono_us = 0;
	return db_run(db, SQL_ADD_KEY);
}

/* For a single row the statement with parameters is cheaper. */
static int put_event(struct store *st, const struct submission *sub, uint64_t envelope)
{
	struct db *db = &st->db;

	db_int(db, SQL_PUT_EVENT, 1, (int64_t)sub->first_id);
	db_int(db, SQL_PUT_EVENT, 2, sub->sid);
	if (envelope)
		db_int(db, SQL_PUT_EVENT, 3, (int64_t)envelope);
	else
		db_text(db, SQL_PUT_EVENT, 3, sub->envelope);
	db_int(db, SQL_PUT_EVENT, 4, sub->accepted_us);
	db_int(db, SQL_PUT_EVENT, 5, sub->events[0].time_us);
	db_int(db, SQL_PUT_EVENT, 6, sub->events[0].props_us);
	db_text(db, SQL_PUT_EVENT, 7, sub->events[0].body);
	return db_run(db, SQL_PUT_EVENT);
}

int store_flush_puts(struct store *st)
{
	struct insert_batch *batch = &st->db.batch;
	int r = 0;

	if (batch->rows == 1) {
		r = put_event(st, batch->entries[0].sub, batch->entries[0].envelope);
	} else if (batch->rows > 1) {
		r = db_run(&st->db, SQL_PUT_EVENTS);
		/* An event that is acknowledged must be stored, even if the file contains a
		 * table named insert_batch, which SQLite would use instead of ours. */
		if (r == 0 && unlikely(db_changes(&st->db) != batch->rows))
			r = db_fail(&st->db, "rows that were put are not there");
	}
	insert_batch_clear(batch);
	return r;
}

static int gather(struct store *st, const struct submission *sub, uint64_t envelope)
{
	if (insert_batch_add(&st->db.batch, sub, envelope) < 0)
		return db_fail(&st->db, "out of memory");
	for (uint32_t i = 0; i < sub->n_events; i++)
		st->space.put_bytes += sub->events[i].body.n;
	return 0;
}

static int put_all(struct store *st, struct job_put *j)
{
	struct submission *sub = j->sub;
	uint64_t envelope = 0;
	int r = 0;

	if (!inline_envelope_fits(sub))
		r = envelopes_intern(&st->envelopes, &st->db, sub->sid, sub->envelope, sub->client, &envelope);
	if (r < 0)
		return r;
	j->first_id = sub->first_id = store_take_ids(st, sub->n_events);
	j->count = sub->n_events;
	stored_counters_put(&st->counters, sub->sid, sub->n_events);
	return gather(st, sub, envelope);
}

static int run_put(struct store *st, struct job *job)
{
	struct job_put *j = CONTAINER_OF(job, struct job_put, job);
	bool keyed = j->sub->dedup_key.n > 0 && st->config.dedup_window_us > 0;
	int r;

	if (unlikely(j->sub->sid == 0 || j->sub->sid >= STORE_STREAMS_MAX))
		return -EINVAL;
	r = keyed ? check_duplicate(st, j) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	j->why = space_refuses(st, j->sub->n_events);
	if (j->why) {
		st->space.refused++;
		st->space.refused_why = j->why;
	}
	if (j->why)
		return -EDQUOT;
	r = put_all(st, j);
	if (r == 0 && keyed)
		r = keep_key(st, j);
	return r;
}

static size_t put_rows(const struct job *job)
{
	return CONTAINER_OF(job, const struct job_put, job)->sub->n_events;
}

static size_t put_bytes(const struct job *job)
{
	const struct submission *sub = CONTAINER_OF(job, const struct job_put, job)->sub;
	size_t bytes = sub->envelope.n;

	for (uint32_t i = 0; i < sub->n_events; i++)
		bytes += sub->events[i].body.n;
	return bytes;
}

static const struct job_class put_class = {.name = "put",
                                           .kind = JOB_WRITE,
                                           .grows = true,
                                           .blind = true,
                                           .run = run_put,
                                           .rows = put_rows,
                                           .bytes = put_bytes};

void job_put_init(struct job_put *j, struct submission *sub, int64_t wall_us, void (*done)(struct job *))
{
	*j = (struct job_put){.job = {.class = &put_class, .done = done}, .sub = sub, .wall_us = wall_us};
}

void job_put_refuse(struct job *job, const char *why)
{
	if (job->class != &put_class) {
		job->result = -ENOSPC;
		return;
	}
	struct job_put *j = CONTAINER_OF(job, struct job_put, job);

	job->result = -EDQUOT;
	j->why = why;
	j->duplicate = false;
	j->sub->first_id = 0;
}
