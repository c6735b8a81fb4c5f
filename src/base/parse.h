/* parse.h - strict parsers for numbers, durations and sizes: the whole text must match */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"

/* Parses decimal digits without sign or space. Returns 0, -EINVAL or -ERANGE. */
int parse_u64(struct slice s, uint64_t *ret) MUST_CHECK;
/* Parses "200ms", "30s", "5m", "72h", "7d" or "0" into microseconds. Returns 0, -EINVAL (missing
 * or unknown unit) or -ERANGE. */
int parse_duration_us(struct slice s, int64_t *ret) MUST_CHECK;
/* Parses "64K", "1M", "8G" (powers of 1024) or "0" into bytes. Returns 0, -EINVAL or -ERANGE. */
int parse_size(struct slice s, uint64_t *ret) MUST_CHECK;
/* Converts the text of a valid JSON number to a double; -ERANGE if it is not finite ("1e400"). */
int parse_json_double(struct slice s, double *ret) MUST_CHECK;
/* Formats the shortest text that parse_duration_us() or parse_size() reads back as the same
 * value. buf has 32 bytes and is returned. */
const char *format_duration(int64_t us, char buf[32]);
const char *format_size(uint64_t bytes, char buf[32]);

#endif
