/* listener_accept.c - accepting connections: limits, descriptor shortage, the last backlog */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/listener/listener_private.h"

void conn_shut(struct conn *c)
{
	if (c->shut || c->eof)
		return;
	c->shut = true;
	shutdown(c->fd, SHUT_RD);
}

static int peer_of(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	*ret = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	return 0;
}

static void stop_for_a_while(struct listener *l)
{
	if (l->watch)
		loop_watch_set(l->watch, 0);
	loop_timer_set(l->accept_timer, ACCEPT_RETRY_US);
}

static bool is_idle(const struct conn *c)
{
	return !c->in.len && !c->rest.len && !c->skipping && !c->unanswered && !conn_unwritten(c) && !c->drained_fn;
}

/* Data that an idle client writes at this moment is still read and answered, because only its
 * sending side is shut down. */
static void close_idle(struct listener *l)
{
	int64_t mono_us = clock_mono_us();
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&l->conns); c && mono_us - c->active_us >= l->config.idle_timeout_us; c = next) {
		next = TAILQ_NEXT(c, by_activity);
		if (!is_idle(c) || c->eof)
			continue;
		conn_shut(c);
		conn_read(c);
		conn_settle(c);
	}
}

/* somebody_waits: a client is known to wait; only then are idle connections closed to make room. */
static bool has_room(struct listener *l, bool somebody_waits)
{
	if (l->draining || l->n_conns < l->config.max_connections)
		return true;
	if (somebody_waits)
		close_idle(l);
	return l->n_conns < l->config.max_connections;
}

static void take(struct listener *l, int fd)
{
	struct peer peer;
	struct conn *c = peer_of(fd, &peer) < 0 ? NULL : conn_new(l, fd, &peer);

	if (!c) {
		if (log_limit_allow(&l->shortage_log, clock_mono_us(), NULL))
			log_error("socket %s: out of memory: a connection was closed unread", l->config.path);
		fd_close(fd);
		return;
	}
	if (l->draining)
		conn_shut(c);
}

static void note_accept_error(struct listener *l, int error)
{
	/* Clients that connect and disconnect would otherwise log a new episode each time */
	if (!l->out_of_files && log_limit_allow(&l->shortage_log, clock_mono_us(), NULL))
		log_warning("socket %s: accepting waits, clients queue: %s; connections open: %u, raise LimitNOFILE",
		            l->config.path, strerror(error), l->n_conns);
	l->out_of_files = true;
	stop_for_a_while(l);
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Returns 0 if no more clients wait, or -EAGAIN if some may. */
static int accept_some(struct listener *l, unsigned most)
{
	for (unsigned n = 0; n < most; n++) {
		if (!has_room(l, n == 0)) {
			stop_for_a_while(l);
			return -EAGAIN;
		}
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			take(l, fd);
		} else if (is_shortage(errno)) {
			note_accept_error(l, errno);
			return -EAGAIN;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			l->out_of_files = false; /* no client waits, so the episode is over */
			return 0;
		}
	}
	return -EAGAIN;
}

static void on_connect(void *arg, int fd UNUSED, unsigned ready UNUSED)
{
	struct listener *l = arg;

	if (accept_some(l, ACCEPTS_PER_TURN) == -EAGAIN)
		return; /* the event is level-triggered, or the timer was set */
}

static void end_accepting(struct listener *l)
{
	l->accepting = false;
	loop_timer_cancel(l->accept_timer);
	l->watch = loop_watch_free(l->watch);
	l->fd = fd_close(l->fd);
}

static void accept_backlog(struct listener *l)
{
	while (accept_some(l, ACCEPTS_PER_TURN) == -EAGAIN)
		if (loop_timer_is_set(l->accept_timer))
			return; /* out of descriptors: retry when some connections have ended */
	end_accepting(l);
}

static void on_retry(void *arg)
{
	struct listener *l = arg;

	if (!l->accepting)
		return;
	if (l->draining) {
		accept_backlog(l);
		return;
	}
	loop_watch_set(l->watch, LOOP_READ);
}

void listener_room_again(struct listener *l)
{
	if (l->accepting && l->watch && !l->out_of_files && l->n_conns < l->config.max_connections)
		loop_watch_set(l->watch, l->draining ? 0 : LOOP_READ);
}

int listener_start_accepting(struct listener *l)
{
	l->accept_timer = loop_timer_new(l->loop, on_retry, l);
	l->watch = loop_watch_new(l->loop, l->fd, LOOP_READ, on_connect, l);
	if (!l->accept_timer || !l->watch)
		return -ENOMEM;
	l->accepting = true;
	return 0;
}

void listener_drain_backlog(struct listener *l)
{
	if (!l->accepting)
		return;
	if (!l->own) {
		/* systemd keeps the socket: clients that connect now are served by the next
		 * process */
		end_accepting(l);
		return;
	}
	/* From here on connects are refused, but connections that were established before can
	 * still be accepted, so none is lost. */
	shutdown(l->fd, SHUT_RD);
	loop_watch_set(l->watch, 0);
	loop_timer_cancel(l->accept_timer);
	accept_backlog(l);
}
