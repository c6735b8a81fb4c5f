/* failing_malloc.h - a test program's own allocator, whose n-th call from now on fails
 *
 * Included by one file of a program. Sanitizers and valgrind bring their own allocator: there malloc_can_fail() says
 * no, and the tests that need it skip themselves. */
#ifndef TEST_FAILING_MALLOC_H
#define TEST_FAILING_MALLOC_H

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static volatile long malloc_fails_at = -1; /* so many more succeed before one fails; below 0: none fails.
                                            * volatile: a compiler knows that malloc() reads no variable of ours */
/* Part of the name of a library that crashes without memory: its own allocations neither fail nor count. */
static const char *malloc_spares __attribute__((unused));

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool is_spared(void *caller)
{
	Dl_info from;

	if (!malloc_spares || !dladdr(caller, &from))
		return false;
	return strstr(from.dli_fname, malloc_spares);
}

static bool fails_now(void *caller)
{
	if (malloc_fails_at < 0 || is_spared(caller) || malloc_fails_at-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails_now(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails_now(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails_now(__builtin_return_address(0)) ? NULL : __libc_realloc(p, size);
}

/* libc's would ask for memory in libc's name, not in its caller's. Libraries of older days call it by its inner name.
 */
#undef strdup
char *__strdup(const char *text);

static char *copy_for(void *caller, const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = fails_now(caller) ? NULL : __libc_malloc(n);

	return copy ? memcpy(copy, text, n) : NULL;
}

char *strdup(const char *text)
{
	return copy_for(__builtin_return_address(0), text);
}

char *__strdup(const char *text)
{
	return copy_for(__builtin_return_address(0), text);
}
#endif

/* Has the armed failure happened? Disarms it. */
static inline bool malloc_failed(void)
{
	bool failed = malloc_fails_at < 0;

	malloc_fails_at = -1;
	return failed;
}

static inline bool malloc_can_fail(void)
{
	void *volatile p;

	malloc_fails_at = 0;
	p = malloc(1);
	malloc_fails_at = -1;
	free(p);
	return !p;
}

#endif
