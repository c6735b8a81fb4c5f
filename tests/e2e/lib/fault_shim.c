/* fault_shim.c - preloaded into a relay: reads, writes and syncs of its outbox fail, are interrupted or come short by
 * chance
 *
 * FAULT_PATH: only files whose path begins so. FAULT_SEED: of the dice. FAULT_RATES: how often in a million calls, as
 * "read_eio=3000 write_enospc=500 …" with the names below. A sync that fails has not synced. */
/* Stands in for pread and for pread64: the headers must not give one the other's name. */
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum fault { READ_EIO, READ_EINTR, READ_SHORT, WRITE_EIO, WRITE_ENOSPC, WRITE_EINTR, WRITE_SHORT, SYNC_EIO, FAULTS };
static const char *const names[FAULTS] = {"read_eio",     "read_eintr",  "read_short",  "write_eio",
                                          "write_enospc", "write_eintr", "write_short", "sync_eio"};
static uint32_t rates[FAULTS];
static const char *path;
static uint64_t dice;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("FAULT_RATES"), *seed = getenv("FAULT_SEED");

	path = getenv("FAULT_PATH");
	dice = ((seed ? strtoull(seed, NULL, 10) : 1) + (uint64_t)getpid()) * 0x9e3779b97f4a7c15u | 1;
	for (int i = 0; text && i < FAULTS; i++) {
		const char *at = strstr(text, names[i]);

		if (at && at[strlen(names[i])] == '=')
			rates[i] = (uint32_t)strtoul(at + strlen(names[i]) + 1, NULL, 10);
	}
}

static int is_ours(int fd)
{
	char link[64], name[4096];
	int saved_errno = errno;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = path ? readlink(link, name, sizeof(name) - 1) : -1;
	errno = saved_errno;
	return n >= (ssize_t)strlen(path ? path : "") && strncmp(name, path, strlen(path)) == 0;
}

static int happens(enum fault f)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	n = dice >> 20;
	pthread_mutex_unlock(&lock);
	return n % 1000000 < rates[f];
}

static int fails(enum fault f, int error)
{
	if (!happens(f))
		return 0;
	errno = error;
	return 1;
}

/* The one for offsets of 64 bits, where the libc has two. */
static void *below(const char *name)
{
	char large[32];
	void *found;

	snprintf(large, sizeof(large), "%s64", name);
	found = dlsym(RTLD_NEXT, large);
	return found ? found : dlsym(RTLD_NEXT, name);
}

static ssize_t read_at(int fd, void *p, size_t n, int64_t at)
{
	ssize_t (*real)(int, void *, size_t, int64_t) = (ssize_t(*)(int, void *, size_t, int64_t))below("pread");

	if (is_ours(fd)) {
		if (fails(READ_EIO, EIO) || fails(READ_EINTR, EINTR))
			return -1;
		if (n > 1 && happens(READ_SHORT))
			n = n / 2;
	}
	return real(fd, p, n, at);
}

static ssize_t write_at(int fd, const void *p, size_t n, int64_t at)
{
	ssize_t (*real)(int, const void *, size_t, int64_t) =
	        (ssize_t(*)(int, const void *, size_t, int64_t))below("pwrite");

	if (is_ours(fd)) {
		if (fails(WRITE_EIO, EIO) || fails(WRITE_ENOSPC, ENOSPC) || fails(WRITE_EINTR, EINTR))
			return -1;
		if (n > 1 && happens(WRITE_SHORT))
			n = n / 2;
	}
	return real(fd, p, n, at);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	return read_at(fd, p, n, at);
}

ssize_t pread64(int fd, void *p, size_t n, int64_t at)
{
	return read_at(fd, p, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, int64_t at)
{
	return write_at(fd, p, n, at);
}

static int sync_by(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	return is_ours(fd) && fails(SYNC_EIO, EIO) ? -1 : real(fd);
}

int fsync(int fd)
{
	return sync_by("fsync", fd);
}

int fdatasync(int fd)
{
	return sync_by("fdatasync", fd);
}
