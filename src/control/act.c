/* act.c - the commands retry, hold, release and drop: by ids, or by a filter in slices
 *
 * The answer must be true when it is given: an event reported as held or dropped is not sent, and an event in flight
 * is refused. So state changes and request starts exclude each other. A slice is submitted after delivery's part of a
 * turn, with the list of events in flight at that moment. No request starts until all submitted slices have
 * completed, so the list stays complete however long the writer takes. Delivery then runs once before the next slices
 * are submitted. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control_private.h"

#define BIT(state) (1u << (state))

/* States that a verb may change when the request names none. drop takes every state, because it also serves erasure
 * requests. */
static const struct verb {
	const char *name;
	uint32_t states;
	enum tap_act done;
} verbs[] = {
        [ACT_RETRY] = {"retry", BIT(STATE_QUEUED) | BIT(STATE_DEAD), TAP_QUEUED},
        [ACT_HOLD] = {"hold", BIT(STATE_QUEUED), TAP_HELD},
        [ACT_RELEASE] = {"release", BIT(STATE_HELD), TAP_QUEUED},
        [ACT_DROP] = {"drop", BIT(STATE_QUEUED) | BIT(STATE_HELD) | BIT(STATE_DEAD) | BIT(STATE_DELIVERED),
                      TAP_DROPPED},
};

struct act_op {
	struct op op;
	STAILQ_ENTRY(act_op) link; /* linked while waiting for its next slice to be submitted */
	struct control *control;   /* outlives every job: the writer is stopped before it */
	bool waiting;
	struct job_act job;
	struct delivery *delivery; /* outlives every job too */
	struct selection selection;
	enum act_verb verb;
	uint64_t *ids, *in_flight;
	uint8_t *id_results;
	size_t n_ids, n_in_flight;
	uint64_t changed, refused; /* totals over all slices so far */
};

static void act_destroy(struct op *op)
{
	struct act_op *a = CONTAINER_OF(op, struct act_op, op);

	if (a->waiting)
		STAILQ_REMOVE(&a->control->acts, a, act_op, link);
	selection_clear(&a->selection);
	free(a->ids);
	free(a->in_flight);
	free(a->id_results);
	free(a);
}

static void say_ids_of(const struct act_op *a, struct json_out *j, const char *key, enum act_result result)
{
	json_out_key(j, key);
	json_out_array(j);
	for (size_t i = 0; i < a->n_ids; i++)
		if (a->id_results[i] == result)
			json_out_i64(j, (int64_t)a->ids[i]);
	json_out_close(j);
}

static void act_end(struct act_op *a)
{
	struct json_out *j = session_begin_end(a->op.session, true);

	log_info("operator: %s changed %llu events, %llu in flight were left alone", verbs[a->verb].name,
	         (unsigned long long)a->changed, (unsigned long long)a->refused);
	if (j) {
		json_out_kv_i64(j, "changed", (int64_t)a->changed);
		json_out_kv_i64(j, "refused", (int64_t)a->refused);
		session_next_id(a->op.session, j);
		say_ids_of(a, j, "unknown", ACT_UNKNOWN);
		say_ids_of(a, j, "in_flight", ACT_IN_FLIGHT);
		session_finish_end(a->op.session, j);
	}
	op_done(&a->op);
}

/* Updates the schedule in memory, and followers of the tap, after the outbox changed, even if the client that asked
 * has disconnected. */
static void tell_others(struct act_op *a)
{
	tap_act(a->control->context->tap, verbs[a->verb].done, a->job.changed_ids, a->job.n_changed);
	/* forget the changed events: after a retry, one in its own backoff is read back from disk as new and due
	 * now */
	if (a->verb != ACT_RELEASE)
		delivery_forget(a->delivery, a->job.changed_ids, a->job.n_changed);
	if (a->job.lowest_queued)
		delivery_requeued(a->delivery, a->job.lowest_queued);
}

/* Queues the next slice for the end of this turn. */
static void await_slice(struct act_op *a)
{
	a->waiting = true;
	STAILQ_INSERT_TAIL(&a->control->acts, a, link);
}

static void act_result(struct act_op *a, int r, bool end)
{
	struct err err;

	if (r < 0) {
		err_set(&err, r, "%s: the outbox refused (%s); %llu events were changed before", verbs[a->verb].name,
		        r == -ENOMEM ? "out of memory" : "see the log", (unsigned long long)a->changed);
		op_end_error(&a->op, r, &err);
	} else if (end || a->n_ids) {
		act_end(a);
	} else {
		await_slice(a);
	}
}

static void on_acted(struct job *job)
{
	struct act_op *a = CONTAINER_OF(job, struct act_op, job.job);
	int r = a->job.job.result;
	bool end = a->job.end;
	uint64_t next = a->job.next;

	if (--a->control->acts_out == 0)
		delivery_suspend_starts(a->delivery, false);
	if (r == 0)
		tell_others(a);
	a->changed += a->job.changed;
	a->refused += a->job.refused_in_flight;
	job_act_clear(&a->job);
	a->job.from = next;
	if (op_back(&a->op))
		act_result(a, r, end);
}

static int take_in_flight(struct act_op *a)
{
	free(a->in_flight);
	a->in_flight = NULL;
	a->n_in_flight = 0;
	return delivery_in_flight_ids(a->delivery, &a->in_flight, &a->n_in_flight);
}

static void submit_slice(struct act_op *a)
{
	uint64_t from = a->job.from, to = a->job.to;
	struct err err;

	if (take_in_flight(a) < 0) {
		err_set(&err, -ENOMEM, "%s: out of memory", verbs[a->verb].name);
		op_end_error(&a->op, -ENOMEM, &err);
		return;
	}
	job_act_init(&a->job, a->verb, on_acted);
	a->job.ids = a->ids;
	a->job.id_results = a->id_results;
	a->job.n_ids = a->n_ids;
	a->job.filter = a->selection.filter;
	a->job.from = from;
	a->job.to = to;
	a->job.max_examined = SLICE_EXAMINED;
	a->job.in_flight = a->in_flight;
	a->job.n_in_flight = a->n_in_flight;
	if (!op_submit(&a->op, &a->job.job))
		return;
	a->control->acts_out++;
	delivery_suspend_starts(a->delivery, true);
}

void control_submit_acts(struct control *c)
{
	struct act_op *a;

	if (c->acts_out > 0)
		return;
	while ((a = STAILQ_FIRST(&c->acts)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->acts, link);
		a->waiting = false;
		submit_slice(a);
	}
}

static int read_act(struct act_op *a, struct session *s, const struct request *request, struct err *err)
{
	int r = request_ids(request, &a->ids, &a->n_ids, err);

	if (r < 0)
		return r;
	if (a->n_ids) {
		a->id_results = calloc(a->n_ids, 1);
		return a->id_results ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	r = control_read_selection(s->control, request, verbs[a->verb].states, &a->selection, err);
	/* A request without ids or filter must set "all", so that an empty selection never means every event. */
	if (r == 0 && !a->selection.by_filter && !request_flag(request, "all"))
		r = err_set(err, -EINVAL, "%s: of which events? Give ids or a filter", verbs[a->verb].name);
	if (r == 0 && a->selection.inflight && !a->selection.queued)
		r = err_set(err, -EBUSY, "%s: events in flight are left alone; wait, or pause the stream first",
		            verbs[a->verb].name);
	if (r == 0 && a->selection.filter.rejected && a->verb != ACT_DROP)
		r = err_set(err, -EINVAL, "%s: rejected lines never became events; correct and `send` them",
		            verbs[a->verb].name);
	return r;
}

static int act(struct session *s, const struct request *request, enum act_verb verb, struct err *err)
{
	struct act_op *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(err, -ENOMEM, "out of memory");
	a->verb = verb;
	a->control = s->control;
	a->delivery = s->control->context->delivery;
	r = read_act(a, s, request, err);
	if (r < 0) {
		act_destroy(&a->op);
		return r;
	}
	op_start(s, &a->op, NULL, act_destroy);
	await_slice(a);
	return 0;
}

int control_retry(struct session *s, const struct request *request, struct err *err)
{
	return act(s, request, ACT_RETRY, err);
}

int control_hold(struct session *s, const struct request *request, struct err *err)
{
	return act(s, request, ACT_HOLD, err);
}

int control_release(struct session *s, const struct request *request, struct err *err)
{
	return act(s, request, ACT_RELEASE, err);
}

int control_drop(struct session *s, const struct request *request, struct err *err)
{
	return act(s, request, ACT_DROP, err);
}
