/* status.c - the command status: one screen on the relay's state, for people; --watch repeats it */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "ctl/client.h"
#include "ctl/output/rows.h"
#include "ctl/output/terminal_text.h"
#include "ctl/output/watch.h"

enum { LABEL = 10, SCREEN_MAX = 1 << 20, DATE_LENGTH = 11 /* "2026-11-23 " */ };

/* The screen is composed as a whole and written at once, so that --watch does not flicker. The first append error is
 * kept. */
struct screen {
	struct buf out;
	bool color;
	int error;
	size_t column, width;
	bool whole; /* standard output is no terminal */
};

static void add(struct screen *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add(struct screen *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (s->error == 0 && n > 0)
		s->error = buf_append(&s->out, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void paint(struct screen *s, enum text_color c)
{
	add(s, "%s", c == COLOR_PLAIN ? text_color_off(s->color) : text_color_on(s->color, c));
}

static void label(struct screen *s, const char *name)
{
	paint(s, COLOR_DIM);
	add(s, "%-*s", LABEL, name);
	paint(s, COLOR_PLAIN);
	s->column = LABEL;
}

static void end_line(struct screen *s)
{
	while (s->error == 0 && s->out.len > 0 && s->out.data[s->out.len - 1] == ' ')
		s->out.len--;
	add(s, "\n");
}

/* Appends one of several pieces of a line; wraps to the next line when the line is full. */
static void piece(struct screen *s, const char *text, enum text_color c)
{
	size_t n = strlen(text);

	if (s->column > LABEL && s->column + n > s->width) {
		end_line(s);
		add(s, "%*s", LABEL, "");
		s->column = LABEL;
	}
	paint(s, c);
	add(s, "%s", text);
	paint(s, COLOR_PLAIN);
	if (s->column + n + 2 <= s->width)
		add(s, "  ");
	s->column += n + 2;
}

/* In a pipe no value is cut. */
static void cell(struct screen *s, struct slice text, size_t width)
{
	if (s->error == 0)
		s->error = s->whole ? text_cell_whole(&s->out, text, width) : text_cell(&s->out, text, width, false);
}

static void safe(struct screen *s, struct slice text)
{
	if (s->error == 0)
		s->error = text_safe(&s->out, text);
}

static const struct json_node *object_of(const struct json_doc *d, const char *name)
{
	return json_member(d, d->nodes, name);
}

static void head(struct screen *s, const struct json_doc *d)
{
	char up[16];
	struct slice version = answer_text(d, d->nodes, "version");
	int64_t connections = answer_i64(d, d->nodes, "connections", 0);

	paint(s, COLOR_BOLD);
	add(s, "ga4relay %.*s", SLICE_ARG(version));
	paint(s, COLOR_PLAIN);
	add(s, "  up %s  %lld connection%s\n\n", text_duration(answer_i64(d, d->nodes, "uptime_s", 0) * US_PER_S, up),
	    (long long)connections, connections == 1 ? "" : "s");
}

static void counts(struct screen *s, const struct json_doc *d, const char *name, const char *object, bool zeros)
{
	const struct json_node *o = object_of(d, object);
	bool any = false;

	if (!o || o->type != JSON_OBJECT)
		return;
	label(s, name);
	for (const struct json_node *m = json_first(d, o); m; m = json_next(d, o, m)) {
		struct slice key = json_key(d, m);
		char text[80], count[32];
		uint64_t n;

		if (m->type != JSON_NUMBER || parse_u64(json_value(d, m), &n) < 0)
			continue;
		if (n == 0 && !zeros && !slice_eq(key, SLICE_LIT("queued")))
			continue;
		snprintf(text, sizeof(text), "%.*s %s", SLICE_ARG(key), text_count(n, count));
		piece(s, text, slice_eq(key, SLICE_LIT("dead")) && n > 0 ? COLOR_RED : COLOR_PLAIN);
		any = true;
	}
	if (!any)
		piece(s, "none", COLOR_PLAIN);
	end_line(s);
}

static void oldest(struct screen *s, const struct json_doc *d)
{
	double age_s = answer_double(d, d->nodes, "oldest_age_s", -1);
	double expiry_s = answer_double(d, d->nodes, "first_expiry_s", -1);
	int64_t now_us = clock_wall_us();
	char shown[64];

	if (age_s < 0)
		return;
	label(s, "oldest");
	add(s, "%s", text_when(now_us - (int64_t)(age_s * 1e6), now_us, shown));
	end_line(s);
	if (expiry_s < 0)
		return;
	label(s, "expires");
	/* Two thirds of the acceptance window have passed; the log has a warning, too. */
	paint(s, age_s > 2 * expiry_s ? COLOR_RED : COLOR_PLAIN);
	add(s, "%s", text_when(now_us + (int64_t)(expiry_s * 1e6), now_us, shown));
	paint(s, COLOR_PLAIN);
	end_line(s);
}

static void rates(struct screen *s, const struct json_doc *d)
{
	const struct json_node *o = object_of(d, "rates"), *events = object_of(d, "events");
	double in = answer_double(d, o, "in_1m", 0), out = answer_double(d, o, "out_1m", 0);
	double queued = (double)(answer_i64(d, events, "queued", 0) + answer_i64(d, events, "inflight", 0));
	char text[80], eta[16];

	label(s, "rates");
	snprintf(text, sizeof(text), "in %.1f/s (5 min %.1f)", in, answer_double(d, o, "in_5m", 0));
	piece(s, text, COLOR_PLAIN);
	snprintf(text, sizeof(text), "out %.1f/s (5 min %.1f)", out, answer_double(d, o, "out_5m", 0));
	piece(s, text, COLOR_PLAIN);
	if (queued >= 1 && out > in && queued / (out - in) < 1e8) {
		snprintf(text, sizeof(text), "drained in %s",
		         text_duration((int64_t)(queued / (out - in) * 1e6), eta));
		piece(s, text, COLOR_PLAIN);
	} else if (queued > 100 && out <= in) {
		piece(s, "not draining", COLOR_YELLOW);
	}
	end_line(s);
}

static void delivered(struct screen *s, const struct json_doc *d)
{
	static const struct {
		const char *key, *text;
	} spans[] = {{"total", "since the outbox was made"},
	             {"since_start", "since the start"},
	             {"last_hour", "in the last hour"}};
	const struct json_node *o = object_of(d, "delivered");
	char text[96], n[32];

	if (!o)
		return;
	label(s, "delivered");
	for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
		snprintf(text, sizeof(text), "%s %s", text_count((uint64_t)answer_i64(d, o, spans[i].key, 0), n),
		         spans[i].text);
		piece(s, text, COLOR_PLAIN);
	}
	end_line(s);
}

static void outbox(struct screen *s, const struct json_doc *d)
{
	const struct json_node *o = object_of(d, "outbox");
	uint64_t bytes = (uint64_t)answer_i64(d, o, "bytes", 0), limit = (uint64_t)answer_i64(d, o, "limit", 0);
	struct slice full = answer_text(d, d->nodes, "full"), aside = answer_text(d, d->nodes, "set_aside");
	double percent = limit ? 100.0 * (double)bytes / (double)limit : 0;
	int64_t twice = answer_i64(d, d->nodes, "maybe_twice", 0);
	char used[16], of[16];

	label(s, "outbox");
	paint(s, percent >= 80 ? COLOR_RED : COLOR_PLAIN);
	add(s, "%s of %s (%.0f %%)", text_bytes(bytes, used), text_bytes(limit, of), percent);
	paint(s, COLOR_PLAIN);
	end_line(s);
	if (full.n) {
		label(s, "FULL");
		paint(s, COLOR_RED);
		safe(s, full);
		paint(s, COLOR_PLAIN);
		add(s, "; new events are answered QUEUE_FULL\n");
	}
	if (aside.n) {
		label(s, "SET ASIDE");
		paint(s, COLOR_RED);
		safe(s, aside);
		paint(s, COLOR_PLAIN);
		add(s,
		    "\n%*s%s; bring back what is readable: ga4relay-ctl\n"
		    "%*s--offline FILE export | ga4relay-ctl send -, then\n"
		    "%*sga4relay-ctl --offline FILE remove --yes\n",
		    LABEL, "",
		    memmem(aside.p, aside.n, ".replaced-", 10) ? "a backup took its place" : "the outbox was damaged",
		    LABEL, "", LABEL, "");
	}
	if (twice > 0) {
		label(s, "restart");
		add(s, "the last run did not end cleanly: at most %lld events may go out twice\n", (long long)twice);
	}
	if (answer_flag(d, d->nodes, "expiry_suspended")) {
		label(s, "expiry");
		add(s, "suspended 10 min: a tenth of the backlog would expire; clock wrong?\n");
	}
}

/* Of a relay in a fleet: its connection, then its own part. */
static void fleet(struct screen *s, const struct json_doc *d)
{
	static const struct {
		const char *key, *text;
	} parts[] = {{"in_flight", "in flight"}, {"forwarded", "forwarded since the start"},
	             {"held", "held here"},      {"unrecorded", "not recorded yet"},
	             {"leases", "of 256 lanes"}, {"taken", "taken since the start"}};
	const struct json_node *o = object_of(d, "fleet");
	struct slice role = answer_text(d, o, "role"), problem = answer_text(d, o, "problem");
	struct slice server = answer_text(d, o, "server");
	bool up = answer_flag(d, o, "up");
	char span[16], text[80], n[32];

	if (!o || o->type != JSON_OBJECT)
		return;
	label(s, "fleet");
	add(s, "%.*s, ", SLICE_ARG(role));
	paint(s, up ? COLOR_GREEN : COLOR_RED);
	add(s, up ? "connected" : "not connected");
	paint(s, COLOR_PLAIN);
	add(s, " for %s", text_duration(answer_i64(d, o, "for_s", 0) * US_PER_S, span));
	if (server.n)
		add(s, up ? " to %.*s" : "; last tried %.*s", SLICE_ARG(server));
	if (up)
		add(s, answer_flag(d, o, "synchronous") ? ", synchronous" : ", not synchronous");
	add(s, "\n");
	if (problem.n) {
		add(s, "%*s", LABEL, "");
		safe(s, problem);
		add(s, "\n");
	}
	add(s, "%*s", LABEL, "");
	s->column = LABEL;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!json_member(d, o, parts[i].key))
			continue;
		snprintf(text, sizeof(text), "%s %s", text_count((uint64_t)answer_i64(d, o, parts[i].key, 0), n),
		         parts[i].text);
		piece(s, text, COLOR_PLAIN);
	}
	end_line(s);
}

/* 16 on 80 columns, and what a wider terminal has more. */
static size_t name_width(const struct screen *s)
{
	enum { NAME = 16, NAME_MOST = 63 };
	size_t more = s->width > TEXT_WIDTH ? s->width - TEXT_WIDTH : 0;

	return NAME + (more < NAME_MOST - NAME ? more : NAME_MOST - NAME);
}

static int64_t count_of(const struct json_doc *d, const struct json_node *stream, const char *state)
{
	return answer_i64(d, json_member(d, stream, "events"), state, 0);
}

static void why(struct screen *s, const struct json_doc *d, const struct json_node *stream)
{
	int64_t retry_ms = answer_i64(d, stream, "retry_in_ms", 0);
	struct slice error = answer_text(d, stream, "last_error");
	int64_t since_us = answer_i64(d, stream, "down_since_micros", 0);
	int64_t now_us = clock_wall_us();
	char wait[64], since[64];

	if (error.n == 0 && retry_ms == 0)
		return;
	add(s, "  ");
	if (since_us > 0)
		add(s, "down since %s", text_when(since_us, now_us, since));
	if (retry_ms > 0)
		add(s, "%snext try %s", since_us > 0 ? ", " : "",
		    text_when(now_us + retry_ms * US_PER_MS, now_us, wait) + DATE_LENGTH);
	if (retry_ms > 0 || since_us > 0)
		add(s, error.n ? "\n  " : "");
	if (error.n) {
		add(s, "last error: ");
		cell(s, error, error.n < s->width - 14 ? error.n : s->width - 14);
	}
	end_line(s);
}

static void last_delivery(struct screen *s, const struct json_doc *d, const struct json_node *stream)
{
	int64_t last_us = answer_i64(d, stream, "last_delivered_micros", 0);
	char count[32], shown[64];

	if (last_us > 0)
		add(s, "  delivered %s since the start, last %s\n",
		    text_count((uint64_t)answer_i64(d, stream, "delivered", 0), count),
		    text_when(last_us, clock_wall_us(), shown));
}

static void stream(struct screen *s, const struct json_doc *d, const struct json_node *o)
{
	struct slice name = answer_text(d, o, "name"), state = answer_text(d, o, "state");
	bool up = slice_eq(state, SLICE_LIT("up")), paused = slice_eq(state, SLICE_LIT("paused"));

	cell(s, name, name_width(s));
	add(s, " ");
	paint(s, up ? COLOR_GREEN : paused ? COLOR_YELLOW : COLOR_RED);
	cell(s, state, 12);
	paint(s, COLOR_PLAIN);
	add(s, "%10lld %9lld %9lld %9lld   %lld of %lld\n", (long long)count_of(d, o, "queued"),
	    (long long)count_of(d, o, "inflight"), (long long)count_of(d, o, "held"),
	    (long long)count_of(d, o, "dead"), (long long)answer_i64(d, o, "in_flight", 0),
	    (long long)answer_i64(d, o, "window", 0));
	why(s, d, o);
	last_delivery(s, d, o);
}

static void streams(struct screen *s, const struct json_doc *d)
{
	const struct json_node *list = object_of(d, "streams");

	if (!list || list->type != JSON_ARRAY)
		return;
	add(s, "\n");
	paint(s, COLOR_BOLD);
	add(s, "%-*s %-12s%10s %9s %9s %9s   %s", (int)name_width(s), "STREAM", "STATE", "QUEUED", "INFLIGHT", "HELD",
	    "DEAD", "REQUESTS");
	paint(s, COLOR_PLAIN);
	add(s, "\n");
	for (const struct json_node *o = json_first(d, list); o; o = json_next(d, list, o))
		stream(s, d, o);
}

struct status_run {
	const struct ctl *ctl;
	struct rows rows;
	bool repeat;
};

static enum ctl_exit print_screen(void *arg, struct slice line)
{
	struct status_run *run = arg;
	_cleanup_(buf_free) struct buf out = BUF_INIT(SCREEN_MAX);
	struct screen s = {
	        .out = out, .color = run->ctl->color, .width = text_screen_width(), .whole = !run->ctl->tty};
	const struct json_doc *d;
	struct err err;

	if (run->ctl->args.json)
		return rows_print_json(&run->rows, line);
	if (json_in_read(run->rows.json, line, &d, &err) < 0) {
		ctl_complain("the daemon's answer makes no sense: %s", err.text);
		return CTL_REFUSED;
	}
	head(&s, d);
	counts(&s, d, "events", "events", false);
	oldest(&s, d);
	rates(&s, d);
	delivered(&s, d);
	counts(&s, d, "dead", "dead", false);
	outbox(&s, d);
	fleet(&s, d);
	streams(&s, d);
	if (run->repeat && !run->ctl->tty)
		add(&s, "\n");
	if (run->repeat && run->ctl->tty)
		s.error = s.error == 0 ? watch_show(&s.out) : s.error;
	else
		fwrite(s.out.data, 1, s.out.len, stdout);
	fflush(stdout);
	out = s.out;
	if (s.error == 0)
		return CTL_DONE;
	ctl_complain("%s", strerror(-s.error));
	return CTL_REFUSED;
}

static enum ctl_exit once(struct status_run *run, struct client *client)
{
	struct json_out *j = client_begin(client, QUERY_status);

	if (j && !run->ctl->args.json)
		json_out_kv_bool(j, "detail", true);
	return client_call(client, j, -1, print_screen, run, NULL);
}

/* Connects anew for each screen, so that it returns after a restart of the daemon. */
static enum ctl_exit watch(struct status_run *run)
{
	struct client client;

	do {
		if (client_open_quietly(&client, run->ctl->args.socket) == 0) {
			enum ctl_exit code = once(run, &client);

			client_close(&client);
			if (code == CTL_USAGE || ferror(stdout))
				return CTL_REFUSED;
		} else {
			ctl_complain("no daemon on %s; waiting for it", run->ctl->args.socket);
		}
		fflush(stdout);
	} while (watch_pause());
	return CTL_DONE;
}

enum ctl_exit ctl_status(struct ctl *ctl)
{
	struct status_run run = {.ctl = ctl};
	struct client client;
	enum ctl_exit code = client_open(&client, ctl);

	if (code != CTL_DONE)
		return code;
	code = rows_begin(&run.rows, ctl);
	if (code == CTL_DONE && ctl->args.watch) {
		client_close(&client);
		run.repeat = true;
		watch_begin();
		code = watch(&run);
		watch_end();
	} else if (code == CTL_DONE) {
		code = once(&run, &client);
	}
	client_close(&client);
	rows_end(&run.rows);
	return code;
}
