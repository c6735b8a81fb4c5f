/* window.h - how many requests may be in flight to a destination: additive increase, multiplicative decrease */
#ifndef POLICY_WINDOW_H
#define POLICY_WINDOW_H

#include <stdint.h>

enum { WINDOW_START = 4 };

struct window {
	unsigned size, max;  /* requests; 1 <= size <= max */
	unsigned successes;  /* since the last change of size */
	uint64_t cut_before; /* lower requests were in flight at the last cut; their failures cause no further cut */
};

void window_init(struct window *w, unsigned max);
/* Call when delivery.max_requests changes. */
void window_set_max(struct window *w, unsigned max);
/* Call per success: the window grows by one request after a window of successes. */
void window_success(struct window *w);
/* Halves the window, once for all failures of requests that were in flight together. seq is the failed request's
 * number, next_seq the number of the next request. */
void window_failure(struct window *w, uint64_t seq, uint64_t next_seq);
/* Starts over with one request, after an episode of failures. */
void window_restart(struct window *w);

#endif
