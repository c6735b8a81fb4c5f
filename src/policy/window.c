/* window.c - how many requests may be in flight to a destination: additive increase, multiplicative decrease */
#include "policy/window.h"

void window_init(struct window *w, unsigned max)
{
	*w = (struct window){.max = max < 1 ? 1 : max};
	w->size = w->max < WINDOW_START ? w->max : WINDOW_START;
}

void window_set_max(struct window *w, unsigned max)
{
	w->max = max < 1 ? 1 : max;
	if (w->size > w->max)
		w->size = w->max;
}

void window_success(struct window *w)
{
	if (++w->successes < w->size)
		return;
	w->successes = 0;
	if (w->size < w->max)
		w->size++;
}

void window_failure(struct window *w, uint64_t seq, uint64_t next_seq)
{
	if (seq < w->cut_before)
		return;
	w->cut_before = next_seq;
	w->successes = 0;
	w->size = w->size > 1 ? w->size / 2 : 1;
}

void window_restart(struct window *w)
{
	w->size = 1;
	w->successes = 0;
}
