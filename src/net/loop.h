/* loop.h - the event loop: timers, descriptors, signals, the end of a turn; loop thread only
 *
 * A turn runs the callbacks that are due (they record facts), then the tail function (which
 * decides), then frees what was deferred. Nothing freed in a callback is touched again in the
 * same turn. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

struct loop;
struct event_base;

int loop_new(struct loop **ret, struct err *err) MUST_CHECK;
struct loop *loop_free(struct loop *loop);
/* For the other files of net/ only. */
struct event_base *loop_base(struct loop *loop);

/* Sets the function that runs once after each batch of callbacks. */
void loop_set_tail(struct loop *loop, void (*tail)(void *arg), void *arg);
/* Runs turns until loop_stop(). Returns 0 or a negative errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Runs one turn; block: wait for the next event. */
int loop_turn(struct loop *loop, bool block) MUST_CHECK;
/* Which turn this is, for what is counted per turn. */
uint64_t loop_turn_number(const struct loop *loop);
/* Makes the next turn start without waiting for an event. */
void loop_again(struct loop *loop);
/* Calls fn(p) after this turn's tail. */
void loop_defer(struct loop *loop, void (*fn)(void *p), void *p);

/* Counts of turns that took longer than 10 ms (callbacks and tail, without the wait for events),
 * by cause. */
struct loop_stats {
	/* The loop itself worked that long, or waited for a lock, a disk or a pipe */
	uint64_t slow;
	uint64_t starved; /* other processes or the host of a virtual machine used the processor */
};
void loop_get_stats(const struct loop *loop, struct loop_stats *ret);

struct loop_timer;
typedef void loop_timer_fn(void *arg);
/* Creates a timer that is not armed. Returns NULL if out of memory. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *arg);
struct loop_timer *loop_timer_free(struct loop_timer *t);
/* Fires once, delay_us from now (monotonic clock; <= 0: next turn); replaces an earlier setting. */
void loop_timer_set(struct loop_timer *t, int64_t delay_us);
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);

struct loop_watch;
enum loop_ready { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void loop_watch_fn(void *arg, int fd, unsigned ready);
/* Watches a descriptor, level-triggered and persistent; interest may be 0. The caller still owns
 * fd. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned interest, loop_watch_fn *fn, void *arg);
void loop_watch_set(struct loop_watch *w, unsigned interest);
struct loop_watch *loop_watch_free(struct loop_watch *w);

/* Calls fn from the loop, not in signal context. */
int loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg) MUST_CHECK;

#endif
