/* jobs_reject.c - storing rejected lines, of which the newest are kept */
#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

static int add_line(struct store *st, const struct rejected_line *line)
{
	struct db *db = &st->db;

	db_int(db, SQL_ADD_REJECTED, 1, (int64_t)store_take_ids(st, 1));
	db_int(db, SQL_ADD_REJECTED, 2, line->code);
	db_text(db, SQL_ADD_REJECTED, 3, slice_of(line->field));
	db_text(db, SQL_ADD_REJECTED, 4, slice_of(line->message));
	db_int(db, SQL_ADD_REJECTED, 5, line->wall_us);
	if (line->address)
		db_text(db, SQL_ADD_REJECTED, 6, slice_of(line->address));
	else
		db_int(db, SQL_ADD_REJECTED, 6, line->uid);
	db_int(db, SQL_ADD_REJECTED, 7, line->pid);
	db_text(db, SQL_ADD_REJECTED, 8, line->line);
	stored_counters_add(&st->counters, STORED_REJECTED, 1);
	return db_run(db, SQL_ADD_REJECTED);
}

int store_trim_rejected(struct store *st, void *arg UNUSED)
{
	int64_t over = st->counters.now[STORED_REJECTED] - (int64_t)st->config.keep_rejected;
	int r;

	if (over <= 0)
		return 0;
	/* keep_rejected was lowered by much: delete one slice, and leave the rest to
	 * maintenance. */
	if (over > STORE_SLICE_ROWS)
		over = STORE_SLICE_ROWS;
	db_int(&st->db, SQL_TRIM_REJECTED, 1, over);
	r = db_run(&st->db, SQL_TRIM_REJECTED);
	if (r == 0)
		stored_counters_add(&st->counters, STORED_REJECTED, -(int64_t)db_changes(&st->db));
	return r;
}

static int run_reject(struct store *st, struct job *job)
{
	struct job_reject *j = CONTAINER_OF(job, struct job_reject, job);
	size_t i = j->n > st->config.keep_rejected ? j->n - (size_t)st->config.keep_rejected : 0;
	int r = 0;

	/* They are not events: on a full disk they are dropped. */
	if (st->space.refusal)
		return 0;
	for (; r == 0 && i < j->n; i++)
		r = add_line(st, &j->lines[i]);
	return r < 0 ? r : store_trim_rejected(st, NULL);
}

static size_t reject_rows(const struct job *job)
{
	return CONTAINER_OF(job, const struct job_reject, job)->n;
}

static const struct job_class reject_class = {
        .name = "reject", .kind = JOB_WRITE, .grows = true, .run = run_reject, .rows = reject_rows};

void job_reject_init(struct job_reject *j, void (*done)(struct job *))
{
	j->job = (struct job){.class = &reject_class, .done = done};
}
