/* listener_write.c - replies: collected during a turn, written at its end, bounded */
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/listener/listener_private.h"

enum {
	OUT_KEPT = 4096, /* bytes of buffer that a connection keeps for its next replies */
	/* Bytes per send(). A socket's buffer has room again only when a whole piece was read, and
	 * that is how a slow reader differs from a client that does not read. */
	SEND_PIECE = 3584,
	PIECES = 32 /* that one system call sends: otherwise a reader would be woken for each */
};

void conn_mark_dirty(struct conn *c)
{
	if (c->is_dirty || c->gone)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->l->dirty, c, by_dirt);
}

void conn_turn_quiet(struct conn *c)
{
	c->quiet = true;
	conn_release(c, HOLD_REPLIES);
	conn_mark_dirty(c);
}

static void drop_written(struct conn *c)
{
	if (c->sent == c->out.len) {
		buf_clear(&c->out);
		buf_trim(&c->out, OUT_KEPT);
		if (c->out.cap > OUT_KEPT)
			buf_free(&c->out);
		c->sent = 0;
	} else if (c->sent > c->out.len / 2) {
		buf_consume(&c->out, c->sent);
		c->sent = 0;
	}
	conn_account(c);
}

void conn_write_failed(struct conn *c)
{
	struct listener *l = c->l;

	if (c->dead)
		return;
	c->dead = true;
	c->blocked = false;
	if (conn_unwritten(c) > 0 && l->ops.on_unsent)
		l->ops.on_unsent(l->ops.arg, c->id, (struct slice){c->out.data + c->sent, conn_unwritten(c)});
	c->sent = 0;
	buf_free(&c->out);
	conn_account(c);
	conn_release(c, HOLD_REPLIES);
	conn_update(c);
}

/* One call's pieces; the kernel stops at the first that does not fit. Returns the bytes sent, or negative errno. */
static ssize_t send_some(const struct conn *c)
{
	struct mmsghdr messages[PIECES] = {0};
	struct iovec pieces[PIECES];
	size_t left = conn_unwritten(c);
	ssize_t sent = 0;
	unsigned n;
	int r;

	if (left <= SEND_PIECE) {
		sent = send(c->fd, c->out.data + c->sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
		return sent < 0 ? -errno : sent;
	}
	for (n = 0; n < PIECES && left > 0; n++) {
		pieces[n].iov_base = c->out.data + c->sent + (size_t)n * SEND_PIECE;
		pieces[n].iov_len = left < SEND_PIECE ? left : SEND_PIECE;
		left -= pieces[n].iov_len;
		messages[n].msg_hdr.msg_iov = &pieces[n];
		messages[n].msg_hdr.msg_iovlen = 1;
	}
	r = sendmmsg(c->fd, messages, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0)
		return -errno;
	for (int i = 0; i < r; i++)
		sent += messages[i].msg_len;
	return sent;
}

/* Sends until the socket is full; 0 or negative errno. */
static int send_pieces(struct conn *c)
{
	ssize_t n = 0;

	for (; n >= 0 && conn_unwritten(c) > 0; c->sent += n > 0 ? (size_t)n : 0)
		n = send_some(c);
	return n < 0 && n != -EAGAIN && n != -EINTR ? (int)n : 0;
}

void conn_write(struct conn *c)
{
	size_t before = conn_unwritten(c);

	if (c->dead || before == 0)
		return;
	if (send_pieces(c) < 0) {
		conn_write_failed(c);
		return;
	}
	if (conn_unwritten(c) < before) {
		conn_touch(c);
		c->write_progress_us = c->active_us;
		drop_written(c);
	} else if (!c->blocked) {
		c->write_progress_us = clock_mono_us();
	}
	c->blocked = conn_unwritten(c) > 0;
	if (conn_is_light(c))
		conn_release(c, HOLD_REPLIES);
	conn_update(c);
}

void listener_expect(struct listener *l, uint64_t conn, ptrdiff_t bytes)
{
	struct conn *c = idmap_get(&l->by_id, conn);

	if (c)
		c->expected += (size_t)bytes;
}

/* No reply is refused for its size: a connection with too many waiting ones is not read
 * (conn_is_congested()), so what is answered here are the lines that were read before. */
bool conn_reply(struct conn *c, struct slice text)
{
	if (c->unanswered > 0)
		c->unanswered--;
	conn_mark_dirty(c);
	if (c->quiet || c->dead || c->closing)
		return false;
	if (!c->blocked && conn_is_congested(c))
		conn_write(c); /* the client may be reading, so this turn's replies can go out now */
	if (c->dead)
		return false;
	c->out.max = SIZE_MAX / 2;
	if (buf_append_slice(&c->out, text) < 0) {
		conn_turn_quiet(c);
		return false;
	}
	conn_account(c);
	return true;
}

bool listener_reply(struct listener *l, uint64_t conn, struct slice text)
{
	struct conn *c = idmap_get(&l->by_id, conn);

	return c && conn_reply(c, text);
}

void listener_quiet(struct listener *l, uint64_t conn)
{
	struct conn *c = idmap_get(&l->by_id, conn);

	if (!c)
		return;
	if (c->unanswered > 0)
		c->unanswered--;
	conn_turn_quiet(c);
}

void conn_call_drained(struct conn *c)
{
	void (*fn)(void *arg, uint64_t conn) = c->drained_fn;

	if (c->gone || !fn || conn_unwritten(c) > c->drained_low)
		return;
	c->drained_fn = NULL;
	fn(c->drained_arg, c->id);
}

static void flush_conn(struct conn *c)
{
	if (!c->blocked)
		conn_write(c);
	if (conn_is_light(c))
		conn_release(c, HOLD_REPLIES);
	conn_call_drained(c);
	if (!c->gone)
		conn_settle(c);
}

void listener_flush(struct listener *l)
{
	struct conn *last = TAILQ_LAST(&l->dirty, conn_list), *c;
	bool end = !last;

	l->turn_began = l->turn_is_full = false;
	while (!end && (c = TAILQ_FIRST(&l->dirty))) {
		/* Replies appended during this loop (a streaming answer) wait for the next turn */
		end = c == last;
		TAILQ_REMOVE(&l->dirty, c, by_dirt);
		c->is_dirty = false;
		flush_conn(c);
	}
	if (!TAILQ_EMPTY(&l->dirty))
		loop_again(l->loop);
}

size_t listener_unwritten(const struct listener *l, uint64_t conn)
{
	const struct conn *c = idmap_get(&l->by_id, conn);

	return c ? conn_unwritten(c) : SIZE_MAX;
}

void listener_when_drained(struct listener *l, uint64_t conn, size_t low, void (*fn)(void *arg, uint64_t conn),
                           void *arg)
{
	struct conn *c = idmap_get(&l->by_id, conn);

	if (!c)
		return;
	c->drained_fn = fn;
	c->drained_arg = arg;
	c->drained_low = low;
	conn_mark_dirty(c);
	loop_again(l->loop);
}
