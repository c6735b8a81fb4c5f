/* jobs_act.c - an operator's actions on events: retry, hold, release, drop */
#include <errno.h>
#include <stdlib.h>

#include "base/collections/id_list.h"
#include "outbox/jobs/jobs.h"
#include "outbox/jobs/row.h"
#include "outbox/store/store_private.h"

static void note_queued(struct job_act *j, uint64_t id)
{
	if (j->lowest_queued == 0 || id < j->lowest_queued)
		j->lowest_queued = id;
}

/* Requeues a dead letter: no attempts, and exempt from expiry once. maybe_sent is kept. */
static int revive(struct store *st, uint64_t id, uint32_t sid)
{
	struct attempt_record record;
	int found = attempt_record_get(st, id, &record), r;

	attempt_record_done(st);
	if (found < 0)
		return found;
	if (record.reason != DEAD_NONE)
		stored_counters_add(&st->counters, STORED_DEAD + record.reason, -1);
	record = (struct attempt_record){.maybe_sent = record.maybe_sent, .no_expiry = true};
	r = attempt_record_put(st, id, &record, found == 0);
	return r < 0 ? r : store_set_state(st, id, sid, STATE_DEAD, STATE_QUEUED);
}

static int drop(struct store *st, uint64_t id)
{
	int r = store_delete_run(st, id, id);

	stored_counters_add(&st->counters, STORED_DROPPED, 1);
	st->maintenance.erase = true;
	return r;
}

/* Returns an enum act_result, or a negative errno. */
static int apply(struct store *st, struct job_act *j, uint64_t id, uint32_t sid, enum event_state state)
{
	int r = 0;

	switch (j->verb) {
	case ACT_RETRY:
		if (state != STATE_DEAD && state != STATE_QUEUED)
			return ACT_UNCHANGED;
		if (state == STATE_DEAD)
			r = revive(st, id, sid);
		note_queued(j, id);
		break;
	case ACT_HOLD:
		if (state != STATE_QUEUED)
			return ACT_UNCHANGED;
		r = store_set_state(st, id, sid, state, STATE_HELD);
		break;
	case ACT_RELEASE:
		if (state != STATE_HELD)
			return ACT_UNCHANGED;
		r = store_set_state(st, id, sid, state, STATE_QUEUED);
		note_queued(j, id);
		break;
	case ACT_DROP:
		r = drop(st, id);
		break;
	}
	if (r < 0)
		return r;
	j->changed_ids[j->n_changed++] = id;
	j->changed++;
	return ACT_DONE;
}

static int drop_rejected(struct store *st, struct job_act *j, uint64_t id)
{
	int r;

	db_int(&st->db, SQL_DELETE_REJECTED, 1, (int64_t)id);
	r = db_run(&st->db, SQL_DELETE_REJECTED);
	if (r < 0)
		return r;
	if (db_changes(&st->db) == 0)
		return ACT_UNKNOWN;
	stored_counters_add(&st->counters, STORED_REJECTED, -1);
	st->maintenance.erase = true;
	j->changed++;
	return ACT_DONE;
}

static int act_on(struct store *st, struct job_act *j, uint64_t id)
{
	enum event_state state;
	uint32_t sid;
	int r;

	if (id_list_has(j->in_flight, j->n_in_flight, id)) {
		j->refused_in_flight++;
		return ACT_IN_FLIGHT;
	}
	r = store_get_state(st, id, &sid, &state);
	if (r < 0)
		return r;
	if (r == 0)
		return j->verb == ACT_DROP ? drop_rejected(st, j, id) : ACT_UNKNOWN;
	return apply(st, j, id, sid, state);
}

static int run_ids(struct store *st, struct job_act *j)
{
	int r = 0;

	for (size_t i = 0; i < j->n_ids; i++) {
		r = act_on(st, j, j->ids[i]);
		if (r < 0)
			return r;
		if (j->id_results)
			j->id_results[i] = (uint8_t)r;
	}
	j->end = true;
	return 0;
}

/* Collects the ids first and changes the rows afterwards, because a scan must not read rows that
 * change during it. */
static int find_matching(struct store *st, struct job_act *j, uint64_t *ids, size_t *ret_n)
{
	enum sql q = j->filter.rejected ? SQL_REJECTED_UP : SQL_SCAN_UP;
	size_t examined = 0, n = 0;
	struct scan_row row;
	int r;

	db_int(&st->db, q, 1, (int64_t)j->next);
	while ((r = db_row_within(&st->db, q, j->next, INT64_MAX)) > 0) {
		uint64_t id = (uint64_t)db_col(&st->db, q, 0);

		if (id > j->to) {
			r = 0;
			break;
		}
		r = j->filter.rejected ? 1 : row_matches(st, q, &j->filter, &row);
		if (r < 0)
			break;
		if (r > 0)
			ids[n++] = id;
		j->next = id + 1;
		if (++examined >= j->max_examined)
			break;
	}
	db_reset(&st->db, q);
	j->end = r == 0 && examined < j->max_examined;
	*ret_n = n;
	return r < 0 ? r : 0;
}

static int run_filter(struct store *st, struct job_act *j)
{
	uint64_t *ids = calloc(j->max_examined, sizeof(*ids));
	size_t n;
	int r = ids ? find_matching(st, j, ids, &n) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = act_on(st, j, ids[i]);
	free(ids);
	return r < 0 ? r : 0;
}

static int run_act(struct store *st, struct job *job)
{
	struct job_act *j = CONTAINER_OF(job, struct job_act, job);
	size_t most;
	int r;

	job_act_clear(j);
	j->changed = j->refused_in_flight = j->lowest_queued = 0;
	if (j->max_examined == 0 || j->max_examined > STORE_SLICE_ROWS)
		j->max_examined = STORE_SLICE_ROWS;
	most = j->ids ? j->n_ids : j->max_examined;
	j->changed_ids = calloc(most ? most : 1, sizeof(*j->changed_ids));
	if (!j->changed_ids)
		return -ENOMEM;
	j->next = j->from ? j->from : 1;
	j->to = j->to ? j->to : store_last_id(st);
	r = store_flush_gone(st);
	if (r == 0)
		r = j->ids ? run_ids(st, j) : run_filter(st, j);
	return r;
}

static size_t act_rows(const struct job *job)
{
	const struct job_act *j = CONTAINER_OF(job, const struct job_act, job);

	return j->ids ? j->n_ids : j->max_examined;
}

static const struct job_class act_class = {.name = "act", .kind = JOB_WRITE, .run = run_act, .rows = act_rows};

void job_act_init(struct job_act *j, enum act_verb verb, void (*done)(struct job *))
{
	*j = (struct job_act){.job = {.class = &act_class, .done = done},
	                      .verb = verb,
	                      .filter = {.reason = -1},
	                      .max_examined = STORE_SLICE_ROWS};
}

void job_act_clear(struct job_act *j)
{
	free(j->changed_ids);
	j->changed_ids = NULL;
	j->n_changed = 0;
}
