/* buf.h - a growing byte buffer that knows its maximum from birth */
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
/* Releases the memory; the buffer is empty and usable again. Takes an empty one too. */
void buf_free(struct buf *b);
/* The same for what held a secret: overwritten first. */
void buf_wipe(struct buf *b);
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}
/* Gives back memory beyond keep bytes when the content fits. */
void buf_trim(struct buf *b, size_t keep);
/* Room for n more bytes at data+len. 0, -ENOBUFS (past max) or -ENOMEM; content untouched on failure. */
int buf_reserve(struct buf *b, size_t n) MUST_CHECK;
/* All or nothing: 0, -ENOBUFS, -ENOMEM. */
int buf_append(struct buf *b, const void *p, size_t n) MUST_CHECK;
int buf_append_slice(struct buf *b, struct slice s) MUST_CHECK;
int buf_append_char(struct buf *b, char c) MUST_CHECK;
int buf_append_u64(struct buf *b, uint64_t v) MUST_CHECK;
int buf_append_i64(struct buf *b, int64_t v) MUST_CHECK;
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->data, b->len};
}

#endif
