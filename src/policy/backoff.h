/* backoff.h - when to try again: exponential, capped, half of it by chance */
#ifndef POLICY_BACKOFF_H
#define POLICY_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t min_us, max_us; /* delivery.retry_min, retry_max */
};

/* How long to wait after the n-th failure in a row (n >= 1): b = min(max, min * 2^(n-1)); half of b is fixed,
 * the other half is multiplied by chance in [0, 1). Pure. */
int64_t backoff_wait_us(const struct backoff *b, unsigned n, double chance);

#endif
