/* batch_past.h - what a batch went through: whether its failures are its own, and how often it was refused alone
 *
 * Pure; times are monotonic, in microseconds. */
#ifndef POLICY_BATCH_PAST_H
#define POLICY_BATCH_PAST_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/outcome.h"

/* Refusals of a single event in a row: a 5xx or no answer begins them anew. Only those count after which another
 * request succeeded before the next one. */
struct lone_refusals {
	unsigned n;
	int64_t first_us, last_us; /* valid if n > 0 */
};

/* A batch's history. Zeroed for a new batch; the parts of a batch inherit it. */
struct batch_past {
	bool failed;       /* last_failed_us is valid */
	bool slow;         /* took a second or more to fail, and may hang again */
	bool cut;          /* a part of a batch that was bisected */
	bool accused;      /* refused as it is now, uncut: if it is taken after all, the refusal was the server's */
	bool refused;      /* first_refused_us is valid */
	unsigned failures; /* that may be its own fault */
	unsigned own;      /* … while others succeeded */
	unsigned tries;    /* that failed, of the batch as it is now, uncut */
	int64_t last_failed_us, first_refused_us;
	struct lone_refusals refusals, denials;
};

/* Evidence that a batch gives when it is taken. */
struct batch_taken {
	unsigned tries; /* that failed before, uncut */
	bool refused;   /* it was, or the whole that it is the last part of */
	bool part;      /* of what was cut by suspicion */
	bool innocent;  /* … and the last one: there was no culprit */
};

/* How one try of it failed. */
struct batch_failure {
	enum meaning meaning;
	bool blames_events;   /* outcome_blames_events() */
	bool late;            /* was in flight when the destination went down: one failure for all of those */
	bool nothing_passes;  /* took the destination down, or found it down */
	bool others_succeed;  /* since the failure before, or while this one hung */
	unsigned events;      /* in it */
	int64_t confirmed_us; /* when another request last succeeded with the destination up ever since; INT64_MIN */
	int64_t now_us;
	bool slow;
};

/* After some failures that were its own (one, if it hangs) it says nothing about the destination any more. */
bool batch_past_is_convicted(const struct batch_past *past);
/* Whether it may be what makes requests fail or hang, so that it must not take every place. */
bool batch_past_is_suspect(const struct batch_past *past);
/* Returns the count with one more at now_us. */
struct lone_refusals lone_refusals_add(const struct lone_refusals *before, int64_t confirmed_us, int64_t now_us);
/* Whether the refusal at now_us, which is the last one of `with`, makes at least n spread over spread_us. */
bool lone_refusals_enough(const struct lone_refusals *before, const struct lone_refusals *with, unsigned n,
                          int64_t spread_us);
void batch_past_add(struct batch_past *past, const struct batch_failure *f);
/* The kept connection died after all of it was written: mostly chance, but what hangs up on a batch does that. */
void batch_past_add_stale(struct batch_past *past);
/* It is cut: what happens to its parts says nothing about the whole. by_suspicion: because of a culprit in it, so
 * that the next failure cuts the parts again, unless the destination fails them by chance.
 */
void batch_past_cut(struct batch_past *past, bool by_suspicion, bool by_chance);

#endif
