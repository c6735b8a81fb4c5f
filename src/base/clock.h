/* clock.h - the three clocks, read together; policy gets them as arguments and never reads one itself
 *
 * And what a thread did with its time, for whoever counts that. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define US_PER_MIN (60 * US_PER_S)
#define US_PER_H (3600 * US_PER_S)
#define US_PER_DAY (24 * US_PER_H)

struct now {
	int64_t wall_us; /* since 1970, CLOCK_REALTIME: what is stored and sent */
	int64_t mono_us; /* CLOCK_MONOTONIC: every waiting */
	int64_t boot_us; /* CLOCK_BOOTTIME: an event's age (it runs on through suspend) */
};

void clock_now(struct now *ret);
int64_t clock_mono_us(void);
int64_t clock_wall_us(void);
int64_t clock_boot_us(void);

/* The calling thread's own: time that other processes or the host of a virtual machine took away is not in it. */
struct thread_time {
	int64_t cpu_us;
	long waits; /* times that it gave up the processor by itself: for a lock, a disk, a pipe */
};
void clock_thread(struct thread_time *ret);

#endif
