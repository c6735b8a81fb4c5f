/* clock_skew.h - offsets of the wall clock under which events were accepted, by ranges of ids
 *
 * Ages are compared on one time line: the boot-time clock plus base_us, the wall clock's offset that is trusted for
 * events that were in the outbox at start. Events accepted while the wall clock differed from that have an offset of
 * their own. Pure; microseconds. */
#ifndef POLICY_CLOCK_SKEW_H
#define POLICY_CLOCK_SKEW_H

#include <stddef.h>
#include <stdint.h>

enum { CLOCK_EPOCHS = 32 };

/* Events from this id on were accepted while the wall clock was offset_us ahead of the boot-time clock. */
struct clock_epoch {
	uint64_t first_id;
	int64_t offset_us;
};

struct clock_skew {
	int64_t base_us; /* offset for ids below the first epoch */
	struct clock_epoch epochs[CLOCK_EPOCHS];
	size_t n;
};

/* Returns what to add to an event's time to bring it onto the common time line. */
int64_t clock_skew_of(const struct clock_skew *s, uint64_t id);
/* Notes that the event with this id is accepted now; ids ascend. A new epoch begins when the offset has moved by more
 * than one second. */
void clock_skew_note(struct clock_skew *s, uint64_t id, int64_t offset_us);

#endif
