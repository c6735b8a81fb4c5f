/* destination.c - the state of a stream's endpoint: up, backing off until a time, probing with one request */
#include "policy/destination.h"

#include <assert.h>
#include <stddef.h>

#include "base/macros.h"
#include "policy/retry_after.h"

enum {
	FRESH_AFTER_FAILURES = 3,
	FRESH_AFTER_PROBES = 2, /* failures, the one that took it down included */
	FULL_WINDOW_LEAST = 8,  /* answers */
	DISPROVABLE_LEAST = 24, /* one bad server of two gives eight failures in a row every few seconds */
	NO_CONNECTIONS = 8,     /* in a row, while something is in flight */
	REFUSALS_LEAST = 3,
	DENIALS_LEAST = 10,
	SEVERAL_TRIES = 2,        /* failed ones, before it took the batch */
	CUT_SEVERAL = 3,          /* batches in a row, without a success */
	DENIED_TIMES_LONGER = 10, /* the spread of denials, in units of delivery.refuse_after */
	SLOW_US = 1000 * 1000,
	LATELY_US = 10 * 1000 * 1000,
	SIZE_US = 120 * 1000 * 1000, /* how long the largest body is remembered */
	TOOK_US = 600 * 1000 * 1000  /* how long what was taken after all casts doubt on failures */
};

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
	                          .trouble_us = INT64_MIN,
	                          .took_us = {INT64_MIN, INT64_MIN, INT64_MIN}};
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

/* ---- what the end of a request reveals ---- */

static bool is_late(const struct destination *d, uint64_t seq)
{
	return seq < d->down_seq;
}

static bool passed_lately(const struct destination *d, int64_t now_us)
{
	return d->latest_answer_us > now_us - LATELY_US;
}

static bool refuses_several(enum meaning meaning, unsigned events)
{
	return (meaning == MEANS_REFUSED || meaning == MEANS_TOO_LARGE) && events > 1;
}

static bool is_slow(const struct request_facts *f)
{
	return f->now_us - f->started_us >= SLOW_US;
}

/* One that hung, while a request that started after it was taken. A quick failure among others is mostly chance. */
static bool overtaken(const struct destination *d, const struct request_facts *f)
{
	return is_slow(f) && d->latest_success_us >= f->started_us;
}

static bool took_lately(const struct destination *d, enum destination_took what, int64_t now_us)
{
	return d->took_us[what] > now_us - TOOK_US;
}

bool destination_fails_by_chance(const struct destination *d, int64_t now_us)
{
	return took_lately(d, TOOK_WHAT_IT_REFUSED, now_us) || took_lately(d, TOOK_WHAT_IT_FAILED, now_us);
}

/* Where events are the reason that batches fail, this one is mostly failed for one of its events, too. */
static bool has_culprit(const struct destination *d, enum meaning meaning, const struct request_facts *f)
{
	bool failed = meaning == MEANS_BROKEN || meaning == MEANS_NO_ANSWER;
	return failed && !is_slow(f) && f->events > 1 && took_lately(d, TOOK_A_PART, f->now_us) &&
	       !destination_fails_by_chance(d, f->now_us);
}

/* Whether a failure says something about the destination: not that of a batch whose failures are known to be its own,
 * nor of several events whose parts are tried next. */
static bool counts(const struct destination *d, const struct batch_past *past, enum meaning meaning,
                   const struct request_facts *f)
{
	if (meaning == MEANS_DELIVERED || meaning == MEANS_STALE)
		return false;
	if (d->state != DESTINATION_UP || is_late(d, f->seq))
		return false;
	if (meaning == MEANS_NO_CONNECTION)
		return true;
	if (refuses_several(meaning, f->events) || has_culprit(d, meaning, f))
		return false;
	return !batch_past_is_convicted(past);
}

/* Whether a failure that counts is the last one of a full window without a success; or no connection can be made; or
 * nothing but failures came for a while, and nothing may soon disprove it. */
static bool nothing_passes(const struct destination *d, enum meaning meaning, const struct request_facts *f)
{
	unsigned n = d->run.failures + 1;
	bool disprovable = f->others_in_flight > 0 || f->more_to_send || destination_fails_by_chance(d, f->now_us);
	unsigned least = disprovable ? DISPROVABLE_LEAST : FULL_WINDOW_LEAST;
	if (n >= least && n >= d->window.size)
		return true;
	if (meaning == MEANS_NO_CONNECTION && d->latest_answer_us < f->started_us)
		return !passed_lately(d, f->now_us) || f->others_in_flight == 0 || n >= NO_CONNECTIONS;
	if (passed_lately(d, f->now_us))
		return false;
	if (f->others_in_flight == 0 && (is_slow(f) || !f->more_to_send))
		return true;
	return d->run.failures > 0 && f->now_us - d->run.since_us >= LATELY_US;
}

/* Only the success of a request that started later proves that the destination worked then, because requests in
 * flight together are answered in any order. */
static bool others_succeed(const struct destination *d, const struct batch_past *past)
{
	return past->failed && d->latest_success_us >= past->last_failed_us;
}

/* "Slow down" concerns every request, unless this batch is told so again while others succeed. */
static int64_t everyone_asked_us(const struct destination *d, const struct batch_past *past,
                                 const struct attempt *attempt)
{
	return others_succeed(d, past) || batch_past_is_convicted(past) ? 0 : outcome_asked_wait_us(attempt);
}

/* When a success last showed that not everything is refused; INT64_MIN if the destination went down since. */
static int64_t confirmed_us(const struct destination *d, const struct batch_past *past)
{
	return d->trouble_us > past->last_failed_us ? INT64_MIN : d->latest_answer_us;
}

/* Others were taken since it was first refused; or until now, and this is the first failure since. */
static bool refused_while_others_pass(const struct destination *d, const struct batch_past *past, int64_t now_us)
{
	if (past->refused && d->latest_answer_us >= past->first_refused_us)
		return true;
	return passed_lately(d, now_us) && d->run.failures == 0 && d->run.cut == 0;
}

static bool refused_enough(const struct destination *d, const struct batch_past *past, int64_t now_us,
                           int64_t refuse_after_us)
{
	if (refuse_after_us == 0)
		return refused_while_others_pass(d, past, now_us);
	struct lone_refusals with = lone_refusals_add(&past->refusals, confirmed_us(d, past), now_us);
	return !took_lately(d, TOOK_WHAT_IT_REFUSED, now_us) &&
	       lone_refusals_enough(&past->refusals, &with, REFUSALS_LEAST, refuse_after_us);
}

static bool denied_enough(const struct destination *d, const struct batch_past *past, int64_t now_us,
                          int64_t refuse_after_us)
{
	struct lone_refusals with = lone_refusals_add(&past->denials, confirmed_us(d, past), now_us);
	if (refuse_after_us > 0 && took_lately(d, TOOK_WHAT_IT_REFUSED, now_us))
		return false;
	return lone_refusals_enough(&past->denials, &with, DENIALS_LEAST, refuse_after_us * DENIED_TIMES_LONGER);
}

static bool takes(const struct destination *d, size_t bytes, int64_t now_us)
{
	return bytes <= d->largest.bytes && now_us - d->largest.at_us < SIZE_US;
}

static void note_size(struct destination *d, size_t bytes, int64_t now_us)
{
	if (bytes < d->largest.bytes && now_us - d->largest.at_us < SIZE_US)
		return;
	d->largest.bytes = bytes;
	d->largest.at_us = now_us;
}

static bool is_refusal(enum meaning meaning)
{
	return meaning == MEANS_DENIED || meaning == MEANS_REFUSED || meaning == MEANS_TOO_LARGE;
}

/* An overloaded server says so, or is slow. */
static bool is_overload(const struct attempt *attempt, enum meaning meaning, const struct request_facts *f)
{
	return meaning == MEANS_BUSY || attempt->status == 503 || (is_slow(f) && !is_refusal(meaning));
}

/* A failure of a batch that failed before while others succeed says nothing about the number of requests; nor does a
 * refusal, unless the destination takes later what it refuses, as a rate limit does. */
static bool congests(const struct destination *d, const struct batch_past *past, enum meaning meaning,
                     const struct request_facts *f)
{
	if (is_late(d, f->seq) || meaning == MEANS_DELIVERED || meaning == MEANS_STALE)
		return false;
	if (is_refusal(meaning))
		return took_lately(d, TOOK_WHAT_IT_REFUSED, f->now_us);
	return !others_succeed(d, past) && !overtaken(d, f) && !has_culprit(d, meaning, f);
}

struct destination_recent destination_recent(const struct destination *d, const struct batch_past *past,
                                             const struct attempt *attempt, const struct request_facts *facts,
                                             int64_t refuse_after_us)
{
	int64_t now_us = facts->now_us;
	enum meaning meaning = outcome_meaning(attempt);
	bool late = is_late(d, facts->seq);
	struct destination_recent recent = {.meaning = meaning, .batch_events = facts->events};
	recent.others_succeed = others_succeed(d, past) || overtaken(d, facts);
	recent.congests = congests(d, past, meaning, facts);
	recent.overload = is_overload(attempt, meaning, facts);
	recent.asked_wait_us = everyone_asked_us(d, past, attempt);
	recent.counts = counts(d, past, meaning, facts) && (recent.asked_wait_us > 0 || !overtaken(d, facts));
	recent.nothing_passes = d->state != DESTINATION_UP || late || recent.asked_wait_us > 0 ||
	                        (recent.counts && nothing_passes(d, meaning, facts));
	recent.takes_refused = took_lately(d, TOOK_WHAT_IT_REFUSED, now_us);
	recent.has_culprit = has_culprit(d, meaning, facts);
	recent.takes_its_size = takes(d, facts->bytes, now_us);
	recent.refused_enough = refused_enough(d, past, now_us, refuse_after_us);
	recent.denied_enough = denied_enough(d, past, now_us, refuse_after_us);
	recent.failures = late ? 0 : past->failures;
	return recent;
}

struct batch_failure destination_failure(const struct destination *d, const struct batch_past *past,
                                         const struct attempt *attempt, const struct destination_recent *recent,
                                         const struct request_facts *facts)
{
	return (struct batch_failure){
	        .meaning = recent->meaning,
	        .blames_events = outcome_blames_events(attempt),
	        .late = is_late(d, facts->seq),
	        .nothing_passes = recent->nothing_passes,
	        .others_succeed = recent->others_succeed,
	        .events = facts->events,
	        .confirmed_us = confirmed_us(d, past),
	        .now_us = facts->now_us,
	        .slow = is_slow(facts),
	};
}

void destination_took(struct destination *d, const struct batch_taken *taken, int64_t now_us)
{
	const bool took[TOOK_COUNT] = {
	        [TOOK_WHAT_IT_REFUSED] = taken->refused,
	        [TOOK_WHAT_IT_FAILED] = taken->innocent || taken->tries >= SEVERAL_TRIES,
	        [TOOK_A_PART] = taken->part && !taken->innocent,
	};
	for (size_t i = 0; i < TOOK_COUNT; i++)
		if (took[i])
			d->took_us[i] = now_us;
}

/* ---- what it does to the state ---- */

static void back_off(struct destination *d, const struct backoff *policy, const struct request_end *end)
{
	int64_t wait_us = backoff_wait_us(policy, ++d->failures, end->chance);
	d->until_us = end->now_us + retry_after_obey(wait_us, end->recent.asked_wait_us);
	d->trouble_us = end->now_us;
	d->wrong = is_refusal(end->recent.meaning) || end->outcome == OUTCOME_DESTINATION_WRONG;
	set_state(d, DESTINATION_BACKING_OFF);
}

static enum destination_change go_down(struct destination *d, const struct backoff *policy,
                                       const struct request_end *end)
{
	d->down_seq = d->next_seq;
	d->down_since_us = end->now_us;
	d->run.failures = 0;
	if (end->recent.asked_wait_us > 0)
		window_told_to_wait(&d->window, end->recent.asked_wait_us, end->now_us);
	back_off(d, policy, end);
	return CHANGE_DOWN;
}

static enum window_answer window_answer_of(const struct destination_recent *recent)
{
	if (recent->overload)
		return WINDOW_OVERLOAD;
	return is_refusal(recent->meaning) ? WINDOW_REFUSAL : WINDOW_FAILURE;
}

static enum destination_change settle_up(struct destination *d, const struct backoff *policy,
                                         const struct request_end *end)
{
	const struct destination_recent *recent = &end->recent;
	if (end->outcome == OUTCOME_DELIVERED) {
		d->failures = 0;
		window_lift(&d->window, end->now_us);
		window_answer(&d->window, end->seq, d->next_seq, WINDOW_SUCCESS);
		return CHANGE_NONE;
	}
	if (recent->counts && recent->nothing_passes)
		return go_down(d, policy, end);
	if (recent->congests)
		window_answer(&d->window, end->seq, d->next_seq, window_answer_of(recent));
	if (recent->counts && d->run.failures++ == 0)
		d->run.since_us = end->now_us;
	return CHANGE_NONE;
}

/* Several events that are refused show that a destination that was away is there again; one that had refused
 * everything must take something first. */
static bool probe_passed(const struct destination *d, const struct request_end *end)
{
	return end->outcome == OUTCOME_DELIVERED ||
	       (!d->wrong && refuses_several(end->recent.meaning, end->recent.batch_events));
}

static enum destination_change settle_probe(struct destination *d, const struct backoff *policy,
                                            const struct request_end *end)
{
	/* The same batch is retried at once on a new connection; or, if this one was parked, the next batch is
	 * sent. */
	if (end->recent.meaning == MEANS_STALE) {
		d->probe_seq = 0;
		return CHANGE_NONE;
	}
	if (probe_passed(d, end)) {
		d->failures = 0;
		window_restart(&d->window);
		set_state(d, DESTINATION_UP);
		return CHANGE_UP;
	}
	back_off(d, policy, end);
	return CHANGE_LONGER;
}

static void note_success(struct destination *d, const struct request_end *end)
{
	d->latest_answer_us = end->now_us;
	d->run.failures = d->run.cut = 0;
	if (end->started_us > d->latest_success_us)
		d->latest_success_us = end->started_us;
	note_size(d, end->bytes, end->now_us);
}

enum destination_change destination_settle(struct destination *d, const struct backoff *policy,
                                           const struct request_end *end)
{
	if (end->seq < d->first_seq)
		return CHANGE_NONE;
	if (end->outcome == OUTCOME_DELIVERED)
		note_success(d, end);
	if (end->recent.has_culprit || (end->recent.meaning == MEANS_REFUSED && end->recent.batch_events > 1))
		d->run.cut++;
	if (end->recent.meaning != MEANS_STALE)
		d->transport_failures = end->no_answer ? d->transport_failures + 1 : 0;
	switch (d->state) {
	case DESTINATION_UP:
		return settle_up(d, policy, end);
	case DESTINATION_PROBING:
		return end->seq == d->probe_seq ? settle_probe(d, policy, end) : CHANGE_NONE;
	case DESTINATION_BACKING_OFF: /* in flight when it went down: only Retry-After counts */
		d->until_us = end->now_us + retry_after_obey(d->until_us - end->now_us, end->recent.asked_wait_us);
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

bool destination_wants_parts(const struct destination *d)
{
	if (d->state == DESTINATION_UP)
		return d->run.cut >= CUT_SEVERAL;
	return d->failures % 2 == d->wrong;
}

bool destination_wants_fresh(const struct destination *d)
{
	return d->transport_failures >= FRESH_AFTER_FAILURES ||
	       (d->state != DESTINATION_UP && d->failures >= FRESH_AFTER_PROBES);
}
