/* outcome_apply.c - an outcome is carried out: the batch leaves, goes again, waits for its own backoff, or is cut */
#include <stdio.h>
#include <string.h>

#include "delivery/delivery_private.h"
#include "policy/retry_after.h"

enum { FRESH_AFTER = 2 }; /* failures of a batch */

bool attempt_is_ambiguous(const struct attempt *a)
{
	return !outcome_status_decides(a->status) && a->body_sent && a->transport != TRANSPORT_LOCAL;
}

struct settle_attempt attempt_record(const struct attempt *a, enum outcome outcome)
{
	struct settle_attempt s = {.when_us = a->started_wall_us, .duration_us = a->duration_us, .status = a->status};
	if (outcome == OUTCOME_DELIVERED)
		return s;
	const char *error = a->status != 0 && a->error[0] == '\0' ? a->answer : a->error;
	snprintf(s.error, sizeof(s.error), "%.*s", (int)sizeof(s.error) - 1, error);
	memcpy(s.answer, a->answer, sizeof(s.answer));
	return s;
}

static void leave_whole(struct delivery *d, struct batch *b, struct departure how)
{
	how.batch = b;
	leave(d, b->events, b->n, &how);
	batch_free(b);
}

/* The events stay queued, with a record of the attempt. */
static void record_failure(struct delivery *d, struct batch *b, const struct attempt *a, enum outcome outcome)
{
	struct settlement what = {.kind = SETTLE_FAILED, .attempt = attempt_record(a, outcome)};
	settle(d->settler, b->events, b->n, &what);
	tap_batch(d, TAP_FAILED, b, a);
}

bool batch_let_forgotten_go(struct delivery *d, struct batch *b)
{
	for (unsigned i = b->n; i-- > 0;) {
		struct queued_event *e = b->events[i];
		if (!e->forgotten)
			continue;
		batch_drop_event(b, i);
		leave(d, &e, 1, &(struct departure){.as = LEAVE_DROPPED});
	}
	if (b->n > 0)
		return true;
	batch_free(b);
	return false;
}

static bool fails_by_chance(const struct delivery *d, const struct batch *b)
{
	return destination_fails_by_chance(&batch_stream(b)->destination, d->now.mono_us);
}

static void park(struct delivery *d, struct batch *b, const struct attempt *a)
{
	int64_t wait_us = backoff_own_wait_us(&d->backoff, b->past.tries, fails_by_chance(d, b), d->chance());
	batch_park(b, d->now.mono_us + retry_after_obey(wait_us, outcome_asked_wait_us(a)));
}

static void bisect(struct delivery *d, struct batch *b, const struct attempt *a, enum outcome outcome)
{
	if (b->n < 2 || batch_bisect(b, outcome == OUTCOME_BISECT, fails_by_chance(d, b)) < 0)
		park(d, b, a);
}

/* The batch stays: where it waits for its next try. */
static void wait_for_next_try(struct delivery *d, struct batch *b, const struct attempt *a, enum outcome outcome)
{
	bool now = outcome == OUTCOME_RETRY_NOW;
	log_batch(d, b, a, outcome);
	/* what says nothing about the events is worth a record only when they may have been counted */
	if (!now || attempt_is_ambiguous(a))
		record_failure(d, b, a, outcome);
	/* Multiplexed, each of many would open a connection of its own. What failed again and again may have gone to
	 * the one bad server of several each time, over a kept connection. */
	b->fresh = (now || b->past.failures >= FRESH_AFTER) && !a->multiplexed;
	if (!batch_let_forgotten_go(d, b))
		return;
	if (outcome == OUTCOME_SPLIT || outcome == OUTCOME_BISECT)
		bisect(d, b, a, outcome);
	else if (outcome == OUTCOME_RETRY_BATCH)
		park(d, b, a);
	else
		batch_again(b);
}

void outcome_apply(struct delivery *d, struct batch *b, const struct attempt *a, enum outcome outcome)
{
	struct departure how = {.as = LEAVE_DEAD, .attempt = a, .outcome = outcome};
	switch (outcome) {
	case OUTCOME_DELIVERED:
		how.as = LEAVE_DELIVERED;
		break;
	case OUTCOME_DEAD_REFUSED:
		how.reason = DEAD_REFUSED;
		break;
	case OUTCOME_DEAD_EXPIRED:
		how.reason = DEAD_EXPIRED;
		break;
	case OUTCOME_DEAD_TOO_LARGE:
		how.reason = DEAD_TOO_LARGE;
		break;
	case OUTCOME_DEAD_AMBIGUOUS:
		how.reason = DEAD_AMBIGUOUS;
		break;
	case OUTCOME_RETRY_NOW:
	case OUTCOME_RETRY_DESTINATION:
	case OUTCOME_DESTINATION_WRONG:
	case OUTCOME_RETRY_BATCH:
	case OUTCOME_SPLIT:
	case OUTCOME_BISECT:
	case OUTCOME_COUNT:
		wait_for_next_try(d, b, a, outcome);
		return;
	}
	leave_whole(d, b, how);
}
