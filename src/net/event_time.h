/* event_time.h - a duration as libevent takes it
 *
 * On 32 bits a libevent of the system can have been built with a time_t of 32 bits, and this program never is: their
 * struct timeval then differ. */
#ifndef NET_EVENT_TIME_H
#define NET_EVENT_TIME_H

#include <assert.h>
#include <stdint.h>
#include <sys/time.h>

#include <event2/event-config.h>

#include "base/clock.h"

/* The layout of libevent's struct timeval. */
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

/* *buf filled, for a parameter of libevent's; a negative duration is 0. */
static inline const struct timeval *event_time(struct event_time *buf, int64_t us)
{
	us = us < 0 ? 0 : us;
	buf->tv_sec = us / US_PER_S > INT32_MAX ? INT32_MAX : (int32_t)(us / US_PER_S);
	buf->tv_usec = us % US_PER_S;
	return (const struct timeval *)buf;
}

#endif
