/* window.h - how many requests may be in flight to a destination: additive increase, multiplicative decrease */
#ifndef POLICY_WINDOW_H
#define POLICY_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum { WINDOW_START = 4 };

struct window {
	unsigned size, max;                              /* requests; 1 <= size <= max */
	unsigned successes;                              /* since it last grew */
	unsigned steady;                                 /* windows of them since it can grow no further */
	unsigned answers, failures, overloads, refusals; /* of the window of answers that is being counted */
	uint64_t cut_before;               /* lower requests were in flight at the last cut and are not counted */
	bool cut;                          /* the latest window of answers did */
	unsigned cut_percent;              /* of them succeeded then */
	bool in_vain;                      /* … and after it no more did */
	unsigned ceiling;                  /* it grows no further for now; 0: up to max */
	int64_t ceiling_until_us, hold_us; /* … until then, and for so long each time; valid with a ceiling */
};

void window_init(struct window *w, unsigned max);
/* Call when delivery.max_requests changes. */
void window_set_max(struct window *w, unsigned max);
enum window_answer { WINDOW_SUCCESS, WINDOW_OVERLOAD, WINDOW_REFUSAL, WINDOW_FAILURE /* another */ };
/* Call per answer. The window grows by one per window of successes. After each window of answers (at least ten, so
 * that one failure is never more than a tenth) it shrinks by as much as the failures exceed a tenth of them, at most
 * by half. When that was in vain, because as many fail as before, those that are no sign of overload are tolerated up
 * to seven tenths, as refusals always are, until half as many fail: one bad server of two is not helped by fewer
 * requests, a rate limit is. seq is the request's number, next_seq the number of the next request. */
void window_answer(struct window *w, uint64_t seq, uint64_t next_seq, enum window_answer answer);
/* The destination asked for a pause (Retry-After) at this size. So that it does not have to ask again as soon as the
 * window has grown to it, growth stops below it for thirty times as long, a minute at most; or at it, where it was
 * taken for some windows before. */
void window_told_to_wait(struct window *w, int64_t asked_us, int64_t now_us);
/* Raises the ceiling by a step when its time is over. Monotonic. */
void window_lift(struct window *w, int64_t now_us);
/* Starts over with one request, after an episode of failures. The ceiling stays. */
void window_restart(struct window *w);

#endif
