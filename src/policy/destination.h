/* destination.h - may a stream's endpoint be sent to: up, backing off until a time, probing with one request
 *
 * Pure: times (monotonic) and chance are passed in, the caller logs what destination_settle() says changed. */
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
	enum destination_state state; /* never DESTINATION_PAUSED: that is the operator's, kept by the caller */
	struct window window;
	unsigned failures;           /* in a row, those of one episode's requests in flight counted once */
	unsigned transport_failures; /* in a row: time for fresh connections */
	int64_t until_us;            /* while backing off */
	int64_t down_since_us;       /* while not up */
	uint64_t next_seq;           /* requests are numbered from 1 */
	uint64_t first_seq;          /* requests below it went to another endpoint and are ignored */
	uint64_t down_seq;  /* requests below it were in flight when it went down; their failures are ignored */
	uint64_t probe_seq; /* while probing: the one request; 0: to be started */
	int64_t latest_success_us; /* start of the latest started request that got 2xx; INT64_MIN: none */
	int64_t latest_answer_us;  /* when the latest 2xx came */
	int64_t trouble_us;        /* when it last failed: went down, or a probe came to nothing */
};

/* What one batch went through; zero is a new one. Halves of a batch inherit it. */
struct batch_past {
	unsigned waits;   /* own backoffs in a row */
	unsigned denials; /* after which the destination stayed up and others got through */
	bool failed, refused, denied_last, refused_last;
	int64_t first_failed_us, last_failed_us; /* when failed */
	int64_t first_refused_us;                /* when refused */
};

enum destination_change {
	CHANGE_NONE,
	CHANGE_DOWN,   /* it was up and backs off now: one line in the log */
	CHANGE_LONGER, /* the probe failed: waits longer, no line */
	CHANGE_UP      /* it is back: one line */
};

/* How a request ended. */
struct request_end {
	uint64_t seq;
	int64_t started_us, now_us;
	enum outcome outcome;
	bool others_succeed;    /* as outcome_decide() was told */
	bool no_connection;     /* the transport failed */
	bool stale;             /* it was a kept connection that turned out dead */
	int64_t retry_after_us; /* -1: none */
	double chance;          /* [0, 1) */
};

void destination_init(struct destination *d, unsigned max_requests);
/* The endpoint changed: everything learnt is forgotten. */
void destination_renew(struct destination *d, unsigned max_requests);
/* Requests that may be started now, given how many are in flight. */
unsigned destination_slots(const struct destination *d, unsigned in_flight, int64_t now_us);
/* A request starts (destination_slots() was > 0): its number. Ends the backing off: it is the probe. */
uint64_t destination_start(struct destination *d);
/* What outcome_decide() needs to know about a batch whose request ended; the caller adds batch_events and
 * park_ambiguous. */
struct destination_recent destination_recent(const struct destination *d, const struct batch_past *past,
                                             int64_t started_us);
enum destination_change destination_settle(struct destination *d, const struct backoff *policy,
                                           const struct request_end *end);
/* An operator's flush: the backoff ends now. */
void destination_flush(struct destination *d, int64_t now_us);
/* Until it may be tried: while backing off; else 0. */
int64_t destination_wait_us(const struct destination *d, int64_t now_us);
/* After a few transport failures in a row kept connections are not used: a middlebox may have dropped them. */
bool destination_wants_fresh(const struct destination *d);

/* Notes a failure with that status (0: none) in a batch's past, after destination_recent(). */
void batch_past_failed(struct batch_past *past, const struct destination_recent *recent, int status, int64_t now_us);

#endif
