/* retry_after.h - the only place where Retry-After is obeyed (net/http_client/retry_after_header.c parses it) */
#ifndef POLICY_RETRY_AFTER_H
#define POLICY_RETRY_AFTER_H

#include <stdint.h>

/* Returns the policy's wait, or the server's if that is longer. Microseconds; retry_after_us < 0: none requested.
 * Pure. */
static inline int64_t retry_after_obey(int64_t wait_us, int64_t retry_after_us)
{
	return wait_us > retry_after_us ? wait_us : retry_after_us;
}

#endif
