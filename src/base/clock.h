/* clock.h - the three system clocks, read together, and the CPU use of a thread
 *
 * Policy code gets the time as an argument and never reads a clock itself. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define US_PER_MIN (60 * US_PER_S)
#define US_PER_H (3600 * US_PER_S)
#define US_PER_DAY (24 * US_PER_H)

struct now {
	/* Microseconds since 1970, CLOCK_REALTIME: timestamps that are stored and sent */
	int64_t wall_us;
	int64_t mono_us; /* CLOCK_MONOTONIC: delays and timeouts */
	/* CLOCK_BOOTTIME: the age of events, because it also runs during suspend */
	int64_t boot_us;
};

void clock_now(struct now *ret);
int64_t clock_mono_us(void);
int64_t clock_wall_us(void);
int64_t clock_boot_us(void);

/* CPU use of the calling thread. Time taken by other processes or by the host of a virtual
 * machine is not included. */
struct thread_time {
	int64_t cpu_us;
	long waits; /* voluntary context switches: waits for a lock, a disk or a pipe */
};
void clock_thread(struct thread_time *ret);

#endif
