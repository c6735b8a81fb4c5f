/* loop.h - the libevent base behind timers, descriptors, signals and one place where a turn ends
 *
 * A turn is: run the callbacks that are due (they record facts) → the tail function (decides) → free what was
 * deferred. Nothing freed in a callback is touched again in the same turn. */
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

/* Called once after each batch of callbacks. */
void loop_set_tail(struct loop *loop, void (*tail)(void *arg), void *arg);
/* Runs turns until loop_stop(). 0 or negative errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn. block: waits for the next event. */
int loop_turn(struct loop *loop, bool block) MUST_CHECK;
/* Makes the next turn come at once. */
void loop_again(struct loop *loop);
/* fn(p) after this turn's tail. */
void loop_defer(struct loop *loop, void (*fn)(void *p), void *p);

/* Turns that took longer than 10 ms (callbacks and tail, without the waiting for events), by whose fault. */
struct loop_stats {
	uint64_t slow; /* the loop's: it worked for so long, or waited within the turn: for a lock, a disk, a pipe */
	uint64_t starved; /* the machine's: other processes or the host of a virtual machine had the processor */
};
void loop_get_stats(const struct loop *loop, struct loop_stats *ret);

struct loop_timer;
typedef void loop_timer_fn(void *arg);
/* NULL: no memory. Not armed. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *arg);
struct loop_timer *loop_timer_free(struct loop_timer *t);
/* Once, delay_us from now (monotonic; <= 0: next turn); replaces an earlier arming. */
void loop_timer_set(struct loop_timer *t, int64_t delay_us);
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);

struct loop_watch;
enum loop_ready { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void loop_watch_fn(void *arg, int fd, unsigned ready);
/* Level-triggered, persistent; interest may be 0. The fd stays the caller's. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned interest, loop_watch_fn *fn, void *arg);
void loop_watch_set(struct loop_watch *w, unsigned interest);
struct loop_watch *loop_watch_free(struct loop_watch *w);

/* fn runs in the loop, not in the signal's context. */
int loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg) MUST_CHECK;

#endif
