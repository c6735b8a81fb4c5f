/* test_loop.c - turns, tails, deferred frees, timers, watches and signals */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"

struct log {
	struct loop *loop;
	struct loop_watch *watch;
	char text[64];
	size_t n;
	int fd;
};

static void say(struct log *log, char c)
{
	assert_true(log->n < sizeof(log->text) - 1);
	log->text[log->n++] = c;
	log->text[log->n] = '\0';
}

static void on_tail(void *arg)
{
	say(arg, 't');
}
static void on_timer(void *arg)
{
	say(arg, 'T');
}
static void on_deferred(void *arg)
{
	say(arg, 'd');
}
static void on_signal(void *arg, int signo)
{
	say(arg, signo == SIGUSR1 ? 'S' : '?');
}

static void on_nothing(void *arg)
{
	(void)arg;
}

static void defer_in_timer(void *arg)
{
	struct log *log = arg;

	say(log, 'T');
	loop_defer(log->loop, on_deferred, log);
}

static int setup(void **state)
{
	static struct log log;

	log = (struct log){0};
	assert_int_equal(loop_new(&log.loop, NULL), 0);
	loop_set_tail(log.loop, on_tail, &log);
	*state = &log;
	return 0;
}

static int teardown(void **state)
{
	struct log *log = *state;

	log->loop = loop_free(log->loop);
	return 0;
}

static void test_order_of_a_turn(void **state)
{
	struct log *log = *state;
	struct loop_timer *t = loop_timer_new(log->loop, defer_in_timer, log);

	assert_false(loop_timer_is_set(t));
	loop_timer_set(t, 0);
	assert_true(loop_timer_is_set(t));
	assert_int_equal(loop_turn(log->loop, true), 0);
	assert_string_equal(log->text, "Ttd");
	assert_false(loop_timer_is_set(t));
	loop_timer_free(t);
}

static void test_deferred_may_defer(void **state)
{
	struct log *log = *state;

	loop_defer(log->loop, on_deferred, log);
	loop_defer(log->loop, on_deferred, log);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "tdd");
	log->n = 0;
	loop_defer(log->loop, defer_in_timer, log);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "tTd");
	log->n = 0;
	for (int i = 0; i < 64; i++) /* past the array's first size: it may move while it is walked */
		loop_defer(log->loop, i == 63 ? defer_in_timer : on_nothing, log);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "tTd");
}

static void test_again_does_not_wait(void **state)
{
	struct log *log = *state;

	loop_again(log->loop);
	assert_int_equal(loop_turn(log->loop, true), 0); /* would hang: nothing is armed */
	assert_string_equal(log->text, "t");
}

static void test_timer_cancel_and_replace(void **state)
{
	struct log *log = *state;
	struct loop_timer *t = loop_timer_new(log->loop, on_timer, log);
	int64_t before = clock_mono_us();

	loop_timer_set(t, 0);
	loop_timer_cancel(t);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "t");
	loop_timer_set(t, US_PER_H);
	loop_timer_set(t, 20 * US_PER_MS);
	assert_int_equal(loop_turn(log->loop, true), 0);
	assert_string_equal(log->text, "tTt");
	assert_true(clock_mono_us() - before >= 15 * US_PER_MS); /* the coarse clock's grain is 4 ms */
	loop_timer_free(t);
	assert_null(loop_timer_free(NULL));
}

static void on_ready(void *arg, int fd, unsigned ready)
{
	struct log *log = arg;

	assert_int_equal(fd, log->fd);
	if (ready & LOOP_READ)
		say(log, 'r');
	if (ready & LOOP_WRITE)
		say(log, 'w');
}

static void test_watch_is_level_triggered(void **state)
{
	struct log *log = *state;
	int p[2];

	assert_int_equal(pipe(p), 0);
	log->fd = p[0];
	log->watch = loop_watch_new(log->loop, p[0], LOOP_READ, on_ready, log);
	assert_non_null(log->watch);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "rtrt");
	loop_watch_set(log->watch, 0);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "rtrtt");
	loop_watch_set(log->watch, LOOP_READ);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "rtrttrt");
	log->watch = loop_watch_free(log->watch);
	close(p[0]);
	close(p[1]);
}

static void free_itself(void *arg, int fd, unsigned ready)
{
	struct log *log = arg;

	(void)fd;
	(void)ready;
	say(log, 'f');
	log->watch = loop_watch_free(log->watch);
}

static void test_watch_may_free_itself(void **state)
{
	struct log *log = *state;
	int p[2];

	assert_int_equal(pipe(p), 0);
	log->watch = loop_watch_new(log->loop, p[1], LOOP_WRITE, free_itself, log);
	assert_int_equal(loop_turn(log->loop, true), 0);
	assert_int_equal(loop_turn(log->loop, false), 0);
	assert_string_equal(log->text, "ftt");
	close(p[0]);
	close(p[1]);
}

static void test_signal_and_sigpipe(void **state)
{
	struct log *log = *state;
	int p[2];

	assert_int_equal(loop_on_signal(log->loop, SIGUSR1, on_signal, log), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(loop_turn(log->loop, true), 0);
	assert_string_equal(log->text, "St");
	assert_int_equal(pipe(p), 0);
	close(p[0]);
	assert_int_equal(write(p[1], "x", 1), -1); /* EPIPE, and we are still here */
	close(p[1]);
}

static void work(int64_t us)
{
	struct thread_time start, now;

	clock_thread(&start);
	do
		clock_thread(&now);
	while (now.cpu_us - start.cpu_us < us);
}

static void work_long(void *arg)
{
	work(15 * US_PER_MS);
	say(arg, 'L');
}

static void wait_long(void *arg)
{
	usleep(15 * US_PER_MS);
	say(arg, 'W');
}

static void run_one(struct log *log, loop_timer_fn *fn, int64_t delay_us, struct loop_stats *ret)
{
	struct loop_timer *t = loop_timer_new(log->loop, fn, log);

	loop_timer_set(t, delay_us);
	assert_int_equal(loop_turn(log->loop, true), 0);
	loop_timer_free(t);
	loop_get_stats(log->loop, ret);
}

static void test_slow_turns(void **state)
{
	struct loop_stats stats;

	run_one(*state, on_timer, 30 * US_PER_MS, &stats); /* waiting for events is what a loop does */
	assert_int_equal(stats.slow, 0);
	run_one(*state, work_long, 0, &stats);
	assert_int_equal(stats.slow, 1);
	run_one(*state, wait_long, 0, &stats);
	assert_int_equal(stats.slow, 2);
}

/* Far less than makes a turn slow. */
static void work_shortly(void *arg)
{
	struct log *log = arg;

	work(4 * US_PER_MS);
	log->n = 0; /* of what the tail says */
}

static void *spin(void *arg)
{
	while (!atomic_load((atomic_bool *)arg))
		;
	return NULL;
}

/* On a processor with eight others that never wait, 4 ms of work take 36. */
static void test_a_processor_that_was_taken_away_is_told_apart(void **state)
{
	enum { OTHERS = 8, TRIES = 50 };
	pthread_t others[OTHERS];
	atomic_bool over = false;
	cpu_set_t before, one;
	struct loop_stats stats = {0};

	if (getenv("UNDER"))
		skip(); /* valgrind lets one thread run at a time, by a lock of its own */
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	for (int i = 0; i < OTHERS; i++)
		assert_int_equal(pthread_create(&others[i], NULL, spin, &over), 0); /* on the same processor */
	for (int i = 0; i < TRIES && stats.starved == 0; i++)
		run_one(*state, work_shortly, 0, &stats);
	atomic_store(&over, true);
	for (int i = 0; i < OTHERS; i++)
		pthread_join(others[i], NULL);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_true(stats.starved > 0);
	assert_int_equal(stats.slow, 0);
}

static void stop_loop(void *arg)
{
	struct log *log = arg;

	say(log, 'X');
	loop_stop(log->loop);
}

static void test_run_until_stop(void **state)
{
	struct log *log = *state;
	struct loop_timer *t = loop_timer_new(log->loop, stop_loop, log);

	loop_timer_set(t, 0);
	assert_int_equal(loop_run(log->loop), 0);
	assert_string_equal(log->text, "Xt");
	loop_timer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_order_of_a_turn, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_deferred_may_defer, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_again_does_not_wait, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_timer_cancel_and_replace, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_watch_is_level_triggered, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_watch_may_free_itself, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_signal_and_sigpipe, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_slow_turns, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_a_processor_that_was_taken_away_is_told_apart, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_run_until_stop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
