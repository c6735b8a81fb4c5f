/* kernel_clock.h - reads the kernel's clocks, for test programs that replace glibc's clock_gettime()
 *
 * On 32 bits there are two clock_gettime(): the program's has a 64-bit time_t; the libraries' may have a 32-bit one,
 * which NARROW_CLOCK_GETTIME defines in addition to the program's. */
#ifndef TESTS_KERNEL_CLOCK_H
#define TESTS_KERNEL_CLOCK_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef SYS_clock_gettime64

static inline int kernel_clock(clockid_t id, struct timespec *ts)
{
	return (int)syscall(SYS_clock_gettime64, id, ts);
}

struct narrow_timespec {
	int32_t tv_sec, tv_nsec;
};

#define NARROW_CLOCK_GETTIME                                                                                         \
	int narrow_clock_gettime(clockid_t id, struct narrow_timespec *ret) __asm__("clock_gettime");                \
	int narrow_clock_gettime(clockid_t id, struct narrow_timespec *ret)                                          \
	{                                                                                                            \
		struct timespec ts;                                                                                  \
                                                                                                                     \
		if (clock_gettime(id, &ts) < 0)                                                                      \
			return -1;                                                                                   \
		if (ts.tv_sec != (int32_t)ts.tv_sec) {                                                               \
			errno = EOVERFLOW;                                                                           \
			return -1;                                                                                   \
		}                                                                                                    \
		*ret = (struct narrow_timespec){(int32_t)ts.tv_sec, (int32_t)ts.tv_nsec};                            \
		return 0;                                                                                            \
	}

#else

static inline int kernel_clock(clockid_t id, struct timespec *ts)
{
	return (int)syscall(SYS_clock_gettime, id, ts);
}

#define NARROW_CLOCK_GETTIME

#endif

#endif
