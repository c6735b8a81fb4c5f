/* parse.h - strict readers of numbers, durations and sizes: the whole text or an error */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"

/* Decimal digits only, no sign, no space. 0, -EINVAL, -ERANGE. */
int parse_u64(struct slice s, uint64_t *ret) MUST_CHECK;
/* "200ms" "30s" "5m" "72h" "7d", and "0" alone; to microseconds. 0, -EINVAL (no or unknown unit), -ERANGE. */
int parse_duration_us(struct slice s, int64_t *ret) MUST_CHECK;
/* "64K" "1M" "8G" (powers of 1024), and "0" alone; to bytes. 0, -EINVAL, -ERANGE. */
int parse_size(struct slice s, uint64_t *ret) MUST_CHECK;
/* A JSON number's text to double; -ERANGE when it is not finite ("1e400"). The text must be a JSON number. */
int parse_json_double(struct slice s, double *ret) MUST_CHECK;
/* The shortest text that parse_duration_us/parse_size reads back to the same. buf of 32 bytes; returns buf. */
const char *format_duration(int64_t us, char buf[32]);
const char *format_size(uint64_t bytes, char buf[32]);

#endif
