/* attempt_record.h - what is recorded of an event: attempts, how they ended, and why it died */
#ifndef OUTBOX_STORE_ATTEMPT_RECORD_H
#define OUTBOX_STORE_ATTEMPT_RECORD_H

#include "base/buf.h"
#include "outbox/store/store.h"

struct settle_attempt {               /* what all events of one batch share */
	int64_t when_us, duration_us; /* wall; duration */
	int status;                   /* 0: none */
	char error[160];              /* or the answer's first bytes for a refusal */
	char answer[256];
};

/* What was noted of an event (note.c). Slices live until the next note_get(). */
struct note {
	uint32_t attempts;
	bool maybe_sent, no_expiry;
	enum dead_reason reason;
	int last_status;
	struct slice last_error, answer, tries;
	int64_t settled_us;
};
/* 1: read; 0: nothing was noted (*ret is all zero); negative: trouble. note_done() ends the slices' life. */
int note_get(struct store *st, uint64_t id, struct note *ret) MUST_CHECK;
void note_done(struct store *st);
int note_put(struct store *st, uint64_t id, const struct note *note, bool is_new) MUST_CHECK;
/* An attempt's line put behind the tries, the oldest beyond ten taken away. */
int note_add_try(struct buf *b, struct slice tries, const struct settle_attempt *attempt) MUST_CHECK;
/* As a JSON array. */
int note_tries_json(struct buf *b, struct slice tries) MUST_CHECK;

#endif
