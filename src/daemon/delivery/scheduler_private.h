/* scheduler_private.h - what the scheduler's files share among themselves */
#ifndef DAEMON_DELIVERY_SCHEDULER_PRIVATE_H
#define DAEMON_DELIVERY_SCHEDULER_PRIVATE_H

#include "daemon/delivery/scheduler.h"

struct lane_room {
	size_t events, bytes;
};
struct lane_room lane_room(const struct lane *l);

/* What is known of events that come into memory. */
struct load_past {
	uint32_t attempts;
	bool lingered, has_note, maybe_sent, no_expiry;
};
/* What a submission of one event is to have in its block, for its load to lie there. */
enum { LOAD_ROOM = (sizeof(struct load) + sizeof(struct due) + 15) / 16 * 16 };
/* All events of a submission that are not there yet. -ENOMEM: some are in, some not. Takes a reference. */
int lane_load(struct lane *l, struct submission *sub, const struct load_past *past, int64_t mono_us) MUST_CHECK;

/* When the outbox is to be looked into again though nothing else happens; INT64_MAX: not known yet, or never. */
int64_t lane_refill_at_us(const struct lane *l);

/* A waiting batch is in flight from here on. */
void batch_start(struct batch *b);
/* A batch leaves the lane's lists; or is in flight no more; its events are untouched. */
void batch_unlist(struct batch *b);

#endif
