/* listener_fixture.h - a listener in a directory of its own, clients in the same process, and a clock to move */
#ifndef TESTS_LISTENER_FIXTURE_H
#define TESTS_LISTENER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../lib/kernel_clock.h"
#include "base/clock.h"
#include "net/listener/listener.h"
#include "net/loop.h"

/* The library's and libevent's monotonic clock is the kernel's plus this. */
static int64_t clock_ahead_us;
static int64_t clock_step_us; /* and goes on by this with each look at it */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = kernel_clock(id, ts);
	int64_t nsec;

	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return r;
	clock_ahead_us += clock_step_us;
	nsec = ts->tv_nsec + clock_ahead_us % US_PER_S * 1000;
	ts->tv_sec += (time_t)(clock_ahead_us / US_PER_S + nsec / 1000000000);
	ts->tv_nsec = (long)(nsec % 1000000000);
	return r;
}
NARROW_CLOCK_GETTIME

struct seen_line {
	uint64_t conn;
	enum line_kind kind;
	size_t n;
	char *text;
};

struct fixture {
	struct loop *loop;
	struct listener *l;
	struct listener_config config;
	struct listener_ops ops;
	struct peer peer;
	char dir[64], path[96];
	struct seen_line *lines;
	size_t n_lines, n_long, closes, unsent_calls, unsent_lines, unread, fds;
	size_t pause_at; /* lines; 0: never */
	size_t stalled, stalled_bytes;
	size_t expect;          /* announced of each line's reply */
	unsigned line_costs_us; /* what each takes its reader */
	int last_fd;
	bool keep_lines, answer; /* answer: every line at once with `reply` */
	struct slice reply;
};

static void on_line(void *arg, uint64_t conn, enum line_kind kind, struct slice text, const struct peer *peer)
{
	struct fixture *f = arg;

	if (f->keep_lines) {
		f->lines = realloc(f->lines, (f->n_lines + 1) * sizeof(*f->lines));
		f->lines[f->n_lines] = (struct seen_line){conn, kind, text.n, strndup(text.n ? text.p : "", text.n)};
	}
	f->n_lines++;
	if (f->line_costs_us)
		usleep(f->line_costs_us);
	f->n_long += kind == LINE_LONG;
	f->peer = *peer;
	if (f->pause_at && f->n_lines >= f->pause_at)
		listener_pause(f->l, true);
	if (f->expect)
		listener_expect(f->l, conn, (ptrdiff_t)f->expect);
	if (f->answer && !listener_reply(f->l, conn, f->reply))
		f->unread++;
}

static void on_close(void *arg, uint64_t conn)
{
	(void)conn;
	((struct fixture *)arg)->closes++;
}

static void on_unsent(void *arg, uint64_t conn, struct slice text)
{
	struct fixture *f = arg;

	(void)conn;
	f->unsent_calls++;
	for (size_t i = 0; i < text.n; i++)
		f->unsent_lines += text.p[i] == '\n';
}

static void on_stalled(void *arg, uint64_t conn, size_t n, const struct peer *peer)
{
	struct fixture *f = arg;

	(void)conn;
	f->stalled++;
	f->stalled_bytes = n;
	f->peer = *peer;
}

UNUSED static void on_fd(void *arg, uint64_t conn, int fd)
{
	struct fixture *f = arg;

	(void)conn;
	f->fds++;
	f->last_fd = fd;
}

static void on_tail(void *arg)
{
	struct fixture *f = arg;

	if (f->l)
		listener_flush(f->l);
}

UNUSED static void open_listener(struct fixture *f)
{
	struct err err;

	assert_int_equal(listener_open(&f->l, f->loop, &f->config, &f->ops, &err), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	clock_ahead_us = clock_step_us = 0;
	strcpy(f->dir, "/tmp/listener-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s.sock", f->dir);
	assert_int_equal(loop_new(&f->loop, NULL), 0);
	loop_set_tail(f->loop, on_tail, f);
	f->config = (struct listener_config){.path = f->path,
	                                     .mode = 0660,
	                                     .group = "",
	                                     .inherited_fd = -1,
	                                     .max_connections = 64,
	                                     .max_line = 64 * 1024,
	                                     .max_unread = 256 * 1024,
	                                     .max_memory = 64 * 1024 * 1024,
	                                     .idle_timeout_us = 5 * US_PER_MIN,
	                                     .reply_patience_us = US_PER_S};
	f->ops = (struct listener_ops){
	        .on_line = on_line, .on_close = on_close, .on_unsent = on_unsent, .on_stalled = on_stalled, .arg = f};
	f->keep_lines = f->answer = true;
	f->reply = SLICE_LIT("ok\n");
	*state = f;
	return 0;
}

UNUSED static int setup_open(void **state)
{
	setup(state);
	open_listener(*state);
	return 0;
}

static void forget_lines(struct fixture *f)
{
	for (size_t i = 0; f->lines && i < f->n_lines; i++)
		free(f->lines[i].text);
	free(f->lines);
	f->lines = NULL;
	f->n_lines = 0;
}

UNUSED static int teardown(void **state)
{
	struct fixture *f = *state;

	f->l = listener_free(f->l);
	f->loop = loop_free(f->loop);
	forget_lines(f);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void turn(struct fixture *f)
{
	assert_int_equal(loop_turn(f->loop, false), 0);
}

static int64_t real_us(void)
{
	struct timespec ts;

	kernel_clock(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

/* Turns until the condition holds; fails after 10 s. */
#define UNTIL(f, condition)                                                                                          \
	do {                                                                                                         \
		int64_t end_us = real_us() + 10 * US_PER_S;                                                          \
		while (!(condition)) {                                                                               \
			if (real_us() > end_us)                                                                      \
				fail_msg("waited in vain for: %s", #condition);                                      \
			turn(f);                                                                                     \
		}                                                                                                    \
	} while (0)

/* So many turns that whatever could happen has happened. */
static void settle(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		turn(f);
}

static int try_connect(struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, f->path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

static int client(struct fixture *f)
{
	int fd = try_connect(f);

	assert_true(fd >= 0);
	return fd;
}

/* Writes all, turning while the socket is full. */
static void put(struct fixture *f, int fd, const void *p, size_t n)
{
	int64_t end_us = real_us() + 10 * US_PER_S;

	while (n > 0) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
		if (done > 0) {
			p = (const char *)p + done;
			n -= (size_t)done;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		assert_true(real_us() < end_us);
		turn(f);
	}
}

static void puts_to(struct fixture *f, int fd, const char *text)
{
	put(f, fd, text, strlen(text));
}

UNUSED static void expect_line(struct fixture *f, size_t i, enum line_kind kind, const char *text)
{
	assert_true(i < f->n_lines);
	assert_int_equal(f->lines[i].kind, kind);
	assert_string_equal(f->lines[i].text, text);
}

/* Reads what is there: its length, or -1 at end of file. */
static ssize_t get(int fd, char *p, size_t n)
{
	ssize_t r = recv(fd, p, n, 0);

	if (r < 0) {
		assert_true(errno == EAGAIN || errno == ECONNRESET);
		return errno == EAGAIN ? 0 : -1;
	}
	return r == 0 ? -1 : r;
}

/* Turns and reads to the end of file; returns the bytes read. */
UNUSED static size_t read_to_end(struct fixture *f, int fd, char *p, size_t size)
{
	size_t have = 0;
	int64_t end_us = real_us() + 10 * US_PER_S;

	for (;;) {
		ssize_t r = get(fd, p + have, size - have);
		if (r < 0)
			return have;
		have += (size_t)r;
		assert_true(have < size);
		assert_true(real_us() < end_us);
		turn(f);
	}
}

#endif
