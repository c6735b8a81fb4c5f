/* lent.h - events of another queue that delivery sends for their owner, the lender: the seam between delivery and
 * fleet
 *
 * They have ids of their own in memory, above any that an outbox gives, and the outbox knows nothing of them: their
 * outcomes go to the lender. Loop thread only. */
#ifndef EVENT_LENT_H
#define EVENT_LENT_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event_state.h"

/* JSON carries integers exactly up to 2^53. */
#define LENT_ID_FIRST (UINT64_C(1) << 52)

static inline bool id_is_lent(uint64_t id)
{
	return id >= LENT_ID_FIRST;
}

/* An event's past: its earlier tries. */
struct lent_past {
	uint32_t attempts;
	bool maybe_sent, no_expiry;
};

struct lent_outcome {
	enum { LENT_DELIVERED, LENT_DEAD, LENT_FAILED /* delivery keeps it and tries again */ } end;
	enum dead_reason reason; /* for LENT_DEAD */
	uint32_t attempts;       /* this one included */
	bool maybe_sent;
	int64_t when_us; /* wall clock: when the attempt began, or when it died untried */
	int status;      /* HTTP status; 0: none */
	const char *error, *answer;
};

struct lender {
	void *arg;
	/* An event that left delivery blocks its id until delivery_lent_settled(). The outcome is valid during the
	 * call. */
	void (*settle)(void *arg, uint64_t id, const struct lent_outcome *outcome);
	/* The event left delivery's memory without an outcome: it may be lent again at once. */
	void (*returned)(void *arg, uint64_t id);
};

#endif
