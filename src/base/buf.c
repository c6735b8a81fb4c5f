/* buf.c - a growing byte buffer with a fixed maximum size */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64, DIGITS_U64 = 20 };

void buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->max);
}

void buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_free(b);
}

/* Allocates one byte more than cap, so that the NUL that printf writes does not count against
 * the maximum. */
static int set_cap(struct buf *b, size_t cap)
{
	char *p = realloc(b->data, cap + 1);

	if (!p)
		return -ENOMEM;
	b->data = p;
	b->cap = cap;
	return 0;
}

void buf_trim(struct buf *b, size_t keep)
{
	if (b->cap <= keep || b->len > keep)
		return;
	if (keep == 0) {
		buf_free(b);
		return;
	}
	if (set_cap(b, keep) < 0)
		return; /* on failure the larger block stays in use */
}

int buf_reserve(struct buf *b, size_t n)
{
	size_t need, cap;

	if (n <= b->cap - b->len)
		return 0;
	if (n > b->max - b->len)
		return -ENOBUFS;
	need = b->len + n;
	cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
	if (cap < FIRST_CAP)
		cap = FIRST_CAP < b->max ? FIRST_CAP : b->max;
	return set_cap(b, cap < need ? need : cap);
}

int buf_append(struct buf *b, const void *p, size_t n)
{
	int r;

	if (n == 0)
		return 0;
	r = buf_reserve(b, n);
	if (r < 0)
		return r;
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

int buf_append_slice(struct buf *b, struct slice s)
{
	return buf_append(b, s.p, s.n);
}

/* Writes the digits of v so that they end at `end`; returns a pointer to the first digit. */
static char *format_u64(uint64_t v, char *end)
{
	do
		*--end = (char)('0' + v % 10);
	while (v /= 10);
	return end;
}

int buf_append_u64(struct buf *b, uint64_t v)
{
	char text[DIGITS_U64];
	char *end = text + sizeof(text), *at = format_u64(v, end);

	return buf_append(b, at, (size_t)(end - at));
}

int buf_append_i64(struct buf *b, int64_t v)
{
	char text[DIGITS_U64 + 1];
	char *end = text + sizeof(text), *at = format_u64(v < 0 ? -(uint64_t)v : (uint64_t)v, end);

	if (v < 0)
		*--at = '-';
	return buf_append(b, at, (size_t)(end - at));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(b->data ? b->data + b->len : NULL, b->data ? b->cap - b->len + 1 : 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	if (!b->data || (size_t)n > b->cap - b->len) {
		r = buf_reserve(b, (size_t)n);
		if (r < 0 || n == 0)
			return r;
		va_start(ap, fmt);
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	b->len -= n;
	if (b->len && n)
		memmove(b->data, b->data + n, b->len);
}
