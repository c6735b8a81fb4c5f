/* window.c - how many requests may be in flight to a destination: additive increase, multiplicative decrease */
#include "policy/window.h"

enum {
	COUNTED_LEAST = 10, /* answers */
	TOLERATED = 1,      /* tenths of the answers */
	TOLERATED_IN_VAIN = 7,
	HOLD_TIMES = 30,                /* as long as it was asked to wait, … */
	HOLD_MAX_US = 60 * 1000 * 1000, /* … at most */
	STEP = 3,                       /* a ceiling falls and rises by such a part of it */
	STEADY = 3                      /* windows of successes under it: asking then is not about the size */
};

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

static unsigned limit_of(const struct window *w)
{
	return w->ceiling && w->ceiling < w->max ? w->ceiling : w->max;
}

static void grow(struct window *w)
{
	if (++w->successes < w->size)
		return;
	w->successes = 0;
	if (w->size < limit_of(w))
		w->size++;
	else
		w->steady++;
}

/* By the share of failures above what is tolerated: a server that fails 12 % of the requests whatever their number is
 * not helped by fewer of them, while one that is overloaded soon fails far more than that. */
static unsigned excess_tenths(const struct window *w, unsigned n, unsigned tolerated_tenths)
{
	unsigned tolerated = w->answers * tolerated_tenths;
	return n * 10 > tolerated ? n * 10 - tolerated : 0;
}

/* Whether fewer requests help: after a cut, a larger share of them succeeds. With one bad server of two it does not.
 */
static void learn(struct window *w)
{
	unsigned percent = 100 * (w->answers - w->failures) / w->answers;
	if (w->cut)
		w->in_vain = 10 * percent <= 13 * w->cut_percent;
	else if (2 * (100 - percent) < 100 - w->cut_percent)
		w->in_vain = false;
	if (!w->in_vain)
		w->cut_percent = percent;
}

static bool shrink(struct window *w)
{
	unsigned few = excess_tenths(w, w->in_vain ? w->overloads : w->failures - w->refusals, TOLERATED);
	unsigned many = excess_tenths(w, w->failures, TOLERATED_IN_VAIN);
	unsigned excess = few > many ? few : many;
	uint64_t by = (uint64_t)w->size * excess / (10 * w->answers);
	w->size -= by > w->size / 2 ? w->size / 2 : (unsigned)by;
	return excess > 0;
}

void window_answer(struct window *w, uint64_t seq, uint64_t next_seq, enum window_answer answer)
{
	if (answer == WINDOW_SUCCESS)
		grow(w);
	if (seq < w->cut_before)
		return;
	w->answers++;
	w->failures += answer != WINDOW_SUCCESS;
	w->overloads += answer == WINDOW_OVERLOAD;
	w->refusals += answer == WINDOW_REFUSAL;
	if (w->answers < w->size || w->answers < COUNTED_LEAST)
		return;
	learn(w);
	w->cut = shrink(w);
	if (w->cut)
		w->cut_before = next_seq;
	w->answers = w->failures = w->overloads = w->refusals = 0;
}

static unsigned step_of(unsigned size)
{
	return size / STEP > 1 ? size / STEP : 1;
}

void window_told_to_wait(struct window *w, int64_t asked_us, int64_t now_us)
{
	unsigned less = w->steady >= STEADY ? 0 : step_of(w->size);
	w->ceiling = w->size > less ? w->size - less : 1;
	w->hold_us = asked_us < HOLD_MAX_US / HOLD_TIMES ? asked_us * HOLD_TIMES : HOLD_MAX_US;
	w->ceiling_until_us = now_us + asked_us + w->hold_us;
	w->steady = 0;
}

void window_lift(struct window *w, int64_t now_us)
{
	if (!w->ceiling || now_us < w->ceiling_until_us)
		return;
	w->ceiling += step_of(w->ceiling);
	w->steady = 0;
	w->ceiling_until_us = now_us + w->hold_us;
	if (w->ceiling >= w->max)
		w->ceiling = 0;
}

void window_restart(struct window *w)
{
	w->size = 1;
	w->successes = w->answers = w->failures = w->overloads = w->refusals = 0;
}
