/* attempt_record.h - the attempt record of an event: attempts, results, reason of its death */
#ifndef OUTBOX_STORE_ATTEMPT_RECORD_H
#define OUTBOX_STORE_ATTEMPT_RECORD_H

#include "base/buf.h"
#include "outbox/store/store.h"

struct settle_attempt {               /* shared by all events of a batch */
	int64_t when_us, duration_us; /* wall clock, and duration */
	int status;                   /* HTTP status; 0: none */
	/* Error, or the first bytes of the answer to a refused request */
	char error[160];
	char answer[256];
};

/* The record of one event. Slices are valid until the next attempt_record_get(). */
struct attempt_record {
	uint32_t attempts;
	bool maybe_sent, no_expiry;
	enum dead_reason reason;
	int last_status;
	struct slice last_error, answer, tries;
	int64_t settled_us;
};
/* Returns 1 if read, 0 if there is no record (*ret is all zero), negative on trouble.
 * attempt_record_done() invalidates the slices. */
int attempt_record_get(struct store *st, uint64_t id, struct attempt_record *ret) MUST_CHECK;
void attempt_record_done(struct store *st);
int attempt_record_put(struct store *st, uint64_t id, const struct attempt_record *record, bool is_new) MUST_CHECK;
/* Appends an attempt's line to the recorded ones, and removes the oldest beyond ten. */
int attempt_record_add_try(struct buf *b, struct slice tries, const struct settle_attempt *attempt) MUST_CHECK;
/* Writes the attempts as a JSON array. */
int attempt_record_tries_json(struct buf *b, struct slice tries) MUST_CHECK;

#endif
