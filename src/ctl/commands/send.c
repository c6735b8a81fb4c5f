/* send.c - the command send: pipelines lines to the event socket and reads the replies as they arrive */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "ctl/client.h"
#include "ctl/event_socket.h"
#include "ctl/input.h"
#include "ctl/output/terminal_text.h"

enum {
	WINDOW = 256, /* maximum of unanswered lines */
	WINDOW_MIN = 24,
	/* Less than listen.max_unread_replies (256 KiB) by default, beyond which the relay stops reading. */
	UNREAD_ENOUGH = 128 << 10,
	STALL_MS = 60000, /* give up after this long without a reply */
	OUT_ENOUGH = 256 << 10,
	OUT_MAX = INPUT_LINE_MAX + OUT_ENOUGH + 1,
	REPLY_MAX = 1 << 20,
	READ_CHUNK = 64 << 10
};
#define PROGRESS_US (US_PER_S / 10)

struct sending {
	const struct ctl *ctl;
	struct input in;
	int sock;
	struct buf out, replies;
	size_t sent;
	bool input_done, shut, closed;
	uint64_t numbers[WINDOW]; /* line numbers of the unanswered lines, a ring */
	size_t first, waiting;
	size_t longest; /* longest reply so far, bytes */
	struct json_in *json;
	int64_t shown_us;
	/* totals for the summary */
	uint64_t lines, accepted, events, duplicates, warned, refused;
	uint64_t first_id, last_id;
};

/* ---- replies ---- */

static void print_refusal(struct sending *s, uint64_t number, const struct json_doc *d)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(REPLY_MAX);
	struct slice code = answer_text(d, d->nodes, "code"), field = answer_text(d, d->nodes, "field");
	int r;

	if (s->ctl->args.json) {
		struct json_out *j = json_out_begin(&line);

		if (!j)
			return;
		json_out_object(j);
		json_out_kv_i64(j, "line", (int64_t)number);
		json_out_key(j, "code");
		json_out_slice(j, code);
		json_out_key(j, "field");
		json_out_slice(j, field);
		json_out_key(j, "message");
		json_out_slice(j, answer_text(d, d->nodes, "message"));
		json_out_kv_bool(j, "retry", answer_flag(d, d->nodes, "retry"));
		r = json_out_end(j);
	} else {
		r = buf_printf(&line, "line %llu: %.*s%s", (unsigned long long)number, SLICE_ARG(code),
		               field.n ? " " : "");
		if (r == 0)
			r = text_safe(&line, field);
		if (r == 0)
			r = buf_append_slice(&line, SLICE_LIT(": "));
		if (r == 0)
			r = text_safe(&line, answer_text(d, d->nodes, "message"));
	}
	if (r == 0)
		printf("%.*s\n", (int)line.len, line.data);
}

static void clear_progress(const struct sending *s)
{
	if (s->ctl->tty_err)
		fputs("\r\033[K", stderr);
}

static void take_reply(struct sending *s, struct slice text)
{
	uint64_t number = s->numbers[s->first];
	const struct json_doc *d;
	struct err err;

	if (s->waiting == 0)
		return; /* more replies than lines: ignore */
	s->first = (s->first + 1) % WINDOW;
	s->waiting--;
	s->longest = text.n > s->longest ? text.n : s->longest;
	if (json_in_read(s->json, text, &d, &err) < 0) {
		s->refused++;
		ctl_complain("line %llu: the reply makes no sense: %s", (unsigned long long)number, err.text);
		return;
	}
	if (answer_flag(d, d->nodes, "ok")) {
		uint64_t id = (uint64_t)answer_i64(d, d->nodes, "id", 0);
		uint64_t count = (uint64_t)answer_i64(d, d->nodes, "count", 0);
		bool duplicate = answer_flag(d, d->nodes, "duplicate");

		s->accepted++;
		s->duplicates += duplicate;
		s->warned += json_member(d, d->nodes, "warnings") != NULL;
		if (!duplicate) {
			s->events += count;
			s->first_id = s->first_id ? s->first_id : id;
			s->last_id = id + count - 1;
		}
		return;
	}
	s->refused++;
	clear_progress(s);
	print_refusal(s, number, d);
}

static int read_replies(struct sending *s)
{
	size_t at = 0;
	ssize_t n;
	char *lf;
	int r = buf_reserve(&s->replies, READ_CHUNK);

	if (r < 0)
		return r;
	n = read(s->sock, s->replies.data + s->replies.len, READ_CHUNK);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	s->closed = n == 0;
	s->replies.len += (size_t)n;
	while ((lf = memchr(s->replies.data + at, '\n', s->replies.len - at))) {
		take_reply(s, (struct slice){s->replies.data + at, (size_t)(lf - s->replies.data) - at});
		at = (size_t)(lf - s->replies.data) + 1;
	}
	buf_consume(&s->replies, at);
	return 0;
}

/* ---- lines ---- */

/* Number of lines in flight whose replies fit UNREAD_ENOUGH even if all are as long as the longest so far. */
static size_t window(const struct sending *s)
{
	size_t n = s->longest ? UNREAD_ENOUGH / s->longest : WINDOW_MIN;

	return n < WINDOW_MIN ? WINDOW_MIN : n > WINDOW ? WINDOW : n;
}

static bool wants_lines(const struct sending *s)
{
	return !s->input_done && s->waiting < window(s) && s->out.len - s->sent < OUT_ENOUGH;
}

static int add_line(struct sending *s, struct slice line)
{
	int r = buf_append_slice(&s->out, line);

	if (r == 0)
		r = buf_append_char(&s->out, '\n');
	if (r < 0)
		return r;
	s->numbers[(s->first + s->waiting) % WINDOW] = s->in.number;
	s->waiting++;
	s->lines++;
	return 0;
}

static void refuse_long(struct sending *s)
{
	s->lines++;
	s->refused++;
	clear_progress(s);
	if (s->ctl->args.json)
		printf("{\"line\":%llu,\"code\":\"LINE_TOO_LONG\",\"field\":\"\",\"message\":\"longer than %d "
		       "bytes\","
		       "\"retry\":false}\n",
		       (unsigned long long)s->in.number, INPUT_LINE_MAX);
	else
		printf("line %llu: LINE_TOO_LONG: longer than %d bytes\n", (unsigned long long)s->in.number,
		       INPUT_LINE_MAX);
}

/* Takes lines while there is room. *ret_more is whether more input must be read first. */
static int take_lines(struct sending *s, bool *ret_more)
{
	struct slice line;

	*ret_more = false;
	if (s->sent == s->out.len) {
		buf_clear(&s->out);
		s->sent = 0;
	} else if (s->sent > s->out.len / 2) {
		buf_consume(&s->out, s->sent);
		s->sent = 0;
	}
	while (wants_lines(s)) {
		switch (input_next(&s->in, &line)) {
		case INPUT_LINE: {
			int r = add_line(s, line);

			if (r < 0)
				return r;
			break;
		}
		case INPUT_LONG:
			refuse_long(s);
			break;
		case INPUT_MORE:
			*ret_more = true;
			return 0;
		case INPUT_END:
			s->input_done = true;
			break;
		}
	}
	return 0;
}

static int write_lines(struct sending *s)
{
	ssize_t n = send(s->sock, s->out.data + s->sent, s->out.len - s->sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	s->sent += (size_t)n;
	return 0;
}

static void show_progress(struct sending *s)
{
	int64_t mono_us = clock_mono_us();
	char lines[32];

	if (!s->ctl->tty_err || mono_us - s->shown_us < PROGRESS_US)
		return;
	s->shown_us = mono_us;
	fprintf(stderr, "\r%s lines answered, %llu refused\033[K", text_count(s->accepted + s->refused, lines),
	        (unsigned long long)s->refused);
}

/* Half-closes the connection: the relay closes one that it no longer answers as soon as nothing is left to read. */
static int give_up(struct sending *s)
{
	s->shut = true;
	return shutdown(s->sock, SHUT_WR) < 0 ? -errno : 0;
}

/* One round: waits until a descriptor is ready, then serves those that are. */
static int turn(struct sending *s)
{
	bool more, out;
	struct pollfd fds[2];
	int r = take_lines(s, &more);

	if (r < 0)
		return r;
	out = s->sent < s->out.len;
	if (s->input_done && !out && !s->shut) {
		shutdown(s->sock, SHUT_WR);
		s->shut = true;
	}
	fds[0] = (struct pollfd){.fd = s->sock, .events = (short)(POLLIN | (out ? POLLOUT : 0))};
	fds[1] = (struct pollfd){.fd = more ? s->in.fd : -1, .events = POLLIN};
	r = poll(fds, 2, s->waiting > 0 && !s->shut ? STALL_MS : -1);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (r == 0)
		return give_up(s);
	r = 0;
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		r = read_replies(s);
	if (r == 0 && out && (fds[0].revents & POLLOUT) && !s->closed)
		r = write_lines(s);
	if (r == 0 && more && fds[1].revents)
		r = input_fill(&s->in);
	show_progress(s);
	return r;
}

/* ---- the end ---- */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void summarize(const struct sending *s)
{
	char lines[32], events[32], refused[32];

	if (s->ctl->args.json) {
		printf("{\"lines\":%llu,\"accepted\":%llu,\"events\":%llu,\"duplicates\":%llu,\"warned\":%llu,"
		       "\"refused\":%llu,\"unanswered\":%zu,\"first_id\":%llu,\"last_id\":%llu}\n",
		       (unsigned long long)s->lines, (unsigned long long)s->accepted, (unsigned long long)s->events,
		       (unsigned long long)s->duplicates, (unsigned long long)s->warned,
		       (unsigned long long)s->refused, s->waiting, (unsigned long long)s->first_id,
		       (unsigned long long)s->last_id);
		return;
	}
	printf("%s line%s: %s event%s stored, %s refused", text_count(s->lines, lines), plural(s->lines),
	       text_count(s->events, events), plural(s->events), text_count(s->refused, refused));
	if (s->duplicates)
		printf(", %llu duplicate%s", (unsigned long long)s->duplicates, plural(s->duplicates));
	if (s->warned)
		printf(", %llu with warnings", (unsigned long long)s->warned);
	if (s->events && s->first_id == s->last_id)
		printf("; id %llu", (unsigned long long)s->first_id);
	else if (s->events)
		printf("; ids %llu to %llu", (unsigned long long)s->first_id, (unsigned long long)s->last_id);
	putchar('\n');
}

static enum ctl_exit finish(struct sending *s, int r)
{
	clear_progress(s);
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		ctl_complain("%s", strerror(-r));
	if (s->waiting > 0)
		ctl_complain(
		        "from line %llu on no reply came: %zu lines may be stored or not; send them again, with a "
		        "dedup_key safely",
		        (unsigned long long)s->numbers[s->first], s->waiting);
	if (!s->input_done)
		ctl_complain("the connection ended before all lines were sent");
	summarize(s);
	return s->refused > 0 || s->waiting > 0 || !s->input_done || r < 0 ? CTL_REFUSED : CTL_DONE;
}

static enum ctl_exit run(struct sending *s)
{
	int r = 0;

	while (r == 0 && !s->closed && !(s->input_done && s->waiting == 0 && s->sent == s->out.len))
		r = turn(s);
	return finish(s, r);
}

static enum ctl_exit open_both(struct sending *s)
{
	const struct ctl_args *args = &s->ctl->args;
	enum ctl_exit code = input_open(&s->in, args->n_words ? args->words[0] : NULL);

	if (code != CTL_DONE)
		return code;
	s->json = json_in_new(64);
	if (!s->json) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	return event_socket_open(s->ctl, &s->sock);
}

enum ctl_exit ctl_send(struct ctl *ctl)
{
	struct sending *s = calloc(1, sizeof(*s));
	enum ctl_exit code;

	if (!s) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	s->ctl = ctl;
	s->sock = -1;
	buf_init(&s->out, OUT_MAX);
	buf_init(&s->replies, REPLY_MAX);
	code = open_both(s);
	if (code == CTL_DONE)
		code = run(s);
	if (s->sock >= 0)
		fd_close(s->sock);
	input_close(&s->in);
	s->json = json_in_free(s->json);
	buf_free(&s->out);
	buf_free(&s->replies);
	free(s);
	return code;
}
