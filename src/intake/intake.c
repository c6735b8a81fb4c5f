/* intake.c - lines from the event socket: judged, submitted to the writer, throttled */
#include "intake/intake.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "intake/intake_private.h"

enum { REPLY_MAX = 256 * 1024, REPLY_RESERVED = 32 * 1024 };

void refuse(struct finding *f, enum code code, const char *fmt, ...)
{
	va_list ap;

	f->code = code;
	f->field[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
}

void tap_refused(const struct intake *in, struct slice line, const struct finding *refusal)
{
	if (tap_wants_lines(in->context.tap))
		tap_line(in->context.tap, &(struct tap_line){.line = line, .refusal = refusal});
}

static void explain_long(const struct intake *in, struct slice text, struct finding *ret)
{
	char size[32];

	format_size(in->max_line, size);
	if (text.n > in->max_line)
		refuse(ret, CODE_LINE_TOO_LONG, "the line is longer than listen.max_line (%s); it was skipped", size);
	else
		refuse(ret, CODE_LINE_TOO_LONG,
		       "the line stood still for 30s after %zu bytes while listen.max_memory was used up; it was "
		       "skipped",
		       text.n);
}

static void refuse_line(struct intake *in, uint64_t conn, struct client *c, struct slice text,
                        const struct finding *refusal, const struct peer *peer)
{
	in->context.counters->rejected[refusal->code]++;
	tap_refused(in, text, refusal);
	rejects_add(in, text, refusal, peer);
	reply_refused(in, conn, c, refusal);
}

/* Changes the refusal of a connection's last bytes after the relay stopped reading: if they are not JSON, the line
 * was cut off in the middle, and will succeed when it is sent again. */
static void forgive_cut(struct finding *refusal)
{
	if (refusal->code == CODE_JSON_INVALID)
		refuse(refusal, CODE_SHUTTING_DOWN,
		       "the relay stopped reading in the middle of the line; send it again later");
}

static void judge_line(struct intake *in, uint64_t conn, struct client *c, enum line_kind kind, struct slice text,
                       const struct peer *peer)
{
	const struct put_origin origin = {.conn = conn, .peer = peer};
	struct line_result result;
	int r = put_line(in, text, &in->streams->context, &origin, &result);

	if (r == 0 && result.sub) {
		c->submitted++;
		back_pressure_apply(in);
		return;
	}
	if (r < 0)
		refuse(&result.refusal, CODE_STORAGE_ERROR, "out of memory: nothing was stored; send it again later");
	else if (kind == LINE_CUT)
		forgive_cut(&result.refusal);
	refuse_line(in, conn, c, text, &result.refusal, peer);
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Whether line looks like "POST /path HTTP/1.1". For a line that was not read to its end, "POST /" is enough. */
static bool is_http_request(enum line_kind kind, struct slice line)
{
	static const struct slice version = {" HTTP/", 6};
	size_t method = 0, end;

	while (method < line.n && is_upper(line.p[method]))
		method++;
	if (method == 0 || method + 1 >= line.n || line.p[method] != ' ')
		return false;
	if (kind != LINE_OK && line.p[method + 1] == '/')
		return true;
	for (end = line.n; end > method && line.p[end - 1] != ' '; end--)
		;
	return end > method && slice_starts((struct slice){line.p + end - 1, line.n - end + 1}, version);
}

/* The client mistakes the socket for a web server. It may be a browser that a web page made connect, so nothing that
 * follows may be accepted as events. */
static void refuse_http(struct intake *in, uint64_t conn, struct client *c, struct slice text,
                        const struct peer *peer)
{
	struct finding refusal;

	refuse(&refusal, CODE_JSON_INVALID,
	       "this is an HTTP request, and this socket takes one JSON object a line; HTTP requests go to the HTTP "
	       "door, http.listen in ga4relay.conf(5). The connection is closed");
	refuse_line(in, conn, c, text, &refusal, peer);
	listener_close_conn(in->listener, conn);
}

static void on_line(void *arg, uint64_t conn, enum line_kind kind, struct slice text, const struct peer *peer)
{
	struct intake *in = arg;
	struct client *c = client_of(in, conn, peer);
	bool first = c && !c->spoke;
	struct finding refusal;

	if (c)
		c->spoke = true;
	if (first && is_http_request(kind, text)) {
		refuse_http(in, conn, c, text, peer);
		return;
	}
	if (!c || kind == LINE_NO_MEMORY) {
		refuse(&refusal, CODE_STORAGE_ERROR, "out of memory: nothing was stored; send it again later");
		refuse_line(in, conn, c, text, &refusal, peer);
	} else if (kind == LINE_LONG) {
		explain_long(in, text, &refusal);
		refuse_line(in, conn, c, text, &refusal, peer);
	} else {
		judge_line(in, conn, c, kind, text, peer);
	}
}

static void on_close(void *arg, uint64_t conn)
{
	client_gone(arg, conn);
}

static void on_unsent(void *arg, uint64_t conn, struct slice text)
{
	replies_unsent(arg, conn, text);
}

static void on_stalled(void *arg, uint64_t conn UNUSED, size_t n, const struct peer *peer)
{
	struct intake *in = arg;

	if (log_limit_allow(&in->stalled_limit, clock_mono_us(), NULL))
		log_warning("event socket: pid %ld uid %ld has written %zu bytes of a line and for a minute neither "
		            "ended it, with a line feed, nor its sending: it is not an event before that",
		            (long)peer->pid, (long)peer->uid, n);
}

static int prepare(struct intake *in, struct err *err)
{
	in->reader = event_in_new();
	buf_init(&in->reply, REPLY_MAX);
	buf_init(&in->scratch, SIZE_MAX / 2);
	if (!in->reader || buf_reserve(&in->reply, REPLY_RESERVED) < 0 || rejects_start(in) < 0)
		return err_set(err, -ENOMEM, "event socket: out of memory");
	return 0;
}

int intake_new(struct intake **ret, const struct intake_context *context, const struct listener_config *config,
               const struct streams *streams, uint64_t keep_rejected, struct err *err)
{
	struct intake *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return err_set(err, -ENOMEM, "event socket: out of memory");
	const struct listener_ops listener_ops = {.on_line = on_line,
	                                          .on_close = on_close,
	                                          .on_unsent = on_unsent,
	                                          .on_stalled = on_stalled,
	                                          .arg = in};
	*in = (struct intake){.context = *context,
	                      .streams = streams,
	                      .max_line = config->max_line,
	                      .unseen_limit = {.interval_us = US_PER_MIN, .burst = 1},
	                      .stalled_limit = {.interval_us = US_PER_MIN, .burst = 10}};
	STAILQ_INIT(&in->puts);
	idmap_init(&in->clients);
	rejects_init(&in->rejects, keep_rejected);
	share_init(&in->share);
	r = prepare(in, err);
	if (r == 0)
		r = listener_open(&in->listener, context->loop, config, &listener_ops, err);
	if (r < 0) {
		intake_free(in);
		return r;
	}
	*ret = in;
	return 0;
}

struct intake *intake_free(struct intake *in)
{
	if (!in)
		return NULL;
	if (in->listener) {
		put_fail_unsubmitted(in);
		listener_flush(in->listener);
	}
	in->listener = listener_free(in->listener);
	clients_free(in);
	rejects_free(&in->rejects);
	event_in_free(in->reader);
	buf_free(&in->reply);
	buf_free(&in->scratch);
	free(in);
	return NULL;
}

void intake_set_streams(struct intake *in, const struct streams *streams, uint64_t keep_rejected)
{
	in->streams = streams;
	in->rejects.keep = keep_rejected;
}

void intake_submit(struct intake *in, const struct now *now)
{
	rejects_submit(in, now->mono_us);
	unseen_log(in, now->mono_us);
	if (!STAILQ_EMPTY(&in->puts))
		writer_submit(in->context.writer, &in->puts);
}

void intake_flush(struct intake *in)
{
	back_pressure_relieve(in);
	listener_flush(in->listener);
}

int intake_payload(struct intake *in, struct slice text, int forced_stream, const struct peer *peer,
                   intake_done_fn *done, void *arg)
{
	const struct put_origin origin = {.peer = peer, .done = done, .done_arg = arg};
	struct line_context context = in->streams->context;
	struct line_result result;
	int r;

	if (*in->context.phase != PHASE_RUNNING) {
		refuse(&result.refusal, CODE_SHUTTING_DOWN, "the relay is stopping; send it again later");
		done(arg, &result.refusal, 0, 0);
		return 0;
	}
	context.forced_stream = forced_stream;
	r = put_line(in, text, &context, &origin, &result);
	if (r < 0 || result.sub)
		return r;
	in->context.counters->rejected[result.refusal.code]++;
	tap_refused(in, text, &result.refusal);
	rejects_add(in, text, &result.refusal, peer);
	done(arg, &result.refusal, 0, 0);
	return 0;
}

/* Allocates the submission of a line that is judged but not stored. */
static void *alloc_scratch(void *arg, size_t size)
{
	struct buf *scratch = arg;

	buf_clear(scratch);
	return buf_reserve(scratch, size) < 0 ? NULL : scratch->data;
}

static int judge_only(struct intake *in, struct slice text, const struct line_context *context,
                      struct line_result *ret)
{
	if (text.n > in->max_line) {
		*ret = (struct line_result){.sub = NULL};
		explain_long(in, text, &ret->refusal);
		return 0;
	}
	return event_in_read(in->reader, text, context, clock_wall_us(), alloc_scratch, &in->scratch, ret);
}

int intake_judge(struct intake *in, struct slice text, struct line_result *ret)
{
	return judge_only(in, text, &in->streams->context, ret);
}

int intake_judge_payload(struct intake *in, struct slice text, int stream, struct line_result *ret)
{
	struct line_context context = in->streams->context;

	context.forced_stream = stream;
	context.lists_findings = true;
	return judge_only(in, text, &context, ret);
}

int intake_judge_off(struct intake *in, struct slice text, struct line_result *ret)
{
	struct line_context context = in->streams->context;

	context.delivery_only = true;
	return event_in_read(in->reader, text, &context, clock_wall_us(), alloc_scratch, &in->scratch, ret);
}

void intake_drain(struct intake *in)
{
	listener_drain(in->listener);
}

bool intake_drained(const struct intake *in)
{
	return listener_drained(in->listener) && in->pending_events == 0 && rejects_idle(in);
}

void intake_get_stats(const struct intake *in, struct intake_stats *ret)
{
	*ret = (struct intake_stats){.connections = listener_connections(in->listener),
	                             .paused = listener_paused(in->listener),
	                             .memory = listener_memory(in->listener) + in->pending_bytes,
	                             .top_client_share = {share_top(&in->share), in->share.seen}};
}
