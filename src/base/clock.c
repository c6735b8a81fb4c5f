/* clock.c - the three system clocks, read together, and the CPU use of a thread */
#include "base/clock.h"

#include <assert.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

/* configure sets the flags for 64-bit types: with 32 bits files end at 2 GiB and times in 2038. */
static_assert(sizeof(off_t) >= 8 && sizeof(time_t) >= 8, "off_t or time_t has 32 bits: run configure again");

static int64_t read_us(clockid_t id)
{
	struct timespec ts;

	/* Cannot fail: every Linux since 2.6.39 has all three clocks, and ts is valid. */
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

void clock_now(struct now *ret)
{
	ret->wall_us = read_us(CLOCK_REALTIME);
	ret->mono_us = read_us(CLOCK_MONOTONIC);
	ret->boot_us = read_us(CLOCK_BOOTTIME);
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

int64_t clock_boot_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

void clock_thread(struct thread_time *ret)
{
	struct rusage usage;

	/* The CPU times in usage are only updated at each tick, so the thread's CPU clock is
	 * read instead. */
	getrusage(RUSAGE_THREAD, &usage);
	*ret = (struct thread_time){.cpu_us = read_us(CLOCK_THREAD_CPUTIME_ID), .waits = usage.ru_nvcsw};
}
