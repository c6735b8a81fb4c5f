/* clock_shim.c - preloaded into a relay under test: its clocks are the kernel's plus offsets that the test may change
 *
 * GA4RELAY_TEST_CLOCK names a file of two int64_t, nanoseconds: what is added to CLOCK_REALTIME, and what is added to
 * the clocks that only run forward (monotonic and boot-time). It is mapped, so a step is there at once. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/kernel_clock.h"

enum { WALL, FORWARD, N_OFFSETS };
static const volatile int64_t none[N_OFFSETS], *offsets = none;

__attribute__((constructor)) static void map_offsets(void)
{
	const char *path = getenv("GA4RELAY_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		abort();
	offsets = p;
	close(fd);
}

static int64_t offset_of(clockid_t id)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		return offsets[WALL];
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		return offsets[FORWARD];
	}
	return 0; /* of processes and threads */
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ns;
	int r = kernel_clock(id, ts);

	if (r == 0 && offset_of(id)) {
		ns = ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec + offset_of(id);
		ts->tv_sec = ns / 1000000000;
		ts->tv_nsec = ns % 1000000000;
	}
	return r;
}
NARROW_CLOCK_GETTIME

/* The relay's condition variables run on the monotonic clock: the kernel is asked in its own time. */
int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict lock,
                           const struct timespec *restrict until)
{
	int64_t ns = until->tv_sec * INT64_C(1000000000) + until->tv_nsec - offsets[FORWARD];
	struct timespec real = {ns / 1000000000, ns % 1000000000};

	return pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &real);
}

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

#ifdef SYS_clock_gettime64 /* what libraries of a 32-bit time_t call */

int32_t narrow_time(int32_t *ret) __asm__("time");
int32_t narrow_time(int32_t *ret)
{
	int32_t now = (int32_t)time(NULL);

	if (ret)
		*ret = now;
	return now;
}

int narrow_gettimeofday(int32_t tv[2], void *zone) __asm__("gettimeofday");
int narrow_gettimeofday(int32_t tv[2], void *zone)
{
	struct timeval now;

	gettimeofday(&now, zone);
	tv[0] = (int32_t)now.tv_sec;
	tv[1] = (int32_t)now.tv_usec;
	return 0;
}

#endif
