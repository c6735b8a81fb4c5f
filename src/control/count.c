/* count.c - the command count: from the outbox's counters if they suffice, otherwise by reading the rows in slices */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/collections/tally.h"
#include "control/control_private.h"

struct count_op {
	struct op op;
	struct job_list_rows job;
	struct selection selection;
	enum count_by by;
	struct tally tally;
	int64_t wall_us;
};

static void count_destroy(struct op *op)
{
	struct count_op *n = CONTAINER_OF(op, struct count_op, op);

	selection_clear(&n->selection);
	tally_free(&n->tally);
	free(n);
}

static void write_count(struct json_out *j, struct slice key, uint64_t count)
{
	json_out_object(j);
	json_out_key(j, "key");
	json_out_slice(j, key);
	json_out_kv_i64(j, "count", (int64_t)count);
	json_out_close(j);
}

static int say_count(struct buf *out, struct slice key, uint64_t count)
{
	struct json_out *j = json_out_begin(out);
	int r;

	if (!j)
		return -ENOMEM;
	write_count(j, key, count);
	r = json_out_end(j);
	return r == 0 ? buf_append_char(out, '\n') : r;
}

static void count_end(struct count_op *n)
{
	struct buf *out = &n->op.session->control->out;
	struct err err;
	int r = 0;

	tally_sort(&n->tally);
	buf_clear(out);
	for (size_t i = 0; i < n->tally.n && r == 0; i++) {
		const struct tally_entry *e = &n->tally.entries[i];

		r = say_count(out, (struct slice){e->key, e->key_n}, e->count);
	}
	if (r == 0 && n->tally.other > 0)
		r = say_count(out, SLICE_LIT("(other)"), n->tally.other);
	if (r == 0 && n->by == BY_NOTHING && n->tally.n == 0)
		r = say_count(out, SLICE_LIT("total"), 0);
	if (r == 0 && out->len > 0)
		r = control_say(n->op.session, out);
	if (r == 0) {
		op_end_ok(&n->op);
		return;
	}
	err_set(&err, r, "count: out of memory");
	op_end_error(&n->op, r, &err);
}

static int add_rows(struct count_op *n)
{
	const struct control *c = n->op.session->control;
	int r = 0;

	for (size_t i = 0; i < n->job.n && r == 0; i++) {
		const struct event_row *row = &n->job.rows[i];
		struct row_view view;
		char age[16];
		uint64_t rank;
		struct slice key;

		if (!control_selects(c, &n->selection, row))
			continue;
		control_view(c, row, 0, &view);
		key = row_view_key(&view, n->by, n->wall_us, age, &rank);
		r = tally_add(&n->tally, key, rank, 1);
	}
	return r;
}

static void count_slice(struct op *op);

static void on_rows(struct job *job)
{
	struct count_op *n = CONTAINER_OF(job, struct count_op, job.job);
	int r = n->job.job.result;
	uint64_t next = n->job.next;
	bool end = n->job.end;
	struct err err;

	if (!n->op.session) {
		job_list_clear(&n->job);
		op_back(&n->op);
		return;
	}
	(void)op_back(&n->op);
	if (r == 0)
		r = add_rows(n);
	job_list_clear(&n->job);
	n->job.from = next;
	if (r < 0) {
		err_set(&err, r, "count: %s", r == -ENOMEM ? "out of memory" : "the outbox cannot be read");
		op_end_error(&n->op, r, &err);
	} else if (end) {
		count_end(n);
	} else {
		count_slice(&n->op);
	}
}

static void count_slice(struct op *op)
{
	struct count_op *n = CONTAINER_OF(op, struct count_op, op);
	uint64_t from = n->job.from, to = n->job.to;

	job_list_init(&n->job, on_rows);
	n->job.filter = n->selection.filter;
	n->job.from = from;
	n->job.to = to;
	n->job.max_rows = SLICE_EXAMINED;
	n->job.max_examined = SLICE_EXAMINED;
	(void)op_submit(op, &n->job.job);
}

/* ---- from the counters ---- */

/* The outbox has counters by stream and state: a request for nothing else needs no row read. */
static bool counters_tell(const struct count_op *n)
{
	const struct event_filter *f = &n->selection.filter;

	return !f->rejected && !f->client && !f->name && f->reason < 0 && f->accepted_before_us == 0 &&
	       (n->by == BY_NOTHING || n->by == BY_STREAM || n->by == BY_STATE);
}

struct tallied {
	struct count_op *n;
	const struct control *c;
	int r;
};

static void add_counter(struct tallied *t, uint32_t sid, const char *state, uint64_t count)
{
	const char *key = t->n->by == BY_STATE ? state : t->n->by == BY_STREAM ? t->c->names[sid] : "total";

	if (count > 0 && t->r == 0)
		t->r = tally_add(&t->n->tally, slice_of(key), 0, count);
}

static uint64_t in_flight_of(const struct delivery_status *delivery, uint32_t sid)
{
	for (size_t i = 0; i < delivery->n_streams; i++)
		if (delivery->streams[i].sid == sid)
			return delivery->streams[i].in_flight_events;
	return 0;
}

static void add_stream(struct tallied *t, const struct store_events *events, const struct delivery_status *delivery,
                       uint32_t sid)
{
	const struct selection *sel = &t->n->selection;
	uint64_t queued = events->n[sid][STATE_QUEUED], in_flight = in_flight_of(delivery, sid);

	if (in_flight > queued)
		in_flight = queued; /* the outbox's counters are as of the last commit, in_flight is current */
	if (sel->queued)
		add_counter(t, sid, "queued", queued - in_flight);
	if (sel->inflight)
		add_counter(t, sid, "inflight", in_flight);
	for (enum event_state s = STATE_HELD; s < STATE_COUNT; s++)
		if (sel->filter.states & (1u << s))
			add_counter(t, sid, event_state_name(s), events->n[sid][s]);
}

static int count_by_counters(struct count_op *n)
{
	const struct control *c = n->op.session->control;
	struct delivery_status *delivery = calloc(1, sizeof(*delivery));
	struct store_events *events = malloc(sizeof(*events));
	struct tallied t = {.n = n, .c = c, .r = delivery && events ? 0 : -ENOMEM};
	struct now now;

	if (t.r == 0) {
		clock_now(&now);
		writer_get_events(c->context->writer, events);
		delivery_get_status(c->context->delivery, &now, delivery);
	}
	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX && t.r == 0; sid++)
		if (n->selection.filter.sid == 0 || n->selection.filter.sid == sid)
			add_stream(&t, events, delivery, sid);
	free(delivery);
	free(events);
	return t.r;
}

int control_count(struct session *s, const struct request *request, struct err *err)
{
	struct count_op *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_set(err, -ENOMEM, "out of memory");
	r = selection_read_by(request, &n->by, err);
	if (r == 0)
		r = control_read_selection(s->control, request, QUERY_BACKLOG, &n->selection, err);
	if (r < 0) {
		free(n);
		return r;
	}
	tally_init(&n->tally);
	n->wall_us = clock_wall_us();
	op_start(s, &n->op, count_slice, count_destroy);
	if (!counters_tell(n))
		count_slice(&n->op);
	else if (count_by_counters(n) == 0)
		count_end(n);
	else
		op_end_error(&n->op, -ENOMEM, &(struct err){"count: out of memory"});
	return 0;
}
