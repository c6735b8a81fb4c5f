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
#include "base/utf8.h"

enum { LINE_MAX_BYTES = 2048 };

/* Atomic, because both threads log and a reload changes the level. */
static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic bool to_journal;

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

static size_t write_prefix(char *line, size_t size, enum log_level level)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	if (atomic_load_explicit(&to_journal, memory_order_relaxed))
		return (size_t)snprintf(line, size, "<%d>", (int)level);
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, size - n, ".%03ldZ %s: ", ts.tv_nsec / 1000000, log_level_name(level));
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t n, head, room;
	va_list ap;
	int saved_errno = errno, m;

	if (level > log_get_level())
		return;
	head = write_prefix(line, sizeof(line), level);
	room = sizeof(line) - head;
	va_start(ap, fmt);
	m = vsnprintf(line + head, room, fmt, ap);
	va_end(ap);
	if (m < 0)
		m = 0;
	n = head + ((size_t)m < room ? (size_t)m : utf8_whole(line + head, room - 1));
	for (size_t i = head; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n'; /* overwrites vsnprintf's NUL, so there is always room */
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
