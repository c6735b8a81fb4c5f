/* clock_skew.c - offsets of the wall clock under which events were accepted */
#include "policy/clock_skew.h"

#include <string.h>

enum { STEP_US = 1000 * 1000 }; /* a smaller difference is drift and starts no new epoch */

int64_t clock_skew_of(const struct clock_skew *s, uint64_t id)
{
	for (size_t i = s->n; i-- > 0;)
		if (id >= s->epochs[i].first_id)
			return s->base_us - s->epochs[i].offset_us;
	return 0;
}

void clock_skew_note(struct clock_skew *s, uint64_t id, int64_t offset_us)
{
	int64_t last = s->n > 0 ? s->epochs[s->n - 1].offset_us : s->base_us;
	int64_t step = offset_us > last ? offset_us - last : last - offset_us;
	if (step <= STEP_US)
		return;
	if (s->n == CLOCK_EPOCHS) {
		/* the clock is stepped often: drop the second-oldest epoch */
		memmove(&s->epochs[1], &s->epochs[2], (CLOCK_EPOCHS - 2) * sizeof(s->epochs[0]));
		s->n--;
	}
	s->epochs[s->n++] = (struct clock_epoch){id, offset_us};
}
