/* backoff.c - time to wait before the next try: exponential, capped, half of it random */
#include "policy/backoff.h"

int64_t backoff_wait_us(const struct backoff *b, unsigned n, double chance)
{
	int64_t wait = b->min_us;
	for (unsigned i = 1; i < n && wait < b->max_us; i++)
		wait = wait > b->max_us / 2 ? b->max_us : wait * 2;
	if (wait > b->max_us)
		wait = b->max_us;
	int64_t fixed = wait / 2;
	return fixed + (int64_t)((double)(wait - fixed) * chance);
}

enum {
	SOON = 3, /* tries before the waits grow */
	SOON_IF_BY_CHANCE = 16,
	PART = 4, /* of retry_min that they begin with */
	PART_IF_BY_CHANCE = 16
};

int64_t backoff_own_wait_us(const struct backoff *b, unsigned tries, bool by_chance, double chance)
{
	const struct backoff own = {b->min_us / (by_chance ? PART_IF_BY_CHANCE : PART), b->max_us};
	unsigned soon = by_chance ? SOON_IF_BY_CHANCE : SOON;
	return backoff_wait_us(&own, tries <= soon ? 1 : tries - soon + 1, chance);
}
