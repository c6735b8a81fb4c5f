/* destination.c - the state of a stream's endpoint: up, backing off until a time, probing with one request */
#include "policy/destination.h"

#include <assert.h>
#include <stddef.h>

#include "base/macros.h"
#include "policy/retry_after.h"

enum { FRESH_AFTER_FAILURES = 3 };

const char *destination_state_name(enum destination_state s)
{
	static const char *const names[] = {
	        [DESTINATION_UP] = "up",
	        [DESTINATION_BACKING_OFF] = "backing-off",
	        [DESTINATION_PROBING] = "probing",
	        [DESTINATION_PAUSED] = "paused",
	};
	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "";
}

void destination_init(struct destination *d, unsigned max_requests)
{
	*d = (struct destination){.state = DESTINATION_UP,
	                          .next_seq = 1,
	                          .latest_success_us = INT64_MIN,
	                          .latest_answer_us = INT64_MIN,
	                          .trouble_us = INT64_MIN};
	window_init(&d->window, max_requests);
}

void destination_renew(struct destination *d, unsigned max_requests)
{
	uint64_t next_seq = d->next_seq;
	destination_init(d, max_requests);
	d->next_seq = d->first_seq = next_seq;
}

/* The only place that changes the state; the table lists the permitted transitions. */
static void set_state(struct destination *d, enum destination_state to)
{
	static const bool legal[DESTINATION_PAUSED][DESTINATION_PAUSED] = {
	        [DESTINATION_UP] = {[DESTINATION_BACKING_OFF] = true},
	        [DESTINATION_BACKING_OFF] = {[DESTINATION_PROBING] = true},
	        [DESTINATION_PROBING] = {[DESTINATION_UP] = true, [DESTINATION_BACKING_OFF] = true},
	};
	assert(legal[d->state][to]);
	d->state = to;
	d->probe_seq = 0;
}

unsigned destination_slots(const struct destination *d, unsigned in_flight, int64_t now_us)
{
	switch (d->state) {
	case DESTINATION_UP:
		return d->window.size > in_flight ? d->window.size - in_flight : 0;
	case DESTINATION_BACKING_OFF:
		return now_us >= d->until_us ? 1 : 0;
	case DESTINATION_PROBING:
		return d->probe_seq == 0 ? 1 : 0;
	case DESTINATION_PAUSED:
		break;
	}
	return 0;
}

uint64_t destination_start(struct destination *d)
{
	uint64_t seq = d->next_seq++;
	if (d->state == DESTINATION_BACKING_OFF)
		set_state(d, DESTINATION_PROBING);
	if (d->state == DESTINATION_PROBING)
		d->probe_seq = seq;
	return seq;
}

/* Whether the latest denial concerned the batch alone: since then the destination has been up and other batches
 * succeeded. */
static bool denial_confirmed(const struct destination *d, const struct batch_past *past)
{
	return past->denied_last && d->trouble_us < past->last_failed_us &&
	       d->latest_success_us >= past->last_failed_us;
}

/* Whether other batches succeeded after the latest refusal, and nothing but that refusal took the destination down
 * since. */
static bool refusal_confirmed(const struct destination *d, const struct batch_past *past)
{
	return past->refused_last && d->trouble_us <= past->last_failed_us &&
	       d->latest_answer_us >= past->last_failed_us;
}

struct destination_recent destination_recent(const struct destination *d, const struct batch_past *past,
                                             int64_t started_us)
{
	struct destination_recent recent = {.failed_before = past->failed};
	recent.success_since_first_refusal = past->refused && d->latest_answer_us >= past->first_refused_us;
	recent.success_since_last_refusal = refusal_confirmed(d, past);
	/* Only the success of a request that started later proves that the destination worked then, because requests
	 * in flight together are answered in any order. */
	recent.others_succeed =
	        past->failed ? d->latest_success_us >= past->first_failed_us : d->latest_success_us > started_us;
	recent.own_denials =
	        past->denials + (denial_confirmed(d, past) ? 1 : 0) + (d->state == DESTINATION_UP ? 1 : 0);
	return recent;
}

void batch_past_failed(struct batch_past *past, const struct destination_recent *recent, int status, int64_t now_us)
{
	if (past->denied_last && recent->own_denials > past->denials + 1)
		past->denials++;
	past->denied_last = outcome_status_denies(status);
	if (!past->failed)
		past->first_failed_us = now_us;
	past->failed = true;
	past->last_failed_us = now_us;
	past->refused_last = outcome_status_refuses(status);
	if (!past->refused_last)
		return;
	if (!past->refused)
		past->first_refused_us = now_us;
	past->refused = true;
}

/* What an outcome reveals about the destination. */
enum verdict_on_destination { SAYS_NOTHING, SAYS_UP, SAYS_ANSWERS, SAYS_DOWN, SAYS_OWN_TROUBLE };

static enum verdict_on_destination outcome_says(const struct request_end *end)
{
	switch (end->outcome) {
	case OUTCOME_DELIVERED:
		return SAYS_UP;
	case OUTCOME_RETRY_DESTINATION:
	case OUTCOME_DESTINATION_WRONG:
		return SAYS_DOWN;
	case OUTCOME_RETRY_BATCH:
		return SAYS_OWN_TROUBLE;
	case OUTCOME_DEAD_AMBIGUOUS:
		if (end->stale) /* only a failure on a new connection counts */
			return SAYS_NOTHING;
		return end->others_succeed ? SAYS_OWN_TROUBLE : SAYS_DOWN;
	case OUTCOME_BISECT: /* a refused probe proves nothing while no other request succeeds */
		return end->others_succeed ? SAYS_ANSWERS : SAYS_NOTHING;
	case OUTCOME_SPLIT:
	case OUTCOME_DEAD_REFUSED:
	case OUTCOME_DEAD_TOO_LARGE:
		return SAYS_ANSWERS;
	case OUTCOME_RETRY_NOW:
	case OUTCOME_COUNT:
		break;
	}
	return SAYS_NOTHING;
}

static void back_off(struct destination *d, const struct backoff *policy, const struct request_end *end)
{
	int64_t wait_us = backoff_wait_us(policy, ++d->failures, end->chance);
	d->until_us = end->now_us + retry_after_obey(wait_us, end->retry_after_us);
	d->trouble_us = end->now_us;
	set_state(d, DESTINATION_BACKING_OFF);
}

static enum destination_change go_down(struct destination *d, const struct backoff *policy,
                                       const struct request_end *end)
{
	window_failure(&d->window, end->seq, d->next_seq);
	d->down_seq = d->next_seq;
	d->down_since_us = end->now_us;
	back_off(d, policy, end);
	return CHANGE_DOWN;
}

static enum destination_change settle_up(struct destination *d, const struct backoff *policy,
                                         const struct request_end *end, enum verdict_on_destination says)
{
	switch (says) {
	case SAYS_UP:
		d->failures = 0;
		window_success(&d->window);
		return CHANGE_NONE;
	case SAYS_DOWN:
		/* a request that was in flight during an earlier episode says nothing about the present */
		return end->seq < d->down_seq ? CHANGE_NONE : go_down(d, policy, end);
	case SAYS_OWN_TROUBLE:
		window_failure(&d->window, end->seq, d->next_seq);
		return CHANGE_NONE;
	case SAYS_ANSWERS:
	case SAYS_NOTHING:
		break;
	}
	return CHANGE_NONE;
}

static enum destination_change settle_probe(struct destination *d, const struct backoff *policy,
                                            const struct request_end *end, enum verdict_on_destination says)
{
	/* The same batch is retried at once on a new connection; or, if this one was parked, the next batch is
	 * sent. */
	if (end->outcome == OUTCOME_RETRY_NOW || (end->outcome == OUTCOME_DEAD_AMBIGUOUS && end->stale)) {
		d->probe_seq = 0;
		return CHANGE_NONE;
	}
	if (says == SAYS_UP || says == SAYS_ANSWERS) {
		d->failures = 0;
		window_restart(&d->window);
		set_state(d, DESTINATION_UP);
		return CHANGE_UP;
	}
	back_off(d, policy, end);
	return CHANGE_LONGER;
}

enum destination_change destination_settle(struct destination *d, const struct backoff *policy,
                                           const struct request_end *end)
{
	enum verdict_on_destination says = outcome_says(end);
	if (end->seq < d->first_seq)
		return CHANGE_NONE;
	if (says == SAYS_UP) {
		d->latest_answer_us = end->now_us;
		if (end->started_us > d->latest_success_us)
			d->latest_success_us = end->started_us;
	}
	if (end->outcome != OUTCOME_RETRY_NOW)
		d->transport_failures = end->no_connection ? d->transport_failures + 1 : 0;
	switch (d->state) {
	case DESTINATION_UP:
		return settle_up(d, policy, end, says);
	case DESTINATION_PROBING:
		return end->seq == d->probe_seq ? settle_probe(d, policy, end, says) : CHANGE_NONE;
	case DESTINATION_BACKING_OFF: /* in flight when it went down: only Retry-After counts */
		if (says == SAYS_DOWN)
			d->until_us = end->now_us + retry_after_obey(d->until_us - end->now_us, end->retry_after_us);
		return CHANGE_NONE;
	case DESTINATION_PAUSED:
		break;
	}
	return CHANGE_NONE;
}

void destination_flush(struct destination *d, int64_t now_us)
{
	if (d->state == DESTINATION_BACKING_OFF)
		d->until_us = now_us;
}

int64_t destination_wait_us(const struct destination *d, int64_t now_us)
{
	if (d->state != DESTINATION_BACKING_OFF || d->until_us <= now_us)
		return 0;
	return d->until_us - now_us;
}

bool destination_wants_fresh(const struct destination *d)
{
	return d->transport_failures >= FRESH_AFTER_FAILURES;
}
