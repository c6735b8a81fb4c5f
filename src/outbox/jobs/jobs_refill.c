/* jobs_refill.c - reading the next queued events of a stream, in id order */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "outbox/jobs/jobs.h"
#include "outbox/jobs/row.h"
#include "outbox/store/store_private.h"

/* Maximum number of corrupt rows that one refill turns into dead letters; more wait for the next
 * one. */
enum { CORRUPT_MAX = 64 };

struct corrupt_rows {
	uint64_t ids[CORRUPT_MAX];
	size_t n;
};

static struct submission *make_submission(const struct scan_row *row, struct slice envelope, struct slice client)
{
	const struct submission head = {
	        .sid = row->sid,
	        .accepted_us = row->accepted_us,
	        .envelope = envelope,
	        .client = client,
	        .first_id = row->id,
	};
	const struct event event = {
	        .body = row->body,
	        .name = row->name,
	        .time_us = row->time_us,
	        .props_us = row->props_us,
	};

	return submission_of_one(&head, &event);
}

/* Returns 0, -ENOMEM, -EIO, or -ENOENT if its envelope is missing. */
static int take_row(struct store *st, const struct scan_row *row, struct refilled *ret)
{
	struct slice envelope, client;
	int r = row_envelope(st, row, &envelope, &client);

	if (r < 0)
		return r;
	ret->id = row->id;
	ret->sub = make_submission(row, envelope, client);
	return ret->sub ? 0 : -ENOMEM;
}

static int add_row(struct store *st, struct job_refill *j, const struct scan_row *row, struct corrupt_rows *corrupt)
{
	struct refilled *to = &j->rows[j->n];
	int r;

	*to = (struct refilled){.id = row->id};
	r = row->sound ? take_row(st, row, to) : -ENOENT;
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT)
		corrupt->ids[corrupt->n++] = row->id;
	j->n++;
	return 0;
}

static bool is_enough(const struct job_refill *j, size_t examined, size_t bytes, const struct corrupt_rows *corrupt)
{
	return j->n >= j->max_rows || bytes >= j->max_bytes || examined >= j->max_examined ||
	       corrupt->n >= CORRUPT_MAX;
}

/* Every row has its own copy of the envelope. */
static size_t envelope_bytes(const struct refilled *row)
{
	return row->sub ? row->sub->envelope.n : 0;
}

static int look(struct store *st, struct job_refill *j, struct corrupt_rows *corrupt)
{
	size_t examined = 0, bytes = 0;
	struct scan_row row;
	bool enough = false;
	int r = 0;

	db_int(&st->db, SQL_SCAN_UP, 1, (int64_t)j->after + 1);
	while (!enough && (r = db_row_within(&st->db, SQL_SCAN_UP, j->examined_to + 1, INT64_MAX)) > 0) {
		scan_row_head(st, SQL_SCAN_UP, &row);
		j->examined_to = row.id;
		examined++;
		if (row.sid == j->sid && row.state == STATE_QUEUED) {
			scan_row_body(st, SQL_SCAN_UP, &row);
			r = add_row(st, j, &row, corrupt);
			bytes += r < 0 ? 0 : row.body.n + envelope_bytes(&j->rows[j->n - 1]);
		}
		enough = r < 0 || is_enough(j, examined, bytes, corrupt);
	}
	db_reset(&st->db, SQL_SCAN_UP);
	j->end = r == 0 && !enough;
	return r < 0 ? r : 0;
}

/* Both lists ascend, so one pass is enough. */
static int add_notes(struct store *st, struct job_refill *j)
{
	struct db *db = &st->db;
	size_t i = 0;
	int r;

	if (j->n == 0 || st->counters.now[STORED_ATTEMPT_RECORDS] == 0)
		return 0;
	db_int(db, SQL_NOTES_IN, 1, (int64_t)j->rows[0].id);
	db_int(db, SQL_NOTES_IN, 2, (int64_t)j->rows[j->n - 1].id);
	while ((r = db_row(db, SQL_NOTES_IN)) > 0) {
		uint64_t id = (uint64_t)db_col(db, SQL_NOTES_IN, 0);

		while (i < j->n && j->rows[i].id < id)
			i++;
		if (i == j->n)
			break;
		if (j->rows[i].id != id)
			continue;
		j->rows[i].attempts = (uint32_t)db_col(db, SQL_NOTES_IN, 1);
		j->rows[i].maybe_sent = db_col(db, SQL_NOTES_IN, 2) != 0;
		j->rows[i].no_expiry = db_col(db, SQL_NOTES_IN, 3) != 0;
		j->rows[i].has_note = true;
	}
	db_reset(db, SQL_NOTES_IN);
	return r < 0 ? r : 0;
}

struct burial {
	const struct corrupt_rows *rows;
	uint32_t sid;
};

static int bury_corrupt(struct store *st, void *arg)
{
	const struct burial *burial = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < burial->rows->n; i++)
		r = store_bury(st, burial->rows->ids[i], burial->sid, STATE_QUEUED, DEAD_CORRUPT, clock_wall_us());
	return r;
}

static int run_refill(struct store *st, struct job *job)
{
	struct job_refill *j = CONTAINER_OF(job, struct job_refill, job);
	struct corrupt_rows corrupt = {.n = 0};
	int r;

	j->examined_to = j->after;
	j->rows = calloc(j->max_rows ? j->max_rows : 1, sizeof(*j->rows));
	if (!j->rows)
		return -ENOMEM;
	r = look(st, j, &corrupt);
	if (r == 0)
		r = add_notes(st, j);
	if (r == 0 && corrupt.n > 0 && !st->config.read_only) {
		struct burial burial = {&corrupt, j->sid};

		r = store_transaction(st, bury_corrupt, &burial);
	}
	if (r < 0)
		job_refill_clear(j);
	return r;
}

static const struct job_class refill_class = {.name = "refill", .kind = JOB_READ, .run = run_refill};

void job_refill_init(struct job_refill *j, uint32_t sid, uint64_t after, void (*done)(struct job *))
{
	*j = (struct job_refill){.job = {.class = &refill_class, .done = done},
	                         .sid = sid,
	                         .after = after,
	                         .max_rows = 4096,
	                         .max_bytes = 4u << 20,
	                         .max_examined = STORE_SLICE_ROWS};
}

void job_refill_clear(struct job_refill *j)
{
	for (size_t i = 0; i < j->n; i++)
		submission_unref(j->rows[i].sub);
	free(j->rows);
	j->rows = NULL;
	j->n = 0;
}
