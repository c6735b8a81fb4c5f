/* list.c - the commands list, show and export: rows in slices, whatever the size of the backlog */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "control/control_private.h"

struct list_op {
	struct op op;
	struct job_list_rows job;
	struct selection selection;
	uint64_t left; /* rows still to be returned at most; UINT64_MAX: no limit */
	bool with_line;
	/* show */
	uint64_t *ids;
	size_t n_ids, at_id, n_unknown;
	uint64_t unknown[QUERY_IDS_MAX];
};

static struct list_op *list_of(struct op *op)
{
	return CONTAINER_OF(op, struct list_op, op);
}

static void list_destroy(struct op *op)
{
	struct list_op *l = list_of(op);

	selection_clear(&l->selection);
	free(l->ids);
	free(l);
}

/* ---- list and export ---- */

static int say_rows(struct list_op *l, bool with_tries)
{
	struct control *c = l->op.session->control;
	int64_t mono_us = clock_mono_us();
	struct row_view view;
	int r = 0;

	buf_clear(&c->out);
	for (size_t i = 0; i < l->job.n && l->left > 0 && r == 0; i++) {
		if (!control_selects(c, &l->selection, &l->job.rows[i]))
			continue;
		control_view(c, &l->job.rows[i], mono_us, &view);
		view.with_line = l->with_line;
		view.with_tries = with_tries;
		r = row_write(&c->out, &view);
		if (l->left != UINT64_MAX)
			l->left--;
	}
	if (r == 0 && c->out.len > 0)
		r = control_say(l->op.session, &c->out);
	return r;
}

static void list_failed(struct list_op *l, int r, const char *what)
{
	struct err err;

	if (r == -EPIPE) { /* the connection was closed: nobody reads an answer */
		listener_close_conn(l->op.session->socket->listener, l->op.session->conn);
		op_done(&l->op);
		return;
	}
	err_set(&err, r, "%s: %s", what, r == -ENOMEM ? "out of memory" : "the outbox cannot be read; see the log");
	op_end_error(&l->op, r, &err);
}

static void list_slice(struct op *op);

static void on_rows(struct job *job)
{
	struct list_op *l = CONTAINER_OF(job, struct list_op, job.job);
	int r = l->job.job.result;
	uint64_t next = l->job.next;
	bool end = l->job.end;

	if (!l->op.session) {
		job_list_clear(&l->job);
		op_back(&l->op);
		return;
	}
	(void)op_back(&l->op);
	if (r == 0)
		r = say_rows(l, false);
	job_list_clear(&l->job);
	if (r < 0) {
		list_failed(l, r, "list");
	} else if (end || l->left == 0) {
		op_end_ok(&l->op);
	} else {
		l->job.from = next;
		op_next(&l->op);
	}
}

static void list_slice(struct op *op)
{
	struct list_op *l = list_of(op);
	uint64_t from = l->job.from, to = l->job.to;
	size_t most = l->with_line ? SLICE_ROWS_WITH_BODY : SLICE_ROWS;
	bool reverse = l->job.reverse;

	job_list_init(&l->job, on_rows);
	l->job.filter = l->selection.filter;
	l->job.reverse = reverse;
	l->job.want_body = l->with_line;
	l->job.from = from;
	l->job.to = to;
	l->job.max_rows = l->left < most ? (size_t)l->left : most;
	l->job.max_examined = SLICE_EXAMINED;
	(void)op_submit(op, &l->job.job);
}

static int start_list(struct session *s, const struct request *request, bool with_line, struct err *err)
{
	struct list_op *l = calloc(1, sizeof(*l));
	uint64_t limit = 0;
	int r;

	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	r = request_u64(request, "limit", &limit, err);
	if (r == 0)
		r = control_read_selection(s->control, request, QUERY_BACKLOG, &l->selection, err);
	if (r < 0) {
		free(l);
		return r;
	}
	l->left = limit ? limit : UINT64_MAX;
	l->job.reverse = request_flag(request, "reverse");
	l->with_line = with_line;
	op_start(s, &l->op, list_slice, list_destroy);
	list_slice(&l->op);
	return 0;
}

int control_list(struct session *s, const struct request *request, struct err *err)
{
	return start_list(s, request, false, err);
}

static void show_next(struct op *op);

/* A delivered event that left the outbox and is remembered. Returns 0, -ENOENT if it is not, or another negative
 * errno. */
static int say_delivered(struct list_op *l, uint64_t id)
{
	struct control *c = l->op.session->control;
	struct delivered_event e;

	if (l->selection.by_filter || !delivery_find_delivered(c->context->delivery, id, &e))
		return -ENOENT;
	const struct row_view view = {
	        .id = id,
	        .state = event_state_name(STATE_DELIVERED),
	        .stream = slice_of(c->names[e.sid]),
	        .attempts = e.attempts,
	        .last_status = e.status,
	        .next_attempt_ms = -1,
	        .delivered_us = e.when_us,
	        .request_events = e.n_events,
	        .request_first = e.first_id,
	        .request_last = e.last_id,
	};
	buf_clear(&c->out);
	int r = row_write(&c->out, &view);
	return r < 0 ? r : control_say(l->op.session, &c->out);
}

static void on_shown(struct job *job)
{
	struct list_op *l = CONTAINER_OF(job, struct list_op, job.job);
	int r = l->job.job.result;

	if (!l->op.session) {
		job_list_clear(&l->job);
		op_back(&l->op);
		return;
	}
	(void)op_back(&l->op);
	if (r == -ENOENT)
		r = say_delivered(l, l->ids[l->at_id]);
	else if (r == 0)
		r = say_rows(l, !l->selection.by_filter);
	if (r == -ENOENT) {
		l->unknown[l->n_unknown++] = l->ids[l->at_id];
		r = 0;
	}
	job_list_clear(&l->job);
	l->at_id++;
	if (r < 0)
		list_failed(l, r, "show");
	else
		op_next(&l->op);
}

static void show_end(struct list_op *l)
{
	struct json_out *j = session_begin_end(l->op.session, true);

	if (j) {
		session_next_id(l->op.session, j);
		json_out_key(j, "unknown");
		json_out_array(j);
		for (size_t i = 0; i < l->n_unknown; i++)
			json_out_i64(j, (int64_t)l->unknown[i]);
		json_out_close(j);
		session_finish_end(l->op.session, j);
	}
	op_done(&l->op);
}

static void show_next(struct op *op)
{
	struct list_op *l = list_of(op);

	if (l->at_id >= l->n_ids) {
		show_end(l);
		return;
	}
	job_show_init(&l->job, l->ids[l->at_id], on_shown);
	(void)op_submit(op, &l->job.job);
}

/* with_tries is set for show. Export by ids also starts here and returns the same fields as export by filter. */
static int start_show(struct session *s, const struct request *request, bool with_tries, struct err *err)
{
	struct list_op *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	r = request_ids(request, &l->ids, &l->n_ids, err);
	if (r < 0) {
		free(l);
		return r;
	}
	l->left = UINT64_MAX;
	l->with_line = true;
	l->selection = (struct selection){.queued = true, .inflight = true, .by_filter = !with_tries};
	op_start(s, &l->op, show_next, list_destroy);
	show_next(&l->op);
	return 0;
}

int control_show(struct session *s, const struct request *request, struct err *err)
{
	return start_show(s, request, true, err);
}

int control_export(struct session *s, const struct request *request, struct err *err)
{
	const struct json_node *ids = json_member(request->doc, request->doc->nodes, "ids");

	return ids ? start_show(s, request, false, err) : start_list(s, request, true, err);
}
