/* failmalloc.c - an allocator for LD_PRELOAD whose n-th call fails: what becomes of the program when memory runs out
 *
 *	FAILMALLOC_AT=N     the N-th allocation after the start of counting fails
 *	FAILMALLOC_RUN=M    and the M-1 after it as well (default 1)
 *	FAILMALLOC_COUNT=F  at the end the number of allocations is written to the file F
 *	FAILMALLOC_GATE=F   counting starts once the file F exists; without: at once
 *	FAILMALLOC_SPARE=S  an allocation that a library made whose path holds S does not fail (libconfig ends the
 *process or crashes then: no library's caller can help that)
 *
 * Built as a shared object: cc -D_GNU_SOURCE -shared -fPIC -o failmalloc.so failmalloc.c -ldl. Counts across threads.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static atomic_ulong made;
static atomic_bool counting;
static unsigned long fail_at, fail_run = 1;
static char gate[256], count_file[256], spare[256];

static void copy(char to[256], const char *from)
{
	if (from && strlen(from) < 256)
		strcpy(to, from);
}

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("FAILMALLOC_AT"), *run = getenv("FAILMALLOC_RUN");
	void *frame;

	backtrace(&frame, 1); /* loads what it needs: allocates the first time only */

	fail_at = at ? strtoul(at, NULL, 10) : 0;
	fail_run = run ? strtoul(run, NULL, 10) : 1;
	copy(gate, getenv("FAILMALLOC_GATE"));
	copy(spare, getenv("FAILMALLOC_SPARE"));
	copy(count_file, getenv("FAILMALLOC_COUNT"));
	atomic_store(&counting, gate[0] == '\0');
}

__attribute__((destructor)) static void end(void)
{
	char text[32];
	int fd, n;

	if (count_file[0] == '\0')
		return;
	n = snprintf(text, sizeof(text), "%lu\n", atomic_load(&made));
	fd = open(count_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)!write(fd, text, (size_t)n);
	close(fd);
}

static bool gate_is_open(void)
{
	int before = errno;
	bool open_now;

	if (atomic_load_explicit(&counting, memory_order_relaxed))
		return true;
	open_now = access(gate, F_OK) == 0;
	errno = before;
	if (open_now)
		atomic_store(&counting, true);
	return open_now;
}

static bool is_spared(void)
{
	void *frames[16];
	int n = spare[0] ? backtrace(frames, 16) : 0;
	Dl_info info;

	for (int i = 0; i < n; i++)
		if (dladdr(frames[i], &info) && info.dli_fname && strstr(info.dli_fname, spare))
			return true;
	return false;
}

static bool fails(void)
{
	unsigned long n;

	if (!gate_is_open())
		return false;
	n = atomic_fetch_add(&made, 1) + 1;
	if (fail_at == 0 || n < fail_at || n >= fail_at + fail_run)
		return false;
	if (is_spared())
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails() ? NULL : __libc_realloc(p, size);
}
