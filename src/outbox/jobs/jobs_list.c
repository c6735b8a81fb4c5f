/* jobs_list.c - reading rows for display: a slice of a list, or a single row */
#include <errno.h>
#include <stdlib.h>

#include "outbox/jobs/jobs.h"
#include "outbox/jobs/row.h"
#include "outbox/store/store_private.h"

/* A slice ends after this many bytes of text, which bounds its memory whatever the rows contain. */
#define ARENA_ENOUGH (1u << 20)
#define ARENA_MAX (64u << 20)

static enum sql statement_of(const struct job_list_rows *j)
{
	if (j->filter.rejected)
		return j->reverse ? SQL_REJECTED_DOWN : SQL_REJECTED_UP;
	return j->reverse ? SQL_SCAN_DOWN : SQL_SCAN_UP;
}

static int add_if_wanted(struct store *st, struct job_list_rows *j, enum sql q)
{
	struct event_row *to = &j->rows[j->n];
	struct scan_row row;
	int r = 1;

	if (j->filter.rejected) {
		int64_t at_us = db_col(&st->db, q, 4);

		if (j->filter.accepted_before_us && at_us >= j->filter.accepted_before_us)
			return 0;
		r = row_show_rejected(st, q, j->want_body, &j->arena, to);
	} else {
		r = row_matches(st, q, &j->filter, &row);
		if (r <= 0)
			return r;
		r = row_show(st, &row, j->want_body, &j->arena, to);
	}
	if (r == 0)
		j->n++;
	return r;
}

static bool is_enough(const struct job_list_rows *j, size_t examined)
{
	return j->n >= j->max_rows || examined >= j->max_examined || j->arena.len >= ARENA_ENOUGH;
}

static int scan(struct store *st, struct job_list_rows *j, enum sql q)
{
	size_t examined = 0;
	bool enough = false;
	int r;

	db_int(&st->db, q, 1, (int64_t)j->next);
	while (!enough &&
	       (r = db_row_within(&st->db, q, j->reverse ? 0 : j->next, j->reverse ? j->next : INT64_MAX)) > 0) {
		uint64_t id = (uint64_t)db_col(&st->db, q, 0);

		if (!j->reverse && id > j->to) {
			r = 0;
			break;
		}
		j->next = j->reverse ? id - 1 : id + 1;
		r = add_if_wanted(st, j, q);
		enough = r < 0 || is_enough(j, ++examined);
	}
	db_reset(&st->db, q);
	j->end = (r == 0 && !enough) || (j->reverse && j->next == 0);
	return r < 0 ? r : 0;
}

static int prepare(struct store *st, struct job_list_rows *j)
{
	job_list_clear(j);
	db_forget_trouble(&st->db); /* ctl runs jobs without a writer, one after the other */
	buf_init(&j->arena, ARENA_MAX);
	j->rows = calloc(j->max_rows ? j->max_rows : 1, sizeof(*j->rows));
	return j->rows ? 0 : -ENOMEM;
}

static int run_list(struct store *st, struct job *job)
{
	struct job_list_rows *j = CONTAINER_OF(job, struct job_list_rows, job);
	int r = prepare(st, j);

	if (r < 0)
		return r;
	j->next = j->from ? j->from : j->reverse ? INT64_MAX : 1;
	j->to = j->to ? j->to : store_last_id(st);
	r = scan(st, j, statement_of(j));
	rows_rebase(j->rows, j->n, &j->arena);
	if (r < 0)
		job_list_clear(j);
	return r;
}

static int show_event(struct store *st, struct job_list_rows *j)
{
	struct scan_row row;
	int r;

	db_int(&st->db, SQL_SCAN_UP, 1, (int64_t)j->from);
	r = db_row(&st->db, SQL_SCAN_UP);
	if (r <= 0)
		return r;
	scan_row_head(st, SQL_SCAN_UP, &row);
	if (row.id != j->from) {
		db_reset(&st->db, SQL_SCAN_UP);
		return 0;
	}
	scan_row_body(st, SQL_SCAN_UP, &row);
	r = row_show(st, &row, j->want_body, &j->arena, &j->rows[0]);
	db_reset(&st->db, SQL_SCAN_UP);
	j->n = r == 0;
	return r;
}

static int show_rejected(struct store *st, struct job_list_rows *j)
{
	int r;

	db_int(&st->db, SQL_REJECTED_UP, 1, (int64_t)j->from);
	r = db_row(&st->db, SQL_REJECTED_UP);
	if (r > 0 && (uint64_t)db_col(&st->db, SQL_REJECTED_UP, 0) == j->from) {
		r = row_show_rejected(st, SQL_REJECTED_UP, j->want_body, &j->arena, &j->rows[0]);
		j->n = r == 0;
	}
	db_reset(&st->db, SQL_REJECTED_UP);
	return r < 0 ? r : 0;
}

static int run_show(struct store *st, struct job *job)
{
	struct job_list_rows *j = CONTAINER_OF(job, struct job_list_rows, job);
	int r = prepare(st, j);

	if (r == 0 && j->from > 0)
		r = show_event(st, j);
	if (r == 0 && j->n == 0)
		r = show_rejected(st, j);
	rows_rebase(j->rows, j->n, &j->arena);
	j->end = true;
	if (r == 0 && j->n == 0)
		r = -ENOENT;
	if (r < 0)
		job_list_clear(j);
	return r;
}

static const struct job_class list_class = {.name = "list", .kind = JOB_READ, .run = run_list};
static const struct job_class show_class = {.name = "show", .kind = JOB_READ, .run = run_show};

void job_list_init(struct job_list_rows *j, void (*done)(struct job *))
{
	*j = (struct job_list_rows){.job = {.class = &list_class, .done = done},
	                            .filter = {.reason = -1},
	                            .max_rows = 256,
	                            .max_examined = STORE_SLICE_ROWS};
}

void job_show_init(struct job_list_rows *j, uint64_t id, void (*done)(struct job *))
{
	*j = (struct job_list_rows){.job = {.class = &show_class, .done = done},
	                            .filter = {.reason = -1},
	                            .from = id,
	                            .want_body = true,
	                            .max_rows = 1};
}

void job_list_clear(struct job_list_rows *j)
{
	free(j->rows);
	j->rows = NULL;
	j->n = 0;
	buf_free(&j->arena);
}
