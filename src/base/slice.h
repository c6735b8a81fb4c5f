/* slice.h - a reference to bytes that something else owns */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *p; /* not NUL-terminated; may be NULL when n is 0 */
	size_t n;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})
#define SLICE_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct slice slice_of(const char *cstr)
{
	return (struct slice){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* True if part occurs anywhere in s. (memmem() must not be passed NULL, not even with 0 bytes.) */
static inline bool slice_has(struct slice s, struct slice part)
{
	return s.n >= part.n && (part.n == 0 || memmem(s.p, s.n, part.p, part.n) != NULL);
}

#endif
