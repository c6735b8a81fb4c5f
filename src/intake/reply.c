/* reply.c - each connection's replies in the order of its lines, and the count of replies that no client read */
#include <stdlib.h>
#include <string.h>

#include "event/reply.h"
#include "intake/intake_private.h"

struct client *client_of(struct intake *in, uint64_t conn, const struct peer *peer)
{
	struct client *c = idmap_get(&in->clients, conn);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c || idmap_put(&in->clients, conn, c) < 0) {
		free(c);
		return NULL;
	}
	c->peer = *peer;
	STAILQ_INIT(&c->waiting);
	return c;
}

static struct waiting *drop_first_waiting(struct intake *in, struct client *c)
{
	struct waiting *w = STAILQ_FIRST(&c->waiting);

	STAILQ_REMOVE_HEAD(&c->waiting, link);
	in->pending_bytes -= w->n;
	free(w);
	return STAILQ_FIRST(&c->waiting);
}

static void client_free(struct intake *in, struct client *c)
{
	while (!STAILQ_EMPTY(&c->waiting))
		drop_first_waiting(in, c);
	free(c);
}

void client_gone(struct intake *in, uint64_t conn)
{
	struct client *c = idmap_remove(&in->clients, conn);

	if (c)
		client_free(in, c);
}

void clients_free(struct intake *in)
{
	size_t at = 0;
	uint64_t id;
	struct client *c;

	while ((c = idmap_next(&in->clients, &at, &id)))
		client_free(in, c);
	idmap_free(&in->clients);
}

void unseen_log(struct intake *in, int64_t mono_us)
{
	uint64_t more = in->context.counters->rejected_unseen - in->unseen_logged;

	if (more == 0 || !log_limit_allow(&in->unseen_limit, mono_us, NULL))
		return;
	log_warning("refused lines whose replies nobody reads: %llu more, the last from pid %ld uid %ld; see "
	            "ga4relay-ctl list --state rejected",
	            (unsigned long long)more, (long)in->unseen_peer.pid, (long)in->unseen_peer.uid);
	in->unseen_logged += more;
}

/* Counts a refusal whose reply no client could read. */
static void note_unseen(struct intake *in, const struct peer *peer)
{
	in->context.counters->rejected_unseen++;
	if (peer)
		in->unseen_peer = *peer;
}

static void send_text(struct intake *in, uint64_t conn, const struct peer *peer, struct slice text)
{
	if (listener_reply(in->listener, conn, text))
		return;
	in->context.counters->replies_unsent++;
	if (reply_is_refusal(text))
		note_unseen(in, peer);
}

/* A reply could not be composed for lack of memory. Send no further replies on this connection, because the client
 * would take one for the missing reply. */
static void give_up_replying(struct intake *in, uint64_t conn)
{
	in->context.counters->replies_unsent++;
	listener_quiet(in->listener, conn);
}

static void send_waiting(struct intake *in, uint64_t conn, struct client *c)
{
	struct waiting *w = STAILQ_FIRST(&c->waiting);

	while (w && w->after <= c->completed) {
		listener_expect(in->listener, conn, -(ptrdiff_t)w->n);
		send_text(in, conn, &c->peer, (struct slice){w->text, w->n});
		w = drop_first_waiting(in, c);
	}
}

/* Sends the reply of a put, composed in in->reply. */
static void send_put_reply(struct intake *in, uint64_t conn, const struct peer *peer, int r)
{
	struct client *c = idmap_get(&in->clients, conn);

	if (r < 0)
		give_up_replying(in, conn);
	else
		send_text(in, conn, peer, buf_slice(&in->reply));
	if (!c)
		return; /* the connection is gone, which is normal */
	c->completed++;
	send_waiting(in, conn, c);
}

void reply_ok(struct intake *in, uint64_t conn, uint64_t id, uint32_t count, bool duplicate, struct slice warnings)
{
	buf_clear(&in->reply);
	send_put_reply(in, conn, NULL, reply_write_ok(&in->reply, id, count, duplicate, warnings));
}

void reply_put_refused(struct intake *in, uint64_t conn, const struct peer *peer, const struct finding *refusal)
{
	buf_clear(&in->reply);
	send_put_reply(in, conn, peer, reply_write_refusal(&in->reply, refusal));
}

static void wait_in_line(struct intake *in, uint64_t conn, struct client *c, struct slice text)
{
	struct waiting *w = malloc(sizeof(*w) + text.n);

	if (!w) {
		give_up_replying(in, conn);
		return;
	}
	w->after = c->submitted;
	w->n = text.n;
	memcpy(w->text, text.p, text.n);
	in->pending_bytes += text.n;
	listener_expect(in->listener, conn, (ptrdiff_t)text.n);
	STAILQ_INSERT_TAIL(&c->waiting, w, link);
}

void reply_refused(struct intake *in, uint64_t conn, struct client *c, const struct finding *refusal)
{
	buf_clear(&in->reply);
	if (reply_write_refusal(&in->reply, refusal) < 0)
		give_up_replying(in, conn);
	else if (c && c->submitted != c->completed)
		wait_in_line(in, conn, c, buf_slice(&in->reply));
	else
		send_text(in, conn, c ? &c->peer : NULL, buf_slice(&in->reply));
}

void replies_unsent(struct intake *in, uint64_t conn, struct slice text)
{
	const struct client *c = idmap_get(&in->clients, conn);

	while (text.n > 0) {
		const char *lf = memchr(text.p, '\n', text.n);
		struct slice line = {text.p, lf ? (size_t)(lf - text.p) + 1 : text.n};
		in->context.counters->replies_unsent++;
		if (reply_is_refusal(line))
			note_unseen(in, c ? &c->peer : NULL);
		text.p += line.n;
		text.n -= line.n;
	}
}
