/* loop.c - the turns of the event loop: callbacks, tail, deferred frees, time measurement */
#include "net/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/event_time.h"

#define SLOW_TURN_US (10 * US_PER_MS)

struct deferred {
	void (*fn)(void *p);
	void *p;
};

struct loop_signal {
	struct loop_signal *next;
	struct loop *loop;
	struct event *ev;
	void (*fn)(void *arg, int signo);
	void *arg;
};

struct loop {
	struct event_base *base;
	void (*tail)(void *arg);
	void *tail_arg;
	struct loop_signal *signals;
	/* Grows to the largest number deferred in one turn, and is kept */
	struct deferred *deferred;
	size_t n_deferred, deferred_cap;
	int64_t work_since_us; /* start of this turn's first callback; 0: none ran yet */
	struct thread_time work_since;
	struct loop_stats stats;
	uint64_t turn;
	bool again, stopped;
};

struct loop_timer {
	struct loop *loop;
	struct event *ev;
	loop_timer_fn *fn;
	void *arg;
};

struct loop_watch {
	struct loop *loop;
	struct event *ev;
	loop_watch_fn *fn;
	void *arg;
	int fd;
	unsigned interest;
};

static void mark_work(struct loop *loop)
{
	if (loop->work_since_us != 0)
		return;
	loop->work_since_us = clock_mono_us();
	clock_thread(&loop->work_since);
}

/* A slow turn that neither used that much CPU nor gave up the processor voluntarily was
 * preempted. */
static void judge_turn(struct loop *loop)
{
	struct thread_time now;

	if (clock_mono_us() - loop->work_since_us <= SLOW_TURN_US)
		return;
	clock_thread(&now);
	if (now.cpu_us - loop->work_since.cpu_us > SLOW_TURN_US || now.waits != loop->work_since.waits)
		loop->stats.slow++;
	else
		loop->stats.starved++;
}

int loop_new(struct loop **ret, struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return err_set(err, -ENOMEM, "event loop: out of memory");
	loop->base = event_base_new();
	if (!loop->base) {
		free(loop);
		return err_set(err, -EIO, "event loop: libevent found no way to wait for descriptors (out of them?)");
	}
	/* A disconnected client must be an error of send(), not kill the process. */
	signal(SIGPIPE, SIG_IGN);
	*ret = loop;
	return 0;
}

static void run_deferred(struct loop *loop)
{
	/* Functions that these calls defer run in the same loop; the array may be reallocated
	 * meanwhile. */
	for (size_t i = 0; i < loop->n_deferred; i++) {
		struct deferred d = loop->deferred[i];
		d.fn(d.p);
	}
	loop->n_deferred = 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	run_deferred(loop);
	while (loop->signals) {
		struct loop_signal *s = loop->signals;
		loop->signals = s->next;
		event_free(s->ev);
		free(s);
	}
	event_base_free(loop->base);
	free(loop->deferred);
	free(loop);
	return NULL;
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_set_tail(struct loop *loop, void (*tail)(void *arg), void *arg)
{
	loop->tail = tail;
	loop->tail_arg = arg;
}

int loop_turn(struct loop *loop, bool block)
{
	int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

	if (!block || loop->again)
		flags |= EVLOOP_NONBLOCK;
	loop->again = false;
	loop->turn++;
	loop->work_since_us = 0;
	if (event_base_loop(loop->base, flags) < 0)
		return -EIO;
	mark_work(loop);
	if (loop->tail)
		loop->tail(loop->tail_arg);
	run_deferred(loop);
	judge_turn(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	loop->stopped = false;
	while (!loop->stopped && r == 0)
		r = loop_turn(loop, true);
	return r;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

uint64_t loop_turn_number(const struct loop *loop)
{
	return loop->turn;
}

void loop_again(struct loop *loop)
{
	loop->again = true;
}

void loop_defer(struct loop *loop, void (*fn)(void *p), void *p)
{
	if (loop->n_deferred == loop->deferred_cap) {
		size_t cap = loop->deferred_cap ? 2 * loop->deferred_cap : 64;
		struct deferred *more = realloc(loop->deferred, cap * sizeof(*more));
		if (!more) {
			/* Freeing now could invalidate memory that a caller still uses, so leak
			 * it instead. */
			log_warning("event loop: out of memory; an object that should be freed stays allocated");
			return;
		}
		loop->deferred = more;
		loop->deferred_cap = cap;
	}
	loop->deferred[loop->n_deferred++] = (struct deferred){fn, p};
}

void loop_get_stats(const struct loop *loop, struct loop_stats *ret)
{
	*ret = loop->stats;
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct loop_timer *t = arg;

	mark_work(t->loop);
	t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct loop_timer){.loop = loop, .fn = fn, .arg = arg};
	t->ev = evtimer_new(loop->base, on_timer, t);
	if (!t->ev) {
		free(t);
		return NULL;
	}
	return t;
}

struct loop_timer *loop_timer_free(struct loop_timer *t)
{
	if (t)
		event_free(t->ev);
	free(t);
	return NULL;
}

void loop_timer_set(struct loop_timer *t, int64_t delay_us)
{
	struct event_time buf;

	if (event_add(t->ev, event_time(&buf, delay_us)) < 0)
		log_error("event loop: a timer cannot be set: out of memory; it comes with the next event");
}

void loop_timer_cancel(struct loop_timer *t)
{
	event_del(t->ev);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return event_pending(t->ev, EV_TIMEOUT, NULL) != 0;
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *w = arg;
	unsigned ready = 0;

	mark_work(w->loop);
	if (what & EV_READ)
		ready |= LOOP_READ;
	if (what & EV_WRITE)
		ready |= LOOP_WRITE;
	w->fn(w->arg, fd, ready); /* may free w */
}

static short libevent_interest(unsigned interest)
{
	return (short)(EV_PERSIST | (interest & LOOP_READ ? EV_READ : 0) | (interest & LOOP_WRITE ? EV_WRITE : 0));
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned interest, loop_watch_fn *fn, void *arg)
{
	struct loop_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct loop_watch){.loop = loop, .fn = fn, .arg = arg, .fd = fd, .interest = interest};
	w->ev = event_new(loop->base, fd, libevent_interest(interest), on_watch, w);
	if (!w->ev || (interest && event_add(w->ev, NULL) < 0)) {
		if (w->ev)
			event_free(w->ev);
		free(w);
		return NULL;
	}
	return w;
}

void loop_watch_set(struct loop_watch *w, unsigned interest)
{
	if (interest == w->interest)
		return;
	w->interest = interest;
	event_del(w->ev);
	event_assign(w->ev, w->loop->base, w->fd, libevent_interest(interest), on_watch, w);
	if (interest && event_add(w->ev, NULL) < 0)
		log_error("event loop: descriptor %d cannot be watched: out of memory", w->fd);
}

struct loop_watch *loop_watch_free(struct loop_watch *w)
{
	if (w)
		event_free(w->ev);
	free(w);
	return NULL;
}

static void on_signal_event(evutil_socket_t signo, short what UNUSED, void *arg)
{
	struct loop_signal *s = arg;

	mark_work(s->loop);
	s->fn(s->arg, (int)signo);
}

int loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct loop_signal *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct loop_signal){.next = loop->signals, .loop = loop, .fn = fn, .arg = arg};
	s->ev = evsignal_new(loop->base, signo, on_signal_event, s);
	if (!s->ev || event_add(s->ev, NULL) < 0) {
		if (s->ev)
			event_free(s->ev);
		free(s);
		return -EIO;
	}
	loop->signals = s;
	return 0;
}
