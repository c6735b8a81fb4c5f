/* failing_malloc.h - a test program's own allocator, whose n-th call from now on fails
 *
 * Included by one file of a program. Sanitizers bring their own allocator: there FAILING_MALLOC is 0, and the tests
 * that need it skip themselves. */
#ifndef TEST_FAILING_MALLOC_H
#define TEST_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAILING_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAILING_MALLOC 0
#endif
#endif
#if !defined(FAILING_MALLOC) && defined(__GLIBC__)
#define FAILING_MALLOC 1
#elif !defined(FAILING_MALLOC)
#define FAILING_MALLOC 0
#endif

static long malloc_fails_at = -1; /* so many more succeed before one fails; below 0: none fails */

/* Has it failed? Disarms it. */
static inline bool malloc_failed(void)
{
	bool failed = malloc_fails_at < 0;

	malloc_fails_at = -1;
	return failed;
}

#if FAILING_MALLOC
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool fails_now(void)
{
	if (malloc_fails_at < 0 || malloc_fails_at-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails_now() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails_now() ? NULL : __libc_realloc(p, size);
}
#endif

#endif
