/* window.c - how many requests may be in flight to a destination: additive increase, multiplicative decrease */
#include "policy/window.h"

enum { COUNTED_LEAST = 10 }; /* answers */

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

static void grow(struct window *w)
{
	if (++w->successes < w->size)
		return;
	w->successes = 0;
	if (w->size < w->max)
		w->size++;
}

/* By the share of failures above a tenth: a server that fails 12 % of the requests whatever their number is not
 * helped by fewer of them, while one that is overloaded soon fails far more than that. */
static void shrink(struct window *w, unsigned excess_tenths)
{
	uint64_t by = (uint64_t)w->size * excess_tenths / (10 * w->answers);
	if (by > w->size / 2)
		by = w->size / 2;
	w->size -= by > 0 ? (unsigned)by : w->size > 1;
	w->successes = 0;
}

void window_answer(struct window *w, uint64_t seq, uint64_t next_seq, bool failed)
{
	if (!failed)
		grow(w);
	if (seq < w->cut_before)
		return;
	w->answers++;
	w->failures += failed;
	if (w->answers < w->size || w->answers < COUNTED_LEAST)
		return;
	if (w->failures * 10 > w->answers) {
		shrink(w, w->failures * 10 - w->answers);
		w->cut_before = next_seq;
	}
	w->answers = w->failures = 0;
}

void window_restart(struct window *w)
{
	w->size = 1;
	w->successes = w->answers = w->failures = 0;
}
