/* show.c - one event in full, for people */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/output/rows.h"
#include "ctl/output/terminal_text.h"

enum { LABEL_WIDTH = 12 };

static void label(const struct rows *rows, const char *name)
{
	printf("  %s%-*s%s", text_color_on(rows->ctl->color, COLOR_DIM), LABEL_WIDTH, name,
	       text_color_off(rows->ctl->color));
}

static void print_safe(struct slice s)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(CLIENT_LINE_MAX);

	if (text_safe(&safe, s) == 0 && safe.len > 0)
		fwrite(safe.data, 1, safe.len, stdout);
}

static void text(const struct rows *rows, const char *name, struct slice value)
{
	if (value.n == 0)
		return;
	label(rows, name);
	print_safe(value);
	putchar('\n');
}

static void when(const struct rows *rows, const char *name, int64_t wall_us)
{
	char shown[64];

	if (wall_us <= 0)
		return;
	label(rows, name);
	puts(text_when(wall_us, clock_wall_us(), shown));
}

static void state(const struct rows *rows, const struct json_doc *d)
{
	struct slice reason = answer_text(d, d->nodes, "reason");

	label(rows, "state");
	print_safe(answer_text(d, d->nodes, "state"));
	if (reason.n)
		printf(": %.*s", SLICE_ARG(reason));
	puts(answer_flag(d, d->nodes, "maybe_sent") ? "  (may have been counted already: maybe-sent)" : "");
}

static void attempts(const struct rows *rows, const struct json_doc *d)
{
	int64_t n = answer_i64(d, d->nodes, "attempts", 0);
	int64_t next_ms = answer_i64(d, d->nodes, "next_attempt_ms", -1);
	char wait[16];

	label(rows, "attempts");
	printf("%lld", (long long)n);
	if (next_ms == 0)
		fputs(", due now", stdout);
	if (next_ms > 0)
		printf(", next in %s", text_duration(next_ms * US_PER_MS, wait));
	putchar('\n');
}

static void tries(const struct rows *rows, const struct json_doc *d)
{
	const struct json_node *list = json_member(d, d->nodes, "tries");
	const char *name = "tries";

	if (!list || list->type != JSON_ARRAY)
		return;
	for (const struct json_node *t = json_first(d, list); t; t = json_next(d, list, t)) {
		char time[64];
		int64_t status = answer_i64(d, t, "status", 0);

		label(rows, name);
		printf("%s  %lld ms  ", text_when(answer_i64(d, t, "when_micros", 0), clock_wall_us(), time),
		       (long long)answer_i64(d, t, "ms", 0));
		if (status)
			printf("%lld ", (long long)status);
		print_safe(answer_text(d, t, "error"));
		putchar('\n');
		name = "";
	}
}

/* Of an event that left the outbox. */
static void delivered(const struct rows *rows, const struct json_doc *d)
{
	const struct json_node *request = json_member(d, d->nodes, "request");
	int64_t n = answer_i64(d, request, "events", 0);

	when(rows, "delivered", answer_i64(d, d->nodes, "delivered_micros", 0));
	label(rows, "status");
	printf("%lld\n", (long long)answer_i64(d, d->nodes, "last_status", 0));
	label(rows, "attempts");
	printf("%lld\n", (long long)answer_i64(d, d->nodes, "attempts", 0));
	label(rows, "request");
	if (n == 1)
		printf("1 event, id %lld\n", (long long)answer_i64(d, request, "first_id", 0));
	else
		printf("%lld events, ids %lld to %lld\n", (long long)n,
		       (long long)answer_i64(d, request, "first_id", 0),
		       (long long)answer_i64(d, request, "last_id", 0));
}

static void rejected(const struct rows *rows, const struct json_doc *d)
{
	int64_t uid = answer_i64(d, d->nodes, "uid", -1);

	text(rows, "code", answer_text(d, d->nodes, "code"));
	text(rows, "field", answer_text(d, d->nodes, "field"));
	text(rows, "message", answer_text(d, d->nodes, "message"));
	text(rows, "written by", answer_text(d, d->nodes, "address"));
	if (uid >= 0) {
		label(rows, "written by");
		printf("uid %lld, pid %lld\n", (long long)uid, (long long)answer_i64(d, d->nodes, "pid", 0));
	}
}

enum ctl_exit rows_print_whole(void *arg, struct slice line)
{
	struct rows *rows = arg;
	const struct json_doc *d;
	struct err err;
	bool color = rows->ctl->color;

	if (json_in_read(rows->json, line, &d, &err) < 0) {
		ctl_complain("the answer makes no sense: %s", err.text);
		return CTL_REFUSED;
	}
	printf("%s%s%lld%s\n", rows->n++ > 0 ? "\n" : "", text_color_on(color, COLOR_BOLD),
	       (long long)answer_i64(d, d->nodes, "id", 0), text_color_off(color));
	state(rows, d);
	text(rows, "outbox", answer_text(d, d->nodes, "outbox"));
	if (json_member(d, d->nodes, "outbox_id")) {
		label(rows, "id there");
		printf("%lld\n", (long long)answer_i64(d, d->nodes, "outbox_id", 0));
	}
	text(rows, "stream", answer_text(d, d->nodes, "stream"));
	if (json_member(d, d->nodes, "delivered_micros")) {
		delivered(rows, d);
		return CTL_DONE;
	}
	text(rows, "client", answer_text(d, d->nodes, "client"));
	text(rows, "name", answer_text(d, d->nodes, "name"));
	when(rows, "accepted", answer_i64(d, d->nodes, "accepted_micros", 0));
	when(rows, "happened", answer_i64(d, d->nodes, "event_micros", 0));
	if (json_member(d, d->nodes, "code")) {
		rejected(rows, d);
	} else {
		attempts(rows, d);
		tries(rows, d);
		text(rows, "answer", answer_text(d, d->nodes, "answer"));
	}
	label(rows, "bytes");
	printf("%lld\n", (long long)answer_i64(d, d->nodes, "bytes", 0));
	text(rows, "line", answer_text(d, d->nodes, "line"));
	return CTL_DONE;
}
