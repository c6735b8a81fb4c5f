/* backoff.h - time to wait before the next try: exponential, capped, half of it random */
#ifndef POLICY_BACKOFF_H
#define POLICY_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct backoff {
	int64_t min_us, max_us; /* delivery.retry_min, retry_max */
};

/* Returns the wait in microseconds after the n-th consecutive failure (n >= 1). b = min(max, min * 2^(n-1)); the wait
 * is b/2 plus b/2 times chance, which is in [0, 1). Pure. */
int64_t backoff_wait_us(const struct backoff *b, unsigned n, double chance);
/* Returns the wait of a batch that failed by itself while others succeed. The destination is well, so it begins with
 * a quarter of retry_min; from the fourth failed try on the wait doubles. Where the destination fails
 * batches by chance, it begins with a sixteenth and doubles from the seventeenth on. Pure. */
int64_t backoff_own_wait_us(const struct backoff *b, unsigned tries, bool by_chance, double chance);

#endif
