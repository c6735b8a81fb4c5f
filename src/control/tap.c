/* tap.c - the command tap: events as they are accepted, sent and settled; never waits for a slow reader */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control_private.h"

enum { TAP_BACKLOG = 1 << 20 /* bytes a slow reader may be behind before it misses lines */ };

struct tap_session {
	char *name;      /* NULL: every name */
	uint32_t sid;    /* 0: every stream */
	uint64_t missed; /* lines missed since the last report */
};

static const char *tap_state(enum tap_what what)
{
	switch (what) {
	case TAP_ACCEPTED:
	case TAP_FAILED:
		return "queued";
	case TAP_SENT:
		return "inflight";
	case TAP_DELIVERED:
		return "delivered";
	case TAP_FORWARDED:
		return "forwarded";
	case TAP_DEAD:
		return "dead";
	}
	return "queued";
}

static void view_event(const struct control *c, const struct tap_event *e, struct row_view *ret)
{
	const struct event *event = &e->sub->events[e->index];

	*ret = (struct row_view){
	        .id = e->id,
	        .state = tap_state(e->what),
	        .reason = e->what == TAP_DEAD ? dead_reason_name(e->reason) : NULL,
	        .stream = slice_of(e->sub->sid < STORE_STREAMS_MAX ? c->names[e->sub->sid] : ""),
	        .client = e->sub->client,
	        .name = event->name,
	        .accepted_us = e->sub->accepted_us,
	        .event_us = event->time_us,
	        .attempts = e->attempts,
	        .last_status = e->last_status,
	        .last_error = slice_of(e->last_error),
	        .next_attempt_ms = e->next_attempt_ms,
	        .maybe_sent = e->maybe_sent,
	        .bytes = (uint32_t)(event->body.n + e->sub->envelope.n),
	};
}

static bool wants(const struct tap_session *t, const struct tap_event *e)
{
	if (t->sid && t->sid != e->sub->sid)
		return false;
	return !t->name || slice_eq(slice_of(t->name), e->sub->events[e->index].name);
}

static void tell(struct session *s, const struct buf *text)
{
	if (listener_unwritten(s->socket->listener, s->conn) > TAP_BACKLOG || control_say(s, text) < 0)
		s->tap->missed++;
}

static void on_event(void *arg, const struct tap_event *e)
{
	struct control *c = arg;
	struct row_view view;
	struct session *s;
	bool written = false;

	LIST_FOREACH(s, &c->taps, by_tap)
	{
		if (!wants(s->tap, e))
			continue;
		if (!written) {
			buf_clear(&c->out);
			view_event(c, e, &view);
			if (row_write(&c->out, &view) < 0) {
				s->tap->missed++;
				continue;
			}
			written = true;
		}
		tell(s, &c->out);
	}
}

static void say_missed(struct session *s)
{
	struct control *c = s->control;
	struct json_out *j;

	buf_clear(&c->out);
	j = json_out_begin(&c->out);
	if (!j)
		return;
	json_out_object(j);
	json_out_kv_i64(j, "missed", (int64_t)s->tap->missed);
	if (json_out_end(j) == 0 && buf_append_char(&c->out, '\n') == 0 && control_say(s, &c->out) == 0)
		s->tap->missed = 0;
}

void tap_tick(struct control *c)
{
	struct session *s;

	LIST_FOREACH(s, &c->taps, by_tap)
	{
		/* Without events nothing is written, so a failing write cannot reveal that the client has left. */
		if (listener_client_left(s->socket->listener, s->conn))
			listener_close_conn(s->socket->listener, s->conn);
		else if (s->tap->missed > 0 && listener_unwritten(s->socket->listener, s->conn) < TAP_BACKLOG / 2)
			say_missed(s);
	}
}

void tap_session_end(struct session *s)
{
	struct control *c = s->control;

	if (!s->tap)
		return;
	LIST_REMOVE(s, by_tap);
	free(s->tap->name);
	free(s->tap);
	s->tap = NULL;
	if (LIST_EMPTY(&c->taps))
		tap_unfollow(c->context->tap, &c->tap);
}

int control_tap(struct session *s, const struct request *request, struct err *err)
{
	struct control *c = s->control;
	struct slice stream = request_text(request, "stream"), name = request_text(request, "name");
	uint32_t sid = stream.n ? control_find_stream(c, stream) : 0;
	struct tap_session *t;

	if (stream.n && !sid)
		return err_set(err, -ENOENT, "no stream is called \"%.*s\"", SLICE_ARG(stream));
	t = calloc(1, sizeof(*t));
	if (t && name.n)
		t->name = strndup(name.p, name.n);
	if (!t || (name.n && !t->name)) {
		free(t);
		return err_set(err, -ENOMEM, "out of memory");
	}
	t->sid = sid;
	s->tap = t;
	LIST_INSERT_HEAD(&c->taps, s, by_tap);
	c->tap.arg = c;
	c->tap.on_event = on_event;
	tap_follow(c->context->tap, &c->tap);
	return 0;
}
