/* macros.h - compiler attributes and idioms used everywhere */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stddef.h>

/* The caller must check the return value. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NONNULL_RET __attribute__((returns_nonnull))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Calls a destructor when the variable goes out of scope: `_cleanup_(buf_free) struct buf b =
 * BUF_INIT(max);` calls buf_free(&b). */
#define _cleanup_(f) __attribute__((cleanup(f)))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
