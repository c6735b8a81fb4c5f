/* event_time.h - durations in the form that libevent expects
 *
 * On 32-bit systems the installed libevent may have been built with a 32-bit time_t, which this
 * program never uses. The two then disagree about struct timeval. */
#ifndef NET_EVENT_TIME_H
#define NET_EVENT_TIME_H

#include <assert.h>
#include <stdint.h>
#include <sys/time.h>

#include <event2/event-config.h>

#include "base/clock.h"

/* The layout of struct timeval in the installed libevent. */
struct event_time {
#if EVENT__SIZEOF_TIME_T == 4
	int32_t tv_sec, tv_usec;
#else
	time_t tv_sec;
	suseconds_t tv_usec;
#endif
};
static_assert(EVENT__SIZEOF_TIME_T == 4 || EVENT__SIZEOF_TIME_T == sizeof(time_t),
              "libevent's time_t is neither 32 bits wide nor this program's");

/* Fills *buf and returns it in the type of libevent's parameters. A negative duration counts as
 * 0. */
static inline const struct timeval *event_time(struct event_time *buf, int64_t us)
{
	us = us < 0 ? 0 : us;
	buf->tv_sec = us / US_PER_S > INT32_MAX ? INT32_MAX : (int32_t)(us / US_PER_S);
	buf->tv_usec = us % US_PER_S;
	return (const struct timeval *)buf;
}

#endif
