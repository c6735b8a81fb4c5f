/* control_check.c - the command check: reads every row once, in slices, and compares the totals with the outbox's
 * counters
 *
 * SQLite's own check of the file's pages is left to `ga4relay-ctl --offline FILE check`: it cannot run in slices, and
 * intake would stand still until it ends. */
#include <errno.h>
#include <stdlib.h>

#include "control/control_private.h"

#define ALL ((1u << STATE_QUEUED) | (1u << STATE_HELD) | (1u << STATE_DEAD) | (1u << STATE_DELIVERED))

struct check_op {
	struct op op;
	struct job_list_rows job;
	uint64_t rows, corrupt;
	uint64_t states[STATE_COUNT];
};

static void check_destroy(struct op *op)
{
	free(CONTAINER_OF(op, struct check_op, op));
}

static void check_end(struct check_op *k)
{
	struct json_out *j = session_begin_end(k->op.session, true);

	if (j) {
		json_out_kv_i64(j, "rows", (int64_t)k->rows);
		json_out_kv_i64(j, "corrupt", (int64_t)k->corrupt);
		json_out_key(j, "events");
		json_out_object(j);
		for (enum event_state s = STATE_QUEUED; s < STATE_COUNT; s++)
			json_out_kv_i64(j, event_state_name(s), (int64_t)k->states[s]);
		json_out_close(j);
		session_finish_end(k->op.session, j);
	}
	op_done(&k->op);
}

static void check_slice(struct op *op);

static void on_rows(struct job *job)
{
	struct check_op *k = CONTAINER_OF(job, struct check_op, job.job);
	int r = job->result;
	uint64_t next = k->job.next;
	bool end = k->job.end;
	struct err err;

	for (size_t i = 0; r == 0 && i < k->job.n; i++) {
		k->rows++;
		k->states[k->job.rows[i].state]++;
		k->corrupt += k->job.rows[i].state == STATE_DEAD && k->job.rows[i].reason == DEAD_CORRUPT;
	}
	job_list_clear(&k->job);
	if (!op_back(&k->op))
		return;
	k->job.from = next;
	if (r < 0) {
		err_set(&err, r,
		        "check: the outbox cannot be read past event %llu; stop the daemon, keep a copy of the file, "
		        "and run ga4relay-ctl --offline FILE check",
		        (unsigned long long)next);
		op_end_error(&k->op, r, &err);
	} else if (end) {
		check_end(k);
	} else {
		check_slice(&k->op);
	}
}

static void check_slice(struct op *op)
{
	struct check_op *k = CONTAINER_OF(op, struct check_op, op);
	uint64_t from = k->job.from, to = k->job.to;

	job_list_init(&k->job, on_rows);
	k->job.filter = (struct event_filter){.states = ALL, .reason = -1};
	k->job.want_body = true;
	k->job.from = from;
	k->job.to = to;
	k->job.max_rows = SLICE_ROWS;
	k->job.max_examined = SLICE_ROWS;
	(void)op_submit(op, &k->job.job);
}

int control_check(struct session *s, const struct request *request UNUSED, struct err *err)
{
	struct check_op *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(err, -ENOMEM, "out of memory");
	op_start(s, &k->op, check_slice, check_destroy);
	check_slice(&k->op);
	return 0;
}
