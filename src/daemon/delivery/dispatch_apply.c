/* dispatch_apply.c - an outcome is carried out: what is recorded, who is told, and where the batch goes */
#include <stdio.h>
#include <string.h>

#include "daemon/delivery/dispatch.h"
#include "daemon/delivery/expiry.h"

void tap_batch(const struct dispatch *d, enum tap_what what, const struct batch *b, enum dead_reason reason,
               const struct attempt *a)
{
	if (!tap_wanted(d->tap))
		return;
	for (unsigned i = 0; i < b->n; i++) {
		const struct due *due = b->events[i];
		struct tap_event e = {
		        .what = what,
		        .sub = due_sub(due),
		        .index = due->index,
		        .id = due->id,
		        .reason = reason,
		        .attempts = due->attempts,
		        .last_status = a ? a->status : 0,
		        .last_error = a ? a->error : "",
		        .next_attempt_ms = -1,
		        .maybe_sent = due->maybe_sent,
		};
		d->tap->on_event(d->tap->arg, &e);
	}
}

static struct settle_attempt settle_attempt(const struct attempt *a, enum outcome outcome)
{
	struct settle_attempt s = {.when_us = a->started_wall_us, .duration_us = a->duration_us, .status = a->status};
	const char *error = a->error;
	if (a->status != 0 && outcome != OUTCOME_DELIVERED && error[0] == '\0')
		error = a->answer;
	if (outcome == OUTCOME_DELIVERED)
		error = "";
	snprintf(s.error, sizeof(s.error), "%.*s", (int)sizeof(s.error) - 1, error);
	if (outcome != OUTCOME_DELIVERED)
		memcpy(s.answer, a->answer, sizeof(s.answer));
	return s;
}

/* The events may have been counted: no answer that decides, and all of the body was written. */
bool attempt_is_ambiguous(const struct attempt *a)
{
	return !outcome_status_decides(a->status) && a->body_sent && a->transport != TRANSPORT_LOCAL;
}

/* What all failures have in common. */
static void note_failure(struct dispatch *d, struct batch *b, const struct attempt *a, enum outcome outcome)
{
	struct settle_attempt s = settle_attempt(a, outcome);
	settle_add(d, b, SETTLE_FAILED, DEAD_NONE, &s);
	tap_batch(d, TAP_FAILED, b, DEAD_NONE, a);
}

static void deliver(struct dispatch *d, struct outlet *o, struct batch *b, const struct attempt *a)
{
	struct settle_attempt s = settle_attempt(a, OUTCOME_DELIVERED);
	tap_batch(d, TAP_DELIVERED, b, DEAD_NONE, a);
	d->counters->by_sid[o->sid].delivered += b->n;
	rate_add(&d->counters->out, b->n);
	settle_add(d, b, SETTLE_DELIVERED, DEAD_NONE, &s);
	batch_settling(b);
}

void batch_bury(struct dispatch *d, struct batch *b, const struct attempt *a, enum dead_reason reason)
{
	struct settle_attempt s = settle_attempt(a, OUTCOME_DEAD_REFUSED);
	tap_batch(d, TAP_DEAD, b, reason, a);
	d->counters->dead[reason] += b->n;
	settle_add(d, b, SETTLE_DEAD, reason, &s);
	batch_settling(b);
}

static void park(struct dispatch *d, struct batch *b, const struct attempt *a)
{
	int64_t wait = backoff_wait_us(&d->backoff, ++b->past.waits, d->chance());
	batch_park(b, d->now.mono_us + (wait > a->retry_after_us ? wait : a->retry_after_us));
}

/* Events that an operator held or dropped while they were in flight leave; false: nothing is left of the batch. */
static bool let_forgotten_go(struct dispatch *d, struct batch *b)
{
	for (unsigned i = b->n; i-- > 0;) {
		struct due *due = b->events[i];
		if (!due->forgotten)
			continue;
		batch_drop_event(b, i);
		due_release(d->scheduler, due);
	}
	if (b->n > 0)
		return true;
	batch_free_empty(b);
	return false;
}

static void split(struct dispatch *d, struct batch *b, const struct attempt *a)
{
	if (b->n < 2 || batch_split(b) < 0)
		park(d, b, a);
}

/* The batch goes where its outcome sends it. */
void outcome_apply(struct dispatch *d, struct outlet *o, struct batch *b, const struct attempt *a,
                   enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_DELIVERED:
		deliver(d, o, b, a);
		return;
	case OUTCOME_DEAD_REFUSED:
		batch_bury(d, b, a, DEAD_REFUSED);
		return;
	case OUTCOME_DEAD_TOO_LARGE:
		batch_bury(d, b, a, DEAD_TOO_LARGE);
		return;
	case OUTCOME_DEAD_AMBIGUOUS:
		batch_bury(d, b, a, DEAD_AMBIGUOUS);
		return;
	case OUTCOME_RETRY_NOW:
		/* what says nothing about the events is worth a note only when they may have been counted */
		if (attempt_is_ambiguous(a))
			note_failure(d, b, a, outcome);
		b->fresh = !a->multiplexed; /* or each of many opens a connection of its own */
		if (let_forgotten_go(d, b))
			batch_again(b);
		return;
	case OUTCOME_RETRY_DESTINATION:
	case OUTCOME_DESTINATION_WRONG:
	case OUTCOME_RETRY_BATCH:
	case OUTCOME_SPLIT:
	case OUTCOME_BISECT:
	case OUTCOME_COUNT:
		break;
	}
	note_failure(d, b, a, outcome);
	b->fresh = false;
	if (!let_forgotten_go(d, b))
		return;
	if (outcome == OUTCOME_SPLIT || outcome == OUTCOME_BISECT)
		split(d, b, a);
	else if (outcome == OUTCOME_RETRY_BATCH)
		park(d, b, a);
	else
		batch_again(b);
}

void dispatch_tap_expired(const struct dispatch *d, const struct due *due)
{
	struct tap_event e = {
	        .what = TAP_DEAD,
	        .sub = due_sub(due),
	        .index = due->index,
	        .id = due->id,
	        .reason = DEAD_EXPIRED,
	        .attempts = due->attempts,
	        .last_error = "",
	        .next_attempt_ms = -1,
	        .maybe_sent = due->maybe_sent,
	};

	if (tap_wanted(d->tap))
		d->tap->on_event(d->tap->arg, &e);
}

void dispatch_expire(struct dispatch *d, struct due *due)
{
	struct settle_attempt s = {.when_us = d->now.wall_us};

	dispatch_tap_expired(d, due);
	d->counters->dead[DEAD_EXPIRED]++;
	if (d->expiry)
		d->expiry->unreported++;
	settle_one(d, due, DEAD_EXPIRED, &s);
	due_settle(d->scheduler, due);
}
