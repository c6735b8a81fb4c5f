/* clock_skew.h - which wall clock an event was accepted by, remembered by ranges of ids
 *
 * Ages are compared in one time line: the boot-time clock plus base_us, the offset to the wall clock that is trusted
 * for what was in the outbox at start. Events accepted while the wall clock was off by more have an offset of their
 * own. Pure; microseconds. */
#ifndef POLICY_CLOCK_SKEW_H
#define POLICY_CLOCK_SKEW_H

#include <stddef.h>
#include <stdint.h>

enum { CLOCK_EPOCHS = 32 };

/* Events from this id on were accepted while the wall clock was this far ahead of the boot-time clock. */
struct clock_epoch {
	uint64_t first_id;
	int64_t offset_us;
};

struct clock_skew {
	int64_t base_us; /* offset for ids before the first epoch */
	struct clock_epoch epochs[CLOCK_EPOCHS];
	size_t n;
};

/* What to add to the time of an event to bring it into the common time line. */
int64_t clock_skew_of(const struct clock_skew *s, uint64_t id);
/* An event with that id is accepted now; ids ascend. A new epoch begins when the offset moved by more than a second.
 */
void clock_skew_note(struct clock_skew *s, uint64_t id, int64_t offset_us);

#endif
