/* batch_past.c - what a batch went through: whether its failures are its own, and how often it was refused alone */
#include "policy/batch_past.h"

enum {
	CONVICTED = 3,         /* failures of its own, each followed by another request's success */
	CONVICTED_IF_SLOW = 1, /* its tries are few, and it would take the destination down for all of that time */
	SUSPECT = 2,
	CUT_AT_ONCE = 2 /* failures that a part of a cut batch begins with: the next one cuts it again */
};

bool batch_past_is_convicted(const struct batch_past *past)
{
	return past->own >= (past->slow ? CONVICTED_IF_SLOW : CONVICTED);
}

bool batch_past_is_suspect(const struct batch_past *past)
{
	return past->cut || past->slow || past->own >= SUSPECT;
}

struct lone_refusals lone_refusals_add(const struct lone_refusals *before, int64_t confirmed_us, int64_t now_us)
{
	struct lone_refusals with = *before;
	bool last_counts = before->n > 0 && confirmed_us >= before->last_us;
	if (last_counts)
		with.n++;
	else if (before->n <= 1)
		with = (struct lone_refusals){.n = 1, .first_us = now_us};
	with.last_us = now_us;
	return with;
}

bool lone_refusals_enough(const struct lone_refusals *before, const struct lone_refusals *with, unsigned n,
                          int64_t spread_us)
{
	return with->n >= n && with->n > before->n && with->last_us - with->first_us >= spread_us;
}

static bool may_be_its_own(const struct batch_failure *f)
{
	switch (f->meaning) {
	case MEANS_NO_ANSWER:
	case MEANS_BROKEN:
	case MEANS_TOO_LARGE:
	case MEANS_REFUSED:
		return !f->late;
	case MEANS_DENIED:
		return !f->nothing_passes;
	case MEANS_DELIVERED:
	case MEANS_STALE:
	case MEANS_NO_CONNECTION:
	case MEANS_BUSY:
		break;
	}
	return false;
}

static void add_refusal(struct batch_past *past, const struct batch_failure *f)
{
	past->accused = true;
	if (!past->refused)
		past->first_refused_us = f->now_us;
	past->refused = true;
	if (f->events > 1)
		return;
	struct lone_refusals *of = f->meaning == MEANS_DENIED ? &past->denials : &past->refusals;
	*of = lone_refusals_add(of, f->confirmed_us, f->now_us);
}

void batch_past_add(struct batch_past *past, const struct batch_failure *f)
{
	bool may = may_be_its_own(f), several_too_large = f->meaning == MEANS_TOO_LARGE && f->events > 1;
	if (may && !several_too_large && f->others_succeed && past->own < CONVICTED)
		past->own++;
	if (may && past->failures < CONVICTED)
		past->failures++;
	if (f->blames_events)
		add_refusal(past, f);
	else if (f->meaning == MEANS_NO_ANSWER || f->meaning == MEANS_BROKEN)
		past->refusals = past->denials = (struct lone_refusals){0};
	past->tries++;
	past->slow |= f->slow;
	past->failed = true;
	past->last_failed_us = f->now_us;
}

void batch_past_add_stale(struct batch_past *past)
{
	if (past->failures < CONVICTED)
		past->failures++;
}

void batch_past_cut(struct batch_past *past, bool by_suspicion, bool by_chance)
{
	past->accused = false;
	past->tries = 0;
	past->failures = by_suspicion && !by_chance ? CUT_AT_ONCE : 0;
	past->cut |= by_suspicion;
}
