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

/* What it took after all. For ten minutes this tells whose fault its failures are. */
enum destination_took {
	TOOK_WHAT_IT_REFUSED, /* one bad server of several, or a rate limit: a refusal is no reason to blame events */
	TOOK_WHAT_IT_FAILED,  /* uncut after several tries, or all parts of it: it fails batches by chance */
	TOOK_A_PART,          /* of a batch that was cut for a culprit in it, which is there */
	TOOK_COUNT
};

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
	struct {                     /* since the latest 2xx */
		unsigned failures;   /* that count */
		int64_t since_us;    /* the first of them; valid if there are any */
		unsigned cut;        /* batches of several events that were cut at once */
	} run;
	int64_t took_us[TOOK_COUNT]; /* when it last did; INT64_MIN: never */
	struct {
		size_t bytes;
		int64_t at_us;
	} largest; /* body that got 2xx in the last two minutes */
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
	bool more_to_send; /* now, of what never failed */
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
void destination_took(struct destination *d, const struct batch_taken *taken, int64_t now_us);
/* Whether it fails or refuses batches for no reason of theirs: one that fails again and again may still have met one
 * bad server of several each time. */
bool destination_fails_by_chance(const struct destination *d, int64_t now_us);
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
