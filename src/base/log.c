/* log.c - leveled logging to stderr, one write(2) per line */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/slice.h"
#include "base/utf8.h"

enum { TEXT_MAX_BYTES = 2045, LINE_MAX_BYTES = 2 * TEXT_MAX_BYTES + 256 };

/* Atomic, because both threads log and a reload changes the level. */
static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic bool to_journal;
static _Atomic int current_format = LOG_FORMAT_TEXT;

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
        {"error", LOG_LEVEL_ERROR},
        {"warning", LOG_LEVEL_WARNING},
        {"info", LOG_LEVEL_INFO},
        {"debug", LOG_LEVEL_DEBUG},
};

void log_init(enum log_level level, bool journald)
{
	atomic_store_explicit(&to_journal, journald, memory_order_relaxed);
	log_set_level(level);
}

bool log_stderr_is_journal(void)
{
	const char *where = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	/* The format is given in systemd.exec(5): device and inode in decimal, separated by a
	 * colon. */
	if (!where || sscanf(where, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) < 0)
		return false;
	return st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
	atomic_store_explicit(&current_format, (int)format, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (strcmp(levels[i].name, name) == 0) {
			*ret = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "info";
}

/* ---- a line as a JSON object ---- */

struct out {
	char *p;
	size_t n, size;
};

static void add(struct out *o, const char *p, size_t n)
{
	if (o->size - o->n < n)
		return;
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void add_text(struct out *o, const char *text)
{
	add(o, text, strlen(text));
}

static void add_string(struct out *o, struct slice s)
{
	add_text(o, "\"");
	while (s.n > 0) {
		size_t whole = utf8_check(s.p, s.n), plain = 0;

		while (plain < whole && s.p[plain] != '"' && s.p[plain] != '\\')
			plain++;
		add(o, s.p, plain);
		s = (struct slice){s.p + plain, s.n - plain};
		if (s.n == 0)
			break;
		if (plain < whole)
			add_text(o, "\\");
		add(o, plain < whole ? s.p : "?", 1);
		s = (struct slice){s.p + 1, s.n - 1};
	}
	add_text(o, "\"");
}

/* The fields that are numbers. All others are strings, also when one ("ids=7", "stream=007") looks like a number:
 * whoever indexes the log expects one type of each. */
static bool is_number(struct slice key)
{
	static const char *const numbers[] = {"events", "status", "attempt", "ms", "suppressed"};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (slice_eq(key, slice_of(numbers[i])))
			return true;
	return false;
}

static void add_member(struct out *o, struct slice key, struct slice value)
{
	size_t digits = strspn(value.p, "0123456789");

	add_text(o, ",");
	add_string(o, key);
	add_text(o, ":");
	if (is_number(key) && value.n > 0 && digits >= value.n && value.n < 16)
		add(o, value.p, value.n);
	else
		add_string(o, value);
}

/* The value of error= is a sentence; only suppressed= can follow it. */
static size_t value_length(struct slice key, const char *value)
{
	const char *end;

	if (!slice_eq(key, SLICE_LIT("error")))
		return strcspn(value, " ");
	end = strstr(value, " suppressed=");
	return end ? (size_t)(end - value) : strlen(value);
}

/* "events=25 stream=web … maybe-sent error=…": a word without a value is true. */
static void add_fields(struct out *o, const char *at)
{
	while (*at) {
		struct slice key = {at, strcspn(at, "= ")}, value;

		at += key.n;
		if (*at == '=') {
			value = (struct slice){at + 1, value_length(key, at + 1)};
			add_member(o, key, value);
			at = value.p + value.n;
		} else if (slice_eq(key, SLICE_LIT("maybe-sent"))) {
			add_text(o, ",\"maybe_sent\":true");
		}
		at += *at == ' ';
	}
}

/* Writes {"time":…,"level":…,"message":…}; size is at least 256 + 2 * n. A line of the fixed grammar of batches gets
 * a member per field, and the message "batch". Control characters in text were replaced. Returns the length. */
static size_t write_json(char *out, size_t size, const char *time, const char *level, const char *text, size_t n)
{
	struct out o = {.p = out, .size = size};
	bool batch = n > 6 && strncmp(text, "batch ", 6) == 0 && strlen(text) == n;

	add_text(&o, "{\"time\":\"");
	add_text(&o, time);
	add_text(&o, "\",\"level\":\"");
	add_text(&o, level);
	add_text(&o, "\",\"message\":");
	add_string(&o, batch ? SLICE_LIT("batch") : (struct slice){text, n});
	if (batch)
		add_fields(&o, text + 6);
	add_text(&o, "}");
	return o.n;
}

/* ---- the line ---- */

static const char *write_time(char *out, size_t size)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%03ldZ", ts.tv_nsec / 1000000);
	return out;
}

/* Writes text, whose length is n, to line with what comes before it; line has room. Returns the length. */
static size_t put_together(char *line, size_t size, enum log_level level, const char *text, size_t n)
{
	bool journal = atomic_load_explicit(&to_journal, memory_order_relaxed);
	size_t head = journal ? (size_t)snprintf(line, size, "<%d>", (int)level) : 0;
	char time[40];

	if (atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_FORMAT_JSON)
		return head + write_json(line + head, size - head, write_time(time, sizeof(time)),
		                         log_level_name(level), text, n);
	if (!journal)
		head = (size_t)snprintf(line, size, "%s %s: ", write_time(time, sizeof(time)), log_level_name(level));
	memcpy(line + head, text, n);
	return head + n;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[TEXT_MAX_BYTES], line[LINE_MAX_BYTES];
	va_list ap;
	int saved_errno = errno, m;
	size_t n;

	if (level > log_get_level())
		return;
	va_start(ap, fmt);
	m = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (m < 0)
		m = 0;
	n = (size_t)m < sizeof(text) ? (size_t)m : utf8_whole(text, sizeof(text) - 1);
	text[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	n = put_together(line, sizeof(line) - 1, level, text, n);
	line[n++] = '\n';
	if (fd_write_all(STDERR_FILENO, line, n) < 0)
		errno = saved_errno; /* an error of stderr cannot be reported anywhere */
	errno = saved_errno;
}

bool log_limit_allow(struct log_limit *l, int64_t mono_us, uint64_t *ret_suppressed)
{
	if (mono_us - l->window_start_us >= l->interval_us) {
		l->window_start_us = mono_us;
		l->used = 0;
	}
	if (l->used >= l->burst) {
		l->suppressed++;
		return false;
	}
	l->used++;
	if (ret_suppressed) {
		*ret_suppressed = l->suppressed;
		l->suppressed = 0;
	}
	return true;
}
