/* retry_after_header.h - Retry-After and Date, of which any nonsense may come */
#ifndef NET_HTTP_CLIENT_RETRY_AFTER_HEADER_H
#define NET_HTTP_CLIENT_RETRY_AFTER_HEADER_H

#include <stdint.h>

#include "base/slice.h"

/* value: the header's, without its name. wall_us: now, for the date form.
 * Microseconds, at most an hour ("7200" is an hour: wanting longer is not absurd). -1: neither whole seconds nor an
 * HTTP date ("1.5", "-3", "soon"), more digits than a number of seconds can have, or a date that has passed. */
int64_t http_retry_after(struct slice value, int64_t wall_us);

/* A Date header's time, microseconds since 1970; 0: none that can be understood. */
int64_t http_date_us(struct slice value);

#endif
