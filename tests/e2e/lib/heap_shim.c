/* heap_shim.c - preloaded into a relay under test: how many bytes it has from malloc
 *
 * They stand in the file of one int64_t that GA4RELAY_TEST_HEAP names. mallinfo2() will not do: what the threads'
 * caches keep counts as in use there, and a hundred KiB come and go with it. Of a relay that leaks nothing these
 * bytes are the same, to a KiB, whenever it has the same things open. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, under the names that it exports them by. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static _Atomic int64_t until_begin; /* what the loader's constructors take */
static _Atomic int64_t *in_use = &until_begin;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("GA4RELAY_TEST_HEAP");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*in_use), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		abort();
	close(fd);
	atomic_store((_Atomic int64_t *)p, until_begin);
	in_use = p;
}

static void *taken(void *p)
{
	if (p)
		atomic_fetch_add_explicit(in_use, (int64_t)malloc_usable_size(p), memory_order_relaxed);
	return p;
}

static void given_back(size_t bytes)
{
	atomic_fetch_sub_explicit(in_use, (int64_t)bytes, memory_order_relaxed);
}

void *malloc(size_t size)
{
	return taken(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return taken(__libc_calloc(n, size));
}

void free(void *p)
{
	given_back(malloc_usable_size(p));
	__libc_free(p);
}

void *realloc(void *p, size_t size)
{
	size_t before = malloc_usable_size(p);
	void *q = __libc_realloc(p, size);

	if (q || (p && size == 0))
		given_back(before);
	return taken(q);
}

void *memalign(size_t alignment, size_t size)
{
	return taken(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *p = memalign(alignment, size);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}
