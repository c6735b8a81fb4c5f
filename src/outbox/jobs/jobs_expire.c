/* jobs_expire.c - the expiry of queued events, one slice of the queue at a time */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/collections/id_list.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

static int is_exempt(struct store *st, uint64_t id)
{
	struct attempt_record record;
	int r = attempt_record_get(st, id, &record);

	attempt_record_done(st);
	return r < 0 ? r : record.no_expiry;
}

/* Returns 1 if it expires, 0 if it stays, negative on trouble. */
static int is_too_old(struct store *st, const struct job_expire *j, uint64_t id, int64_t time_us)
{
	int r;

	if (time_us > j->expire_before_us || id_list_has(j->in_flight, j->n_in_flight, id))
		return 0;
	r = is_exempt(st, id);
	return r < 0 ? r : !r;
}

static int look_at(struct store *st, struct job_expire *j)
{
	struct db *db = &st->db;
	uint64_t id = (uint64_t)db_col(db, SQL_SCAN_TIMES, 0);
	int64_t sid = db_col(db, SQL_SCAN_TIMES, 1), time_us;
	int r;

	if (db_col(db, SQL_SCAN_TIMES, 2) != STATE_QUEUED || sid < 1 || sid >= STORE_STREAMS_MAX)
		return 0;
	j->queued_seen++;
	time_us = db_col(db, SQL_SCAN_TIMES, 4) + clock_skew_of(&j->skew, id);
	r = is_too_old(st, j, id, time_us);
	if (r > 0) {
		j->expired_ids[j->n_expired] = id;
		j->expired_sids[j->n_expired++] = (uint32_t)sid;
		return 0;
	}
	if (time_us < j->oldest_time_us)
		j->oldest_time_us = time_us;
	return r;
}

static int scan(struct store *st, struct job_expire *j)
{
	size_t examined = 0;
	int r;

	db_int(&st->db, SQL_SCAN_TIMES, 1, (int64_t)j->from);
	while ((r = db_row_within(&st->db, SQL_SCAN_TIMES, j->next, INT64_MAX)) > 0) {
		j->next = (uint64_t)db_col(&st->db, SQL_SCAN_TIMES, 0) + 1;
		r = look_at(st, j);
		if (r < 0 || ++examined >= j->max_examined)
			break;
	}
	db_reset(&st->db, SQL_SCAN_TIMES);
	j->end = r == 0 && examined < j->max_examined;
	return r < 0 ? r : 0;
}

static void clear_result(struct job_expire *j)
{
	free(j->expired_ids);
	free(j->expired_sids);
	j->expired_ids = NULL;
	j->expired_sids = NULL;
	j->n_expired = 0;
}

static int prepare(struct job_expire *j)
{
	clear_result(j);
	if (j->max_examined == 0 || j->max_examined > STORE_SLICE_ROWS)
		j->max_examined = STORE_SLICE_ROWS;
	j->expired = j->queued_seen = 0;
	j->oldest_time_us = INT64_MAX;
	j->next = j->from;
	j->expired_ids = calloc(j->max_examined, sizeof(*j->expired_ids));
	j->expired_sids = calloc(j->max_examined, sizeof(*j->expired_sids));
	return j->expired_ids && j->expired_sids ? 0 : -ENOMEM;
}

static int run_expire(struct store *st, struct job *job)
{
	struct job_expire *j = CONTAINER_OF(job, struct job_expire, job);
	int64_t wall_us = clock_wall_us();
	int r = prepare(j);

	if (r == 0)
		r = store_flush_gone(st);
	if (r == 0)
		r = scan(st, j);
	for (size_t i = 0; r == 0 && !j->dry_run && i < j->n_expired; i++)
		r = store_bury(st, j->expired_ids[i], j->expired_sids[i], STATE_QUEUED, DEAD_EXPIRED, wall_us);
	j->expired = j->n_expired;
	return r;
}

static size_t expire_rows(const struct job *job)
{
	return CONTAINER_OF(job, const struct job_expire, job)->max_examined / 8;
}

static const struct job_class expire_class = {
        .name = "expire", .kind = JOB_WRITE, .run = run_expire, .rows = expire_rows};

void job_expire_init(struct job_expire *j, void (*done)(struct job *))
{
	*j = (struct job_expire){.job = {.class = &expire_class, .done = done}, .max_examined = STORE_SLICE_ROWS};
}

void job_expire_clear(struct job_expire *j)
{
	clear_result(j);
	free(j->in_flight);
	j->in_flight = NULL;
	j->n_in_flight = 0;
}
