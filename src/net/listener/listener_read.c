/* listener_read.c - reading from connections and splitting into lines */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/listener/listener_private.h"

enum { FDS_PER_MESSAGE = 4 };

static void drop_partial(struct conn *c)
{
	if (c->is_big)
		TAILQ_REMOVE(&c->l->big, c, by_progress);
	c->is_big = false;
	buf_free(&c->in);
	conn_account(c);
}

static bool is_blank(const char *p, size_t n)
{
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
		n--;
	return n == 0;
}

void listener_begin_turn(struct listener *l)
{
	l->turn_began = true;
	l->turn_is_full = false;
	l->turn_ends_us = clock_mono_us() + READ_US;
	l->unlooked = 0;
}

/* Charges n bytes, plus a fixed cost per recv() or line, to the budgets of the connection and
 * the turn. Checks the clock only after enough cost has added up, be it a few long lines or many
 * short ones. */
static void spend(struct listener *l, size_t n)
{
	n += COST_BYTES;
	l->quantum -= l->quantum < n ? l->quantum : n;
	l->unlooked += n;
	if (l->unlooked < LOOK_BYTES)
		return;
	l->unlooked = 0;
	l->turn_is_full = clock_mono_us() >= l->turn_ends_us;
}

/* True if c has used up its share while others wait. */
static bool gives_way(const struct conn *c)
{
	return listener_has_enough(c->l) || (c->l->quantum == 0 && listener_somebody_waits(c->l));
}

static void hand_over(struct conn *c, enum line_kind kind, const char *p, size_t n)
{
	struct listener *l = c->l;

	c->unanswered++;
	l->ops.on_line(l->ops.arg, c->id, kind, (struct slice){p, n}, &c->peer);
	spend(l, n);
}

/* A byte order mark at the start of the connection is not part of the line. */
static size_t mark_length(struct conn *c, const char *p, size_t n)
{
	static const char mark[] = {'\xef', '\xbb', '\xbf'};
	bool first = !c->begun;

	c->begun = true;
	return first && n >= sizeof(mark) && memcmp(p, mark, sizeof(mark)) == 0 ? sizeof(mark) : 0;
}

/* Handles a complete line, without its LF. */
static void end_line(struct conn *c, enum line_kind kind, const char *p, size_t n)
{
	size_t mark = mark_length(c, p, n);

	p += mark;
	n -= mark;
	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (n > c->l->config.max_line)
		kind = LINE_LONG;
	if (kind != LINE_LONG && is_blank(p, n))
		spend(c->l, n);
	else
		hand_over(c, kind, p, n);
}

/* Answers the line now; the rest of it is skipped in constant memory. */
static void give_up(struct conn *c, enum line_kind kind)
{
	c->skipping = c->begun = true;
	hand_over(c, kind, c->in.data, c->in.len);
	drop_partial(c);
}

void conn_give_up_line(struct conn *c)
{
	give_up(c, LINE_LONG);
	conn_release(c, HOLD_MEMORY);
}

static void note_progress(struct conn *c)
{
	struct listener *l = c->l;

	if (c->is_big)
		TAILQ_REMOVE(&l->big, c, by_progress);
	c->is_big = c->in.len > LINE_SMALL;
	if (!c->is_big)
		return;
	c->progress_us = c->active_us;
	TAILQ_INSERT_TAIL(&l->big, c, by_progress);
}

static void begin_partial(struct conn *c)
{
	struct listener *l = c->l;

	c->partial_us = c->active_us;
	if (l->ops.on_stalled && !c->told_stalled && !loop_timer_is_set(l->stalled))
		loop_timer_set(l->stalled, UNENDED_US);
}

/* Returns the time until c has to be reported, 0 if there is nothing to report. */
static int64_t report_stalled(struct conn *c, int64_t mono_us)
{
	int64_t left_us = c->partial_us + UNENDED_US - mono_us;

	if (c->in.len == 0 || c->told_stalled)
		return 0;
	if (left_us > 0 || c->holds || c->rest.len > 0)
		return left_us > US_PER_S ? left_us : US_PER_S; /* what it wrote is not read yet */
	c->told_stalled = true;
	c->l->ops.on_stalled(c->l->ops.arg, c->id, c->in.len, &c->peer);
	return 0;
}

void listener_report_stalled(void *listener)
{
	struct listener *l = listener;
	int64_t mono_us = clock_mono_us(), next_us = 0;
	struct conn *c;

	TAILQ_FOREACH(c, &l->conns, by_activity)
	{
		int64_t left_us = report_stalled(c, mono_us);
		if (left_us > 0 && (next_us == 0 || left_us < next_us))
			next_us = left_us;
	}
	if (next_us > 0)
		loop_timer_set(l->stalled, next_us);
}

/* Stores a piece of a line. The limit is one byte above the longest line, for the CR, which does
 * not count. */
static void keep_piece(struct conn *c, const char *p, size_t n)
{
	size_t max = c->l->config.max_line + 1;
	size_t room = c->in.len < max ? max - c->in.len : 0;
	bool whole = n <= room;

	if (c->skipping)
		return;
	if (c->in.len == 0)
		begin_partial(c);
	c->in.max = c->in.len > max ? c->in.len : max;
	if (buf_append(&c->in, p, whole ? n : room) < 0) {
		give_up(c, LINE_NO_MEMORY);
		return;
	}
	if (!whole || (c->in.len == max && c->in.data[c->in.len - 1] != '\r')) {
		give_up(c, LINE_LONG);
		return;
	}
	conn_account(c);
	note_progress(c);
}

static void end_partial(struct conn *c, enum line_kind kind)
{
	if (!c->skipping)
		end_line(c, kind, c->in.data, c->in.len);
	c->skipping = false;
	drop_partial(c);
}

/* True if c stays congested even after writing the replies gathered so far. */
static bool is_stuffed(struct conn *c)
{
	if (conn_is_congested(c) && !c->blocked)
		conn_write(c);
	return conn_is_congested(c);
}

/* Splits input into lines and returns the number of bytes used: all, unless may_stop is set and
 * this turn's budget is used up. */
static size_t feed(struct conn *c, const char *p, size_t n, bool may_stop)
{
	const char *start = p, *end = p + n;

	while (p < end && !c->gone && !c->closing) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf) {
			keep_piece(c, p, (size_t)(end - p));
			return n;
		}
		if (may_stop && (gives_way(c) || is_stuffed(c)))
			return (size_t)(p - start);
		size_t len = (size_t)(lf - p);
		if (c->in.len == 0 && !c->skipping) {
			end_line(c, LINE_OK, p, len);
		} else {
			keep_piece(c, p, len);
			end_partial(c, LINE_OK);
		}
		p = lf + 1;
	}
	return n;
}

/* If one turn did not read all input, c waits with the busy connections until it has been read
 * to its end. */
static void review_busy(struct conn *c, bool more)
{
	if (c->is_waiting || c->eof || c->gone)
		return;
	c->is_busy = more;
	if (more && !c->holds)
		conn_wait_turn(c);
}

/* more: the kernel may have more input. */
static void feed_chunk(struct conn *c, size_t n, bool more)
{
	const char *p = c->l->chunk;
	size_t used = feed(c, p, n, true);

	review_busy(c, more || used < n);
	if (used == n)
		return;
	c->rest.max = READ_MAX;
	if (buf_append(&c->rest, p + used, n - used) < 0)
		feed(c, p + used, n - used, false); /* out of memory: process it now */
	conn_account(c);
	conn_update(c);
}

static void feed_rest(struct conn *c, size_t most)
{
	size_t n = c->rest.len - c->seen;

	c->seen += feed(c, c->rest.data + c->seen, n < most ? n : most, true);
	if (c->seen == c->rest.len) {
		buf_free(&c->rest);
		c->seen = 0;
		conn_account(c);
	}
	review_busy(c, true);
	conn_update(c);
}

static void end_input(struct conn *c)
{
	c->eof = true;
	/* After our own shutdown it is unknown whether the client had finished the line. */
	if (c->in.len > 0)
		end_partial(c, c->shut ? LINE_CUT : LINE_OK);
	conn_exempt_next(c);
	conn_update(c);
}

static void take_fds(struct conn *c, struct msghdr *msg)
{
	struct listener *l = c->l;

	for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(m) + i * sizeof(fd), sizeof(fd));
			l->ops.on_fd(l->ops.arg, c->id, fd);
		}
	}
}

static ssize_t receive(struct conn *c, size_t want)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_PER_MESSAGE * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = c->l->chunk, .iov_len = want};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.space,
	                     .msg_controllen = sizeof(control.space)};
	ssize_t n;

	if (!c->l->ops.on_fd)
		return recv(c->fd, c->l->chunk, want, MSG_DONTWAIT); /* the kernel drops any descriptors */
	n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n >= 0)
		take_fds(c, &msg);
	return n;
}

/* Returns the bytes of pending and expected replies, or 0 for a connection that gets no more. */
static size_t load(const struct conn *c)
{
	if (c->quiet || c->dead)
		return 0;
	return conn_unwritten(c) + c->unanswered * REPLY_TYPICAL + c->expected;
}

/* Returns the limit of replies that may wait for c, which is lower while all connections together
 * use too much memory. */
static size_t unread_limit(const struct conn *c)
{
	size_t limit = c->l->config.max_unread;

	return listener_memory_short(c->l) && limit > LINE_SMALL ? LINE_SMALL : limit;
}

bool conn_is_congested(const struct conn *c)
{
	size_t max = unread_limit(c);
	size_t headroom = max / 4 < REPLY_HEADROOM ? max / 4 : REPLY_HEADROOM;

	return load(c) > max - headroom;
}

bool conn_is_light(const struct conn *c)
{
	return load(c) <= unread_limit(c) / 2;
}

/* Returns the number of bytes to read now; 0 means none, and c is held. */
static size_t room(struct conn *c)
{
	struct listener *l = c->l;

	if (l->paused) {
		conn_hold(c, HOLD_PAUSE);
		return 0;
	}
	if (is_stuffed(c)) {
		conn_hold(c, HOLD_REPLIES);
		return 0;
	}
	if (!listener_memory_short(l) || l->exempt == c->id)
		return c->is_busy ? READ_MAX : READ_FIRST;
	if (c->in.len > LINE_SMALL) {
		conn_hold(c, HOLD_MEMORY);
		return 0;
	}
	return LINE_SMALL + 1 - c->in.len;
}

void conn_read(struct conn *c)
{
	size_t want = c->eof ? 0 : room(c);
	ssize_t n;

	if (want == 0)
		return;
	if (!c->l->turn_began)
		listener_begin_turn(c->l);
	c->l->quantum = c->is_busy ? QUANTUM : QUANTUM_FIRST;
	if (c->rest.len > 0) {
		feed_rest(c, want);
		return;
	}
	n = receive(c, want);
	spend(c->l, n > 0 ? (size_t)n : 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		review_busy(c, false);
		return;
	}
	if (n < 0 && errno == ECONNRESET) {
		/* The peer closed with replies unread. Everything it wrote has been read
		 * (src/README.md, trap 15), so EOF comes next. */
		conn_write_failed(c);
		return;
	}
	if (n <= 0) {
		end_input(c);
		return;
	}
	conn_touch(c);
	feed_chunk(c, (size_t)n, (size_t)n == want);
}
