/* retry_after_header.h - strict parsers for the Retry-After and Date headers */
#ifndef NET_HTTP_CLIENT_RETRY_AFTER_HEADER_H
#define NET_HTTP_CLIENT_RETRY_AFTER_HEADER_H

#include <stdint.h>

#include "base/slice.h"

/* Parses the value of Retry-After; wall_us is the present time, for the date form. Returns
 * microseconds, at most an hour (a longer wait is cut to that), or -1 if the value is neither
 * whole seconds nor an HTTP date ("1.5", "-3", "soon"), has too many digits, or is a date that
 * has passed. */
int64_t http_retry_after(struct slice value, int64_t wall_us);

/* Parses the value of a Date header into microseconds since 1970; 0 if it is not a valid date. */
int64_t http_date_us(struct slice value);

#endif
