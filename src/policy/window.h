/* window.h - how many requests may be in flight to a destination: additive increase, multiplicative decrease */
#ifndef POLICY_WINDOW_H
#define POLICY_WINDOW_H

#include <stdint.h>

enum { WINDOW_START = 4 };

struct window {
	unsigned size, max;  /* requests; 1 <= size <= max */
	unsigned successes;  /* since it last grew or shrank */
	uint64_t cut_before; /* requests numbered below it were in flight at the last cut: their failures cut no more
	                      */
};

void window_init(struct window *w, unsigned max);
/* delivery.max_requests changed. */
void window_set_max(struct window *w, unsigned max);
/* One more request for a whole window of successes. */
void window_success(struct window *w);
/* Halves, once for all failures of the requests that were in flight together: seq is the failed request's number,
 * next_seq the number that the next request will get. */
void window_failure(struct window *w, uint64_t seq, uint64_t next_seq);
/* After a failed episode: begins with one. */
void window_restart(struct window *w);

#endif
