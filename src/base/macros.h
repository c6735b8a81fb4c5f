/* macros.h - the few compiler idioms every module uses */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stddef.h>

/* Whoever calls must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NONNULL_RET __attribute__((returns_nonnull))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Frees on every way out: `_cleanup_(buf_free) struct buf b = BUF_INIT(max);` calls buf_free(&b). */
#define _cleanup_(f) __attribute__((cleanup(f)))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
