/* destination.h - the state of a stream's endpoint: up, backing off until a time, probing with one request
 *
 * It is down when nothing gets through; failures among successes only delay the batch that failed. Pure: times
 * (monotonic, microseconds) and chance are passed in. The caller logs the change that destination_settle() returns.
 */
#ifndef POLICY_DESTINATION_H
#define POLICY_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/backoff.h"
#include "policy/batch_past.h"
#include "policy/outcome.h"
#include "policy/window.h"

enum destination_state { DESTINATION_UP, DESTINATION_BACKING_OFF, DESTINATION_PROBING, DESTINATION_PAUSED };
const char *destination_state_name(enum destination_state s); /* "up", "backing-off", "probing", "paused" */

struct destination {
	enum destination_state state; /* never DESTINATION_PAUSED, which the operator sets and the caller keeps */
	struct window window;
	unsigned failures;           /* consecutive; failures of requests in flight together count once */
	unsigned transport_failures; /* consecutive; decides when to use fresh connections */
	bool wrong;                  /* while not up: it denies or refuses, rather than being broken or away */
	int64_t until_us;            /* end of the backoff, while backing off */
	int64_t down_since_us;       /* since when, while not up */
	uint64_t next_seq;           /* number of the next request; the first is 1 */
	uint64_t first_seq;          /* lower requests went to another endpoint and are ignored */
	uint64_t down_seq;           /* lower requests were in flight when it went down; their failures are ignored */
	uint64_t probe_seq;          /* while probing: number of the probe; 0: not started yet */
	int64_t latest_success_us;   /* start of the latest-started request that got 2xx; INT64_MIN: none */
	int64_t latest_answer_us;    /* when the latest 2xx arrived */
	int64_t trouble_us;          /* when it last went down or a probe failed */
	unsigned unbroken;           /* failures that count, since the latest 2xx */
	int64_t unbroken_since_us;   /* … the first of them */
	int64_t patchy_us;           /* when a success last followed several of them; INT64_MIN: never */
	unsigned several_refused;    /* batches of several events that were cut at once, since the latest 2xx */
	int64_t fickle_us;           /* when it last took what it had refused; INT64_MIN: never */
	int64_t flaky_us;            /* when it last took what it had failed several times; INT64_MIN: never */
	int64_t picky_us;            /* when it last took a part of what it had failed; INT64_MIN: never */
	struct {
		int64_t since_us;
		size_t bytes, before; /* largest body that got 2xx since then, and in the period before */
	} largest;
};

enum destination_change {
	CHANGE_NONE,
	CHANGE_DOWN,   /* was up, now backs off: log one line */
	CHANGE_LONGER, /* a probe failed, a longer backoff: log nothing */
	CHANGE_UP      /* up again: log one line */
};

/* A request that came to its end. */
struct request_facts {
	uint64_t seq;
	int64_t started_us, now_us;
	unsigned others_in_flight;
	unsigned events;
	size_t bytes; /* of the body */
};

/* What became of it. */
struct request_end {
	uint64_t seq;
	int64_t started_us, now_us;
	enum outcome outcome;
	struct destination_recent recent; /* as passed to outcome_decide() */
	bool no_answer;                   /* the transport failed */
	size_t bytes;                     /* of the body */
	double chance;                    /* [0, 1) */
};

void destination_init(struct destination *d, unsigned max_requests);
/* Call when the endpoint changes: forgets everything learned. */
void destination_renew(struct destination *d, unsigned max_requests);
/* Number of requests that may be started now, given the number in flight. */
unsigned destination_slots(const struct destination *d, unsigned in_flight, int64_t now_us);
/* Notes the start of a request and returns its number; destination_slots() must have been > 0. While backing off, the
 * request is the probe and ends the backoff. */
uint64_t destination_start(struct destination *d);
/* Returns what outcome_decide() needs to know about a batch whose request ended. The caller fills in park_ambiguous.
 * refuse_after_us: delivery.refuse_after. */
struct destination_recent destination_recent(const struct destination *d, const struct batch_past *past,
                                             const struct attempt *attempt, const struct request_facts *facts,
                                             int64_t refuse_after_us);
/* Returns the failure for batch_past_add(). */
struct batch_failure destination_failure(const struct destination *d, const struct batch_past *past,
                                         const struct attempt *attempt, const struct destination_recent *recent,
                                         const struct request_facts *facts);
enum destination_change destination_settle(struct destination *d, const struct backoff *policy,
                                           const struct request_end *end);
/* It took what it had refused: one bad server of several, or a rate limit. */
void destination_took_back_a_refusal(struct destination *d, int64_t now_us);
/* Whether it did so in the last ten minutes: another refusal may be no reason to blame the events. */
bool destination_is_fickle(const struct destination *d, int64_t now_us);
/* It took a batch after so many failed tries. */
void destination_took_after(struct destination *d, unsigned tries, int64_t now_us);
/* It took a part of a batch that was cut for a culprit. */
void destination_took_a_part(struct destination *d, int64_t now_us);
/* Whether a batch that fails again and again may still have met one bad server of several each time: it refuses or
 * fails events for no reason of theirs. */
bool destination_is_moody(const struct destination *d, int64_t now_us);
/* Ends the backoff now, for an operator's flush. */
void destination_flush(struct destination *d, int64_t now_us);
/* Time until the next try while backing off; otherwise 0. */
int64_t destination_wait_us(const struct destination *d, int64_t now_us);
/* Whether to avoid kept connections: after several consecutive transport failures, a middlebox may have dropped them;
 * after a failed probe, they may all lead to the one bad server of several. */
bool destination_wants_fresh(const struct destination *d);

/* Whether the parts of what was cut go first, because they show soonest whether the destination fails everything or
 * one event in each batch is the reason. Of probes every second one: parts may be all poison, while what came since
 * is taken. */
bool destination_wants_parts(const struct destination *d);

#endif
