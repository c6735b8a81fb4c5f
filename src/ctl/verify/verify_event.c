/* verify_event.c - the test event: sent like an application's, then followed until it is delivered */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/random.h"
#include "ctl/event_socket.h"
#include "ctl/output/terminal_text.h"
#include "ctl/verify/verify.h"

enum { LINE_MAX_BYTES = 4096, REPLY_MAX = 16 << 10, REPLY_PATIENCE_MS = 10000 };
#define LOOK_FIRST_US (50 * US_PER_MS)
#define LOOK_MAX_US (1 * US_PER_S)

/* ---- sending ---- */

void verify_choose_name(struct verify *v)
{
	snprintf(v->name, sizeof(v->name), "ga4relay_verify_%llx%04x",
	         (unsigned long long)(clock_wall_us() / US_PER_S), (unsigned)(random_u64() & 0xffff));
}

/* An event is shown by Realtime if it has a session and an engagement. */
static int write_line(struct verify *v, struct buf *out)
{
	uint64_t chance = random_u64();
	long long now_s = (long long)(clock_wall_us() / US_PER_S);

	if (v->is_app)
		return buf_printf(out,
		                  "{\"stream\":\"%s\",\"app_instance_id\":\"%016llx%016llx\",\"name\":\"%s\","
		                  "\"params\":{\"session_id\":%lld,\"engagement_time_msec\":1}}\n",
		                  v->stream, (unsigned long long)chance, (unsigned long long)random_u64(), v->name,
		                  now_s);
	return buf_printf(out,
	                  "{\"stream\":\"%s\",\"client_id\":\"%llu.%lld\",\"name\":\"%s\","
	                  "\"params\":{\"session_id\":%lld,\"engagement_time_msec\":1}}\n",
	                  v->stream, (unsigned long long)(chance >> 33), now_s, v->name, now_s);
}

/* Reads one line. 0, -ETIME after REPLY_PATIENCE_MS, or another negative errno. */
static int read_reply(int fd, struct buf *reply)
{
	while (reply->len == 0 || reply->data[reply->len - 1] != '\n') {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		ssize_t n;
		int r = poll(&ready, 1, REPLY_PATIENCE_MS);

		if (r <= 0)
			return r == 0 ? -ETIME : -errno;
		r = buf_reserve(reply, LINE_MAX_BYTES);
		if (r < 0)
			return r;
		n = read(fd, reply->data + reply->len, LINE_MAX_BYTES);
		if (n <= 0)
			return n == 0 ? -EPIPE : -errno;
		reply->len += (size_t)n;
	}
	return 0;
}

static enum ctl_exit take_reply(struct verify *v, struct slice reply)
{
	const struct json_doc *d;
	struct err err;

	if (json_in_read(v->json, reply, &d, &err) < 0)
		return verify_fail(v, "event", "--socket must name the event socket", "the reply makes no sense: %s",
		                   err.text);
	if (!answer_flag(d, d->nodes, "ok"))
		return verify_fail(v, "event", "ga4relay-ctl status, and ga4relay-ctl doctor",
		                   "the relay refused it: %.*s: %.*s", SLICE_ARG(answer_text(d, d->nodes, "code")),
		                   SLICE_ARG(answer_text(d, d->nodes, "message")));
	v->event_id = answer_i64(d, d->nodes, "id", 0);
	v->accepted_us = clock_mono_us();
	verify_say(v, FINDING_OK, "event", NULL, "%s stored as id %lld, for stream %s (%s)", v->name,
	           (long long)v->event_id, v->stream, v->id);
	return CTL_DONE;
}

enum ctl_exit verify_send_event(struct verify *v)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(LINE_MAX_BYTES), reply = BUF_INIT(REPLY_MAX);
	_cleanup_(fd_closep) int fd = -1;
	enum ctl_exit code = event_socket_open(v->ctl, &fd);
	int r;

	if (code != CTL_DONE)
		return code;
	r = write_line(v, &line);
	if (r == 0 && send(fd, line.data, line.len, MSG_NOSIGNAL) != (ssize_t)line.len)
		r = -EPIPE;
	if (r == 0)
		r = read_reply(fd, &reply);
	if (r < 0)
		return verify_fail(v, "event",
		                   "is the relay stalled or its disk stuck? ga4relay-ctl status, and its log",
		                   "no reply on the event socket: %s", strerror(-r));
	return take_reply(v, buf_slice(&reply));
}

/* ---- delivery ---- */

struct event_state {
	struct verify *v;
	bool found;
	char state[16], reason[24], last_error[VERIFY_TEXT_MAX];
	int64_t status, attempts;
};

static enum ctl_exit take_row(void *arg, struct slice line)
{
	struct event_state *s = arg;
	const struct json_doc *d;
	struct err err;

	if (json_in_read(s->v->json, line, &d, &err) < 0)
		return CTL_DONE;
	s->found = true;
	snprintf(s->state, sizeof(s->state), "%.*s", SLICE_ARG(answer_text(d, d->nodes, "state")));
	snprintf(s->reason, sizeof(s->reason), "%.*s", SLICE_ARG(answer_text(d, d->nodes, "reason")));
	snprintf(s->last_error, sizeof(s->last_error), "%.*s", SLICE_ARG(answer_text(d, d->nodes, "last_error")));
	s->status = answer_i64(d, d->nodes, "last_status", 0);
	s->attempts = answer_i64(d, d->nodes, "attempts", 0);
	return CTL_DONE;
}

static enum ctl_exit look_at_event(struct verify *v, struct event_state *ret)
{
	struct json_out *j = client_begin(&v->client, QUERY_show);
	const uint64_t id = (uint64_t)v->event_id;

	*ret = (struct event_state){.v = v};
	client_add_ids(j, &id, 1);
	return client_call(&v->client, j, -1, take_row, ret, NULL);
}

static enum ctl_exit delivered(struct verify *v, const struct event_state *s)
{
	char took[32];

	v->delivered_us = clock_mono_us();
	snprintf(took, sizeof(took), "%lld ms", (long long)((v->delivered_us - v->accepted_us) / US_PER_MS));
	if (s->found)
		verify_say(v, FINDING_OK, "delivery", NULL, "answered %lld within %s", (long long)s->status, took);
	else
		verify_say(v, FINDING_NOTE, "delivery", NULL,
		           "it left the outbox within %s: delivered, or dropped by an operator", took);
	return CTL_DONE;
}

/* Prints what keeps the event, if that is something new. */
static enum ctl_exit say_why_not(struct verify *v, const struct event_state *s, struct verify_stream_state *said)
{
	struct verify_stream_state now;
	enum ctl_exit code = verify_stream_state(v, &now);

	if (code != CTL_DONE)
		return code;
	if (now.last_error[0] == '\0')
		snprintf(now.last_error, sizeof(now.last_error), "%s", s->last_error);
	if (now.paused && !said->paused)
		verify_say(v, FINDING_WARNING, "delivery", NULL, "stream %s was paused meanwhile", v->stream);
	else if (!now.up && strcmp(now.last_error, said->last_error) != 0)
		verify_say(v, FINDING_WARNING, "delivery", NULL, "stream %s is not up: %s; waiting", v->stream,
		           now.last_error);
	*said = now;
	return CTL_DONE;
}

static enum ctl_exit undelivered(struct verify *v, const struct verify_stream_state *said)
{
	char waited[16];

	text_duration(v->wait_us, waited);
	return verify_fail(v, "delivery", "it stays queued: ga4relay-ctl doctor says what is wrong with the endpoint",
	                   "not delivered within %s%s%s", waited, said->last_error[0] ? ": " : "", said->last_error);
}

enum ctl_exit verify_wait_delivered(struct verify *v)
{
	struct verify_stream_state said = {0};
	int64_t pause_us = LOOK_FIRST_US;

	while (clock_mono_us() < v->deadline_us) {
		const struct timespec t = {.tv_sec = pause_us / US_PER_S, .tv_nsec = pause_us % US_PER_S * 1000};
		struct event_state s;
		enum ctl_exit code;

		(void)nanosleep(&t, NULL);
		code = look_at_event(v, &s);
		if (code != CTL_DONE)
			return code;
		if (!s.found || strcmp(s.state, "delivered") == 0)
			return delivered(v, &s);
		if (strcmp(s.state, "dead") == 0)
			return verify_fail(v, "delivery", "ga4relay-ctl show tells its attempts",
			                   "event %lld is dead: %s: %s", (long long)v->event_id, s.reason,
			                   s.last_error);
		if (pause_us == LOOK_MAX_US)
			code = say_why_not(v, &s, &said);
		if (code != CTL_DONE)
			return code;
		pause_us = pause_us * 2 < LOOK_MAX_US ? pause_us * 2 : LOOK_MAX_US;
	}
	return undelivered(v, &said);
}
