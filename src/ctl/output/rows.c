/* rows.c - rows as tables (list, count, tap), in full (show), or as the JSON received */
#include "ctl/output/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/output/terminal_text.h"

enum ctl_exit rows_begin(struct rows *rows, const struct ctl *ctl)
{
	*rows = (struct rows){.ctl = ctl,
	                      .line = BUF_INIT(CLIENT_LINE_MAX),
	                      .json = json_in_new(64),
	                      .whole = !ctl->tty,
	                      .width = text_screen_width()};
	if (rows->json)
		return CTL_DONE;
	ctl_complain("out of memory");
	return CTL_REFUSED;
}

void rows_end(struct rows *rows)
{
	rows->json = json_in_free(rows->json);
	buf_free(&rows->line);
}

/* Writes the line at once, so that the reader of a pipe sees whole lines. r is the result of appending it. */
static enum ctl_exit put_line(struct rows *rows, int r)
{
	if (r == 0)
		r = buf_append_char(&rows->line, '\n');
	if (r < 0) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	if (fwrite(rows->line.data, 1, rows->line.len, stdout) != rows->line.len)
		return CTL_REFUSED; /* ctl_main() reports the reason */
	rows->n++;
	return CTL_DONE;
}

enum ctl_exit rows_print_json(void *arg, struct slice line)
{
	struct rows *rows = arg;

	buf_clear(&rows->line);
	if (rows->ctl->tty && !text_is_safe(line))
		return put_line(rows, text_safe_json(&rows->line, line));
	return put_line(rows, buf_append_slice(&rows->line, line));
}

static const struct json_doc *parse(struct rows *rows, struct slice line)
{
	const struct json_doc *d;
	struct err err;

	buf_clear(&rows->line);
	if (json_in_read(rows->json, line, &d, &err) == 0)
		return d;
	ctl_complain("the answer makes no sense: %s", err.text);
	return NULL;
}

/* ---- list ---- */

static int cells(struct rows *rows, const struct slice *text, const size_t *widths, size_t n)
{
	struct buf *out = &rows->line;
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (widths[i] == 0)
			continue;
		if (any)
			r = buf_append_char(out, ' ');
		if (r == 0)
			r = rows->whole ? text_cell_whole(out, text[i], widths[i])
			                : text_cell(out, text[i], widths[i], false);
		any = true;
	}
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->len--;
	return r;
}

static enum text_color color_of(struct slice state)
{
	if (slice_starts(state, SLICE_LIT("dead")) || slice_eq(state, SLICE_LIT("rejected")))
		return COLOR_RED;
	if (slice_eq(state, SLICE_LIT("held")))
		return COLOR_YELLOW;
	if (slice_eq(state, SLICE_LIT("delivered")))
		return COLOR_GREEN;
	return COLOR_PLAIN;
}

enum { LIST_ID, LIST_STATE, LIST_ACCEPTED, LIST_AGE, LIST_STREAM, LIST_NAME, LIST_CLIENT, LIST_COLUMNS };

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Columns for the width of the terminal; 0: left out. A longer id is never cut, because commands take it as input.
 * From 80 columns on the ids of browsers (21 characters) fit; more room is for what may be long. */
static void list_widths(const struct rows *rows, size_t widths[LIST_COLUMNS])
{
	enum {
		ID = 8,
		STATE = 14,
		ACCEPTED = 11,
		AGE = 6,
		SPACES = 5,
		NAME_MAX = 40,
		STREAM_MOST = 63,
		CLIENT_LEAST = 21,
		CLIENT_MOST = 36
	};
	size_t rest = rows->width - ID - STATE - AGE - SPACES, accepted = rest >= 47 + ACCEPTED + 1 ? ACCEPTED : 0;
	size_t stream, name, client, more;

	rest -= accepted ? ACCEPTED + 1 : 0;
	stream = least_of(rest / 5 + 1, 10);
	client = least_of(rest * 2 / 5, CLIENT_LEAST);
	client = rest >= 47 ? CLIENT_LEAST : client;
	name = least_of(rest - stream - client, NAME_MAX);
	more = rest - stream - client - name;
	client += least_of(more, CLIENT_MOST - CLIENT_LEAST);
	more = rest - stream - client - name;
	stream += least_of(more, STREAM_MOST - stream);
	client += rest - stream - client - name;
	memcpy(widths, (size_t[LIST_COLUMNS]){ID, STATE, accepted, AGE, stream, name, client},
	       LIST_COLUMNS * sizeof(widths[0]));
}

static int list_heading(struct rows *rows)
{
	static const struct slice heads[] = {SLICE_LIT("ID"),    SLICE_LIT("STATE"),  SLICE_LIT("ACCEPTED"),
	                                     SLICE_LIT("AGE"),   SLICE_LIT("STREAM"), SLICE_LIT("NAME"),
	                                     SLICE_LIT("CLIENT")};
	bool color = rows->ctl->color;
	size_t widths[LIST_COLUMNS];
	int r = buf_printf(&rows->line, "%s", text_color_on(color, COLOR_BOLD));

	list_widths(rows, widths);
	if (r == 0)
		r = cells(rows, heads, widths, ARRAY_LEN(heads));
	return r == 0 ? buf_printf(&rows->line, "%s\n", text_color_off(color)) : r;
}

static struct slice or_dash(struct slice s)
{
	return s.n ? s : SLICE_LIT("-");
}

static int list_row(struct rows *rows, const struct json_doc *d)
{
	const struct json_node *o = d->nodes;
	int64_t accepted_us = answer_i64(d, o, "accepted_micros", 0);
	struct slice reason = answer_text(d, o, "reason"), word = answer_text(d, o, "state");
	struct slice message = answer_text(d, o, "message"), code;
	size_t widths[LIST_COLUMNS];
	char id[24], state[32], accepted[16], age[16], what[1024];
	bool rejected = slice_eq(word, SLICE_LIT("rejected"));
	struct slice columns[LIST_COLUMNS];
	int r;

	list_widths(rows, widths);
	snprintf(id, sizeof(id), "%lld", (long long)answer_i64(d, o, "id", 0));
	if (strlen(id) > widths[0])
		widths[0] = strlen(id);
	snprintf(state, sizeof(state), "%.*s%s%.*s", word.n > 12 ? 12 : (int)word.n, word.p, reason.n ? " " : "",
	         reason.n > 12 ? 12 : (int)reason.n, reason.p);
	columns[LIST_ID] = slice_of(id);
	columns[LIST_STATE] = slice_of(state);
	columns[LIST_ACCEPTED] = slice_of(text_time_short(accepted_us, accepted));
	columns[LIST_AGE] = slice_of(text_duration(clock_wall_us() - accepted_us, age));
	columns[LIST_STREAM] = or_dash(answer_text(d, o, "stream"));
	columns[LIST_NAME] = or_dash(answer_text(d, o, "name"));
	columns[LIST_CLIENT] = or_dash(answer_text(d, o, "client"));
	if (rejected) { /* a rejected line never became an event: only the reason exists */
		code = answer_text(d, o, "code");
		snprintf(what, sizeof(what), "%.*s%s%.*s", SLICE_ARG(code), code.n ? ": " : "",
		         message.n > 200 ? 200 : (int)message.n, message.p);
		columns[LIST_STREAM] = slice_of(what);
		widths[4] = widths[4] + widths[5] + widths[6] + 2;
	}
	r = buf_printf(&rows->line, "%s", text_color_on(rows->ctl->color, color_of(slice_of(state))));
	if (r == 0)
		r = cells(rows, columns, widths, rejected ? LIST_NAME : LIST_COLUMNS);
	return r == 0 ? buf_printf(&rows->line, "%s", text_color_off(rows->ctl->color)) : r;
}

enum ctl_exit rows_print_table(void *arg, struct slice line)
{
	struct rows *rows = arg;
	const struct json_doc *d = parse(rows, line);
	int r;

	if (!d)
		return CTL_REFUSED;
	r = rows->n == 0 ? list_heading(rows) : 0;
	return put_line(rows, r == 0 ? list_row(rows, d) : r);
}

/* ---- count ---- */

enum ctl_exit rows_print_count(void *arg, struct slice line)
{
	struct rows *rows = arg;
	const struct json_doc *d = parse(rows, line);
	char count[32];
	int r;

	if (!d)
		return CTL_REFUSED;
	text_count((uint64_t)answer_i64(d, d->nodes, "count", 0), count);
	r = text_cell(&rows->line, slice_of(count), 14, true);
	if (r == 0)
		r = buf_append_slice(&rows->line, SLICE_LIT("  "));
	if (r == 0)
		r = text_safe(&rows->line, answer_text(d, d->nodes, "key"));
	return put_line(rows, r);
}

/* ---- tap ---- */

static const char *word_of(const struct json_doc *d)
{
	struct slice state = answer_text(d, d->nodes, "state");

	if (slice_eq(state, SLICE_LIT("queued")))
		return answer_i64(d, d->nodes, "attempts", 0) > 0 ? "failed" : "accepted";
	if (slice_eq(state, SLICE_LIT("inflight")))
		return "sent";
	return slice_eq(state, SLICE_LIT("dead")) ? "dead" : "delivered";
}

static int event_row(struct rows *rows, const struct json_doc *d)
{
	size_t more = rows->width > TEXT_WIDTH ? rows->width - TEXT_WIDTH : 0, name = least_of(more, 22);
	size_t widths[] = {8, 9, 8, 10, 18 + name, 22 + more - name};
	const struct json_node *o = d->nodes;
	struct slice why = answer_text(d, o, "last_error"), reason = answer_text(d, o, "reason");
	char time[32], id[24];
	struct slice columns[] = {slice_of(text_time(clock_wall_us(), time) + 11),
	                          slice_of(word_of(d)),
	                          slice_of(id),
	                          or_dash(answer_text(d, o, "stream")),
	                          or_dash(answer_text(d, o, "name")),
	                          why.n      ? why
	                          : reason.n ? reason
	                                     : or_dash(answer_text(d, o, "client"))};
	int r;

	snprintf(id, sizeof(id), "%lld", (long long)answer_i64(d, o, "id", 0));
	columns[2] = slice_of(id);
	if (rows->width < TEXT_WIDTH)
		widths[5] -= least_of(TEXT_WIDTH - rows->width, widths[5] - 1);
	r = buf_printf(&rows->line, "%s", text_color_on(rows->ctl->color, color_of(answer_text(d, o, "state"))));
	if (r == 0)
		r = cells(rows, columns, widths, ARRAY_LEN(columns));
	return r == 0 ? buf_printf(&rows->line, "%s", text_color_off(rows->ctl->color)) : r;
}

enum ctl_exit rows_print_event(void *arg, struct slice line)
{
	struct rows *rows = arg;
	const struct json_doc *d = parse(rows, line);
	int64_t missed;
	int r;

	if (!d)
		return CTL_REFUSED;
	missed = answer_i64(d, d->nodes, "missed", 0);
	if (missed > 0)
		r = buf_printf(&rows->line, "         … %lld missed: this reader is too slow", (long long)missed);
	else
		r = event_row(rows, d);
	return put_line(rows, r);
}
