/* destination.h - the state of a stream's endpoint: up, backing off until a time, probing with one request
 *
 * Pure: times (monotonic, microseconds) and chance are passed in. The caller logs the change that
 * destination_settle() returns. */
#ifndef POLICY_DESTINATION_H
#define POLICY_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/backoff.h"
#include "policy/outcome.h"
#include "policy/window.h"

enum destination_state { DESTINATION_UP, DESTINATION_BACKING_OFF, DESTINATION_PROBING, DESTINATION_PAUSED };
const char *destination_state_name(enum destination_state s); /* "up", "backing-off", "probing", "paused" */

struct destination {
	enum destination_state state; /* never DESTINATION_PAUSED, which the operator sets and the caller keeps */
	struct window window;
	unsigned failures;           /* consecutive; failures of requests in flight together count once */
	unsigned transport_failures; /* consecutive; decides when to use fresh connections */
	int64_t until_us;            /* end of the backoff, while backing off */
	int64_t down_since_us;       /* since when, while not up */
	uint64_t next_seq;           /* number of the next request; the first is 1 */
	uint64_t first_seq;          /* lower requests went to another endpoint and are ignored */
	uint64_t down_seq;           /* lower requests were in flight when it went down; their failures are ignored */
	uint64_t probe_seq;          /* while probing: number of the probe; 0: not started yet */
	int64_t latest_success_us;   /* start of the latest-started request that got 2xx; INT64_MIN: none */
	int64_t latest_answer_us;    /* when the latest 2xx arrived */
	int64_t trouble_us;          /* when it last went down or a probe failed */
};

/* A batch's history. Zeroed for a new batch; the halves of a batch inherit it. */
struct batch_past {
	unsigned waits;   /* consecutive backoffs of this batch alone */
	unsigned denials; /* denials after which the destination stayed up and other batches succeeded */
	bool failed, refused, denied_last, refused_last;
	int64_t first_failed_us, last_failed_us; /* valid if failed */
	int64_t first_refused_us;                /* valid if refused */
};

enum destination_change {
	CHANGE_NONE,
	CHANGE_DOWN,   /* was up, now backs off: log one line */
	CHANGE_LONGER, /* a probe failed, a longer backoff: log nothing */
	CHANGE_UP      /* up again: log one line */
};

/* How a request ended. */
struct request_end {
	uint64_t seq;
	int64_t started_us, now_us;
	enum outcome outcome;
	bool others_succeed;    /* as passed to outcome_decide() */
	bool no_connection;     /* the transport failed */
	bool stale;             /* a kept connection turned out to be dead */
	int64_t retry_after_us; /* -1: none */
	double chance;          /* [0, 1) */
};

void destination_init(struct destination *d, unsigned max_requests);
/* Call when the endpoint changes: forgets everything learned. */
void destination_renew(struct destination *d, unsigned max_requests);
/* Number of requests that may be started now, given the number in flight. */
unsigned destination_slots(const struct destination *d, unsigned in_flight, int64_t now_us);
/* Notes the start of a request and returns its number; destination_slots() must have been > 0. While backing off, the
 * request is the probe and ends the backoff. */
uint64_t destination_start(struct destination *d);
/* Returns what outcome_decide() needs to know about a batch whose request ended. The caller fills in batch_events and
 * park_ambiguous. */
struct destination_recent destination_recent(const struct destination *d, const struct batch_past *past,
                                             int64_t started_us);
enum destination_change destination_settle(struct destination *d, const struct backoff *policy,
                                           const struct request_end *end);
/* Ends the backoff now, for an operator's flush. */
void destination_flush(struct destination *d, int64_t now_us);
/* Time until the next try while backing off; otherwise 0. */
int64_t destination_wait_us(const struct destination *d, int64_t now_us);
/* Whether to avoid kept connections: after several consecutive transport failures, a middlebox may have dropped
 * them. */
bool destination_wants_fresh(const struct destination *d);

/* Adds a failure with this status (0: none) to a batch's history. Call after destination_recent(). */
void batch_past_failed(struct batch_past *past, const struct destination_recent *recent, int status, int64_t now_us);

#endif
