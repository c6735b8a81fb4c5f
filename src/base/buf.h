/* buf.h - a growing byte buffer with a fixed maximum size */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"

struct buf {
	char *data;
	size_t len, cap, max; /* bytes; len <= cap <= max */
};

#define BUF_INIT(m) ((struct buf){.max = (m)})

void buf_init(struct buf *b, size_t max);
/* Frees the memory. The buffer is empty and usable afterwards; an empty buffer is allowed. */
void buf_free(struct buf *b);
/* Like buf_free(), for a buffer that held a secret: overwrites the memory first. */
void buf_wipe(struct buf *b);
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}
/* Shrinks the allocation to `keep` bytes if the content fits into that. */
void buf_trim(struct buf *b, size_t keep);
/* Makes room for n more bytes at data+len. Returns 0, -ENOBUFS (beyond max) or -ENOMEM; the
 * content is unchanged on failure. */
int buf_reserve(struct buf *b, size_t n) MUST_CHECK;
/* Appends all n bytes or nothing. Returns 0, -ENOBUFS or -ENOMEM. */
int buf_append(struct buf *b, const void *p, size_t n) MUST_CHECK;
int buf_append_slice(struct buf *b, struct slice s) MUST_CHECK;
static inline int MUST_CHECK buf_append_char(struct buf *b, char c)
{
	return b->len == b->cap ? buf_append(b, &c, 1) : (b->data[b->len++] = c, 0);
}
int buf_append_u64(struct buf *b, uint64_t v) MUST_CHECK;
int buf_append_i64(struct buf *b, int64_t v) MUST_CHECK;
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
/* Removes the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->data, b->len};
}

#endif
