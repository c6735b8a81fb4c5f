/* listener.c - the life cycle of a listener and its connections */
#include "net/listener/listener.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "net/listener/listener_private.h"
#include "net/unix_bind.h"

void conn_account(struct conn *c)
{
	size_t now = c->in.cap + c->rest.cap + c->out.cap;

	c->l->memory = c->l->memory - c->accounted + now;
	c->accounted = now;
}

void conn_touch(struct conn *c)
{
	c->active_us = clock_mono_us();
	TAILQ_REMOVE(&c->l->conns, c, by_activity);
	TAILQ_INSERT_TAIL(&c->l->conns, c, by_activity);
}

static struct conn_list *line_of(struct conn *c)
{
	return c->is_busy ? &c->l->busy : &c->l->fresh;
}

void conn_wait_turn(struct conn *c)
{
	if (c->is_waiting)
		return;
	c->is_waiting = true;
	TAILQ_INSERT_TAIL(line_of(c), c, by_turn);
	if (!c->l->paused)
		loop_timer_set(c->l->resume, 0);
}

static void leave_line(struct conn *c)
{
	if (!c->is_waiting)
		return;
	TAILQ_REMOVE(line_of(c), c, by_turn);
	c->is_waiting = false;
}

void conn_update(struct conn *c)
{
	bool may_read = !c->eof && !c->holds;
	unsigned interest = 0;

	if (c->gone)
		return;
	if (may_read && c->rest.len > 0)
		conn_wait_turn(c);
	/* A connection that waits in a queue needs no read event. on_ready() disables it when
	 * the first one arrives. */
	if (may_read && (!c->is_waiting || (c->interest & LOOP_READ)))
		interest |= LOOP_READ;
	if (c->blocked && !c->dead)
		interest |= LOOP_WRITE;
	if (interest != c->interest) {
		c->interest = interest;
		loop_watch_set(c->watch, interest);
	}
}

/* How long a client may take no reply while its connection is not read because of them. */
static int64_t patience_us(const struct listener *l)
{
	int64_t us = l->config.reply_patience_us;

	return l->draining && us > LAST_WORDS_US ? LAST_WORDS_US : us;
}

static int64_t tick_interval_us(const struct listener *l)
{
	return patience_us(l) < TICK_US ? patience_us(l) : TICK_US;
}

void conn_hold(struct conn *c, enum hold why)
{
	if (!c->holds)
		TAILQ_INSERT_TAIL(&c->l->held, c, by_hold);
	if (why == HOLD_REPLIES && !(c->holds & HOLD_REPLIES))
		c->write_progress_us = clock_mono_us();
	c->holds |= why;
	if (why != HOLD_PAUSE && !loop_timer_is_set(c->l->tick))
		loop_timer_set(c->l->tick, tick_interval_us(c->l));
	conn_update(c);
}

void conn_release(struct conn *c, enum hold why)
{
	if (!(c->holds & why))
		return;
	c->holds &= ~(unsigned)why;
	if (!c->holds)
		TAILQ_REMOVE(&c->l->held, c, by_hold);
	conn_update(c);
}

/* Queues the connection after those that already wait; otherwise the same ones would always be
 * served first. */
static void read_in_turn(struct conn *c)
{
	struct listener *l = c->l;

	if (l->paused) {
		conn_hold(c, HOLD_PAUSE);
	} else if (c->is_waiting) {
		c->interest &= ~(unsigned)LOOP_READ;
		loop_watch_set(c->watch, c->interest);
	} else if (!c->is_busy && TAILQ_EMPTY(&l->fresh) && !listener_has_enough(l)) {
		conn_read(c);
	} else {
		conn_wait_turn(c);
	}
}

static void on_ready(void *arg, int fd UNUSED, unsigned ready)
{
	struct conn *c = arg;

	if (ready & LOOP_WRITE) {
		conn_write(c);
		conn_call_drained(c);
	}
	if (!c->gone && (ready & LOOP_READ))
		read_in_turn(c);
	conn_settle(c);
}

static void read_line_up(struct listener *l, struct conn_list *line)
{
	struct conn *last = TAILQ_LAST(line, conn_list), *c;
	bool end = !last;

	while (!end && !listener_has_enough(l) && (c = TAILQ_FIRST(line))) {
		/* Connections that are queued again during this loop wait for the next turn */
		end = c == last;
		leave_line(c);
		if (!c->holds)
			conn_read(c);
		conn_update(c);
		conn_settle(c);
	}
}

static void on_resume(void *arg)
{
	struct listener *l = arg;

	read_line_up(l, &l->fresh);
	/* Starts a new time budget, so that the waiting connections get their share however many
	 * were idle before. */
	listener_begin_turn(l);
	read_line_up(l, &l->busy);
	if (listener_somebody_waits(l) && !l->paused)
		loop_timer_set(l->resume, 0);
}

struct conn *conn_new(struct listener *l, int fd, const struct peer *peer)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->l = l;
	c->fd = fd;
	c->peer = *peer;
	c->id = l->last_id + 1;
	c->active_us = c->write_progress_us = clock_mono_us();
	c->interest = LOOP_READ;
	c->watch = loop_watch_new(l->loop, fd, LOOP_READ, on_ready, c);
	if (!c->watch || idmap_put(&l->by_id, c->id, c) < 0) {
		loop_watch_free(c->watch);
		free(c);
		return NULL;
	}
	l->last_id++;
	l->n_conns++;
	TAILQ_INSERT_TAIL(&l->conns, c, by_activity);
	return c;
}

static void conn_free(void *p)
{
	struct conn *c = p;

	buf_free(&c->in);
	buf_free(&c->rest);
	buf_free(&c->out);
	free(c);
}

/* Removes the connection from every list and closes the descriptor; the memory stays valid until
 * the turn ends. */
static void conn_detach(struct conn *c)
{
	struct listener *l = c->l;

	if (c->holds)
		TAILQ_REMOVE(&l->held, c, by_hold);
	if (c->is_big)
		TAILQ_REMOVE(&l->big, c, by_progress);
	if (c->is_dirty)
		TAILQ_REMOVE(&l->dirty, c, by_dirt);
	leave_line(c);
	TAILQ_REMOVE(&l->conns, c, by_activity);
	idmap_remove(&l->by_id, c->id);
	l->memory -= c->accounted;
	l->n_conns--;
	c->watch = loop_watch_free(c->watch);
	c->fd = fd_close(c->fd);
	c->gone = true;
}

void conn_close(struct conn *c)
{
	struct listener *l = c->l;

	if (c->gone)
		return;
	conn_detach(c);
	conn_exempt_next(c);
	loop_defer(l->loop, conn_free, c);
	if (l->ops.on_close)
		l->ops.on_close(l->ops.arg, c->id);
	listener_room_again(l);
}

void conn_settle(struct conn *c)
{
	bool written = c->dead || conn_unwritten(c) == 0;

	if (c->gone || !written)
		return;
	if (c->closing || (c->eof && c->unanswered == 0 && !c->drained_fn))
		conn_close(c);
}

/* While memory is short, gives up the partial lines that made no progress for the longest time,
 * until there is enough. */
static void end_stalled_lines(struct listener *l, int64_t mono_us)
{
	struct conn *c;

	while (listener_memory_short(l) && (c = TAILQ_FIRST(&l->big)) && mono_us - c->progress_us >= STALL_US)
		conn_give_up_line(c);
}

/* True if no data can arrive beyond what the kernel already holds: the peer closed or
 * half-closed the connection, or a drain shut it down. */
static bool is_finite(const struct conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return c->l->draining || (poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

/* Lets one of the held connections read to its end despite the memory shortage, one after the
 * other, so that they do not all wait for each other. */
static void exempt_one(struct listener *l)
{
	struct conn *c;

	if (l->exempt)
		return;
	TAILQ_FOREACH(c, &l->held, by_hold)
	{
		if ((c->holds & HOLD_MEMORY) && is_finite(c)) {
			l->exempt = c->id;
			conn_release(c, HOLD_MEMORY);
			return;
		}
	}
}

void conn_exempt_next(struct conn *c)
{
	if (c->l->exempt != c->id)
		return;
	c->l->exempt = 0;
	exempt_one(c->l);
}

static void recheck_held(struct conn *c, int64_t mono_us)
{
	if ((c->holds & HOLD_MEMORY) && (!listener_memory_short(c->l) || c->skipping))
		conn_release(c, HOLD_MEMORY);
	if (!(c->holds & HOLD_REPLIES))
		return;
	/* The kernel reports room only once most of the socket's buffer is free, and reports none when
	 * this was the rest: so the flush does what on_ready() would have done. */
	if (c->blocked) {
		conn_write(c);
		conn_mark_dirty(c);
	}
	if (c->blocked && mono_us - c->write_progress_us >= patience_us(c->l))
		conn_turn_quiet(c);
	else if (conn_is_light(c))
		conn_release(c, HOLD_REPLIES);
}

static void on_tick(void *arg)
{
	struct listener *l = arg;
	int64_t mono_us = clock_mono_us();
	struct conn *c, *next;
	bool again = l->draining;

	end_stalled_lines(l, mono_us);
	for (c = TAILQ_FIRST(&l->held); c; c = next) {
		next = TAILQ_NEXT(c, by_hold);
		recheck_held(c, mono_us);
		again = again || (c->holds & (HOLD_MEMORY | HOLD_REPLIES));
	}
	exempt_one(l);
	for (c = l->draining ? TAILQ_FIRST(&l->conns) : NULL; c; c = next) {
		next = TAILQ_NEXT(c, by_activity);
		if (c->eof && c->unanswered == 0 && c->blocked && mono_us - c->write_progress_us >= LAST_WORDS_US) {
			conn_write_failed(c);
			conn_close(c);
		}
	}
	if (again)
		loop_timer_set(l->tick, tick_interval_us(l));
}

static int copy_config(struct listener *l, const struct listener_config *config)
{
	l->config = *config;
	l->shortage_log = (struct log_limit){.interval_us = US_PER_MIN, .burst = 1};
	l->config.path = strdup(config->path ? config->path : "");
	l->config.group = strdup(config->group ? config->group : "");
	return l->config.path && l->config.group ? 0 : -ENOMEM;
}

static int open_socket(struct listener *l, struct err *err)
{
	if (l->fd >= 0) {
		/* A blocking accept() would stop the loop (src/README.md, trap 18) */
		int r = fd_set_nonblock(l->fd);
		if (r == 0)
			r = fd_set_cloexec(l->fd);
		return r == 0 ? 0 : err_set(err, r, "inherited socket: cannot be set up: %s", strerror(-r));
	}
	l->own = true;
	return listener_bind(&l->config, &l->fd, &l->dev, &l->ino, err);
}

int listener_open(struct listener **ret, struct loop *loop, const struct listener_config *config,
                  const struct listener_ops *ops, struct err *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (!l) {
		fd_close(config->inherited_fd);
		return err_set(err, -ENOMEM, "socket %s: out of memory", config->path);
	}
	l->loop = loop;
	l->ops = *ops;
	l->fd = config->inherited_fd;
	TAILQ_INIT(&l->conns);
	TAILQ_INIT(&l->held);
	TAILQ_INIT(&l->big);
	TAILQ_INIT(&l->dirty);
	TAILQ_INIT(&l->fresh);
	TAILQ_INIT(&l->busy);
	idmap_init(&l->by_id);
	l->chunk = malloc(READ_MAX);
	l->tick = loop_timer_new(loop, on_tick, l);
	l->resume = loop_timer_new(loop, on_resume, l);
	l->stalled = loop_timer_new(loop, listener_report_stalled, l);
	if (!l->chunk || !l->tick || !l->resume || !l->stalled || copy_config(l, config) < 0) {
		err_set(err, r, "socket %s: out of memory", config->path);
	} else {
		r = open_socket(l, err);
		if (r == 0) {
			r = listener_start_accepting(l);
			if (r < 0)
				err_set(err, r, "socket %s: cannot be watched: out of memory", config->path);
		}
	}
	if (r < 0) {
		listener_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct listener *listener_free(struct listener *l)
{
	struct conn *c;

	if (!l)
		return NULL;
	l->accepting = false;
	while ((c = TAILQ_FIRST(&l->conns)))
		conn_close(c);
	loop_watch_free(l->watch);
	loop_timer_free(l->accept_timer);
	loop_timer_free(l->tick);
	loop_timer_free(l->resume);
	loop_timer_free(l->stalled);
	/* Unlinks before the close, so that no client finds a path that refuses connections. */
	if (l->own && l->ino)
		unix_unbind(l->config.path, l->dev, l->ino);
	fd_close(l->fd);
	idmap_free(&l->by_id);
	free((char *)l->config.path);
	free((char *)l->config.group);
	free(l->chunk);
	free(l);
	return NULL;
}

bool listener_client_left(const struct listener *l, uint64_t conn)
{
	const struct conn *c = idmap_get(&l->by_id, conn);
	struct pollfd p = {.fd = c ? c->fd : -1};

	if (!c)
		return true;
	/* A client that only stopped writing, as socat and nc -N do, still reads: POLLHUP means
	 * both directions. */
	return c->eof && poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

void listener_close_conn(struct listener *l, uint64_t conn)
{
	struct conn *c = idmap_get(&l->by_id, conn);

	if (!c)
		return;
	c->closing = c->eof = true;
	conn_update(c);
	conn_mark_dirty(c); /* settled by the flush, because the caller may be inside on_line() */
}

void listener_pause(struct listener *l, bool pause)
{
	struct conn *c, *next;

	if (l->paused == pause)
		return;
	/* Connections notice a pause when they become readable, so idle ones cost nothing. */
	l->paused = pause;
	for (c = pause ? NULL : TAILQ_FIRST(&l->held); c; c = next) {
		next = TAILQ_NEXT(c, by_hold);
		if (c->holds == HOLD_PAUSE)
			conn_wait_turn(c); /* in the order in which they were held */
		conn_release(c, HOLD_PAUSE);
	}
	if (listener_somebody_waits(l) && !pause)
		loop_timer_set(l->resume, 0);
}

bool listener_paused(const struct listener *l)
{
	return l->paused;
}

void listener_drain(struct listener *l)
{
	struct conn *c;

	if (l->draining)
		return;
	l->draining = true;
	listener_drain_backlog(l);
	TAILQ_FOREACH(c, &l->conns, by_activity)
	conn_shut(c);
	loop_timer_set(l->tick, TICK_US);
}

bool listener_drained(const struct listener *l)
{
	return l->draining && !l->accepting && l->n_conns == 0;
}

unsigned listener_connections(const struct listener *l)
{
	return l->n_conns;
}

size_t listener_memory(const struct listener *l)
{
	return l->memory;
}

void listener_set_limits(struct listener *l, const struct listener_config *config)
{
	l->config.max_connections = config->max_connections;
	l->config.max_line = config->max_line;
	l->config.max_unread = config->max_unread;
	l->config.max_memory = config->max_memory;
	l->config.idle_timeout_us = config->idle_timeout_us;
	l->config.reply_patience_us = config->reply_patience_us;
	listener_room_again(l);
}
