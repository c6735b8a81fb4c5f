/* log.h - leveled logging to stderr, one write(2) per line; may be called from any thread */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* The values are those of syslog, which journald reads in "<N>". */
enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* journald: start lines with "<N>"; otherwise with an RFC 3339 time and the level's name. */
void log_init(enum log_level level, bool journald);
/* True if stderr is connected to the journal (compares $JOURNAL_STREAM with fstat). */
bool log_stderr_is_journal(void);
void log_set_level(enum log_level level);
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
/* json: each line is an object with the members time, level and message; the fields of a batch are members too. */
void log_set_format(enum log_format format);
enum log_level log_get_level(void);
/* Parses "error", "warning", "info" or "debug". Returns 0 or -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret) MUST_CHECK;
const char *log_level_name(enum log_level level);

/* Writes one line with one write(2). Bytes below 0x20 and 0x7f in the text become '?', so that
 * input cannot forge a log line. */
void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                               \
	do {                                                                                                         \
		if (log_get_level() >= LOG_LEVEL_DEBUG)                                                              \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                     \
	} while (0)

/* A rate limit: at most `burst` lines per interval. Suppressed lines are counted, for the next
 * line to report. */
struct log_limit {
	int64_t interval_us, window_start_us;
	unsigned burst, used;
	uint64_t suppressed;
};
/* True if a line may be logged now; *ret_suppressed (may be NULL) gets the number of lines
 * suppressed before, which is reset. */
bool log_limit_allow(struct log_limit *l, int64_t mono_us, uint64_t *ret_suppressed);

#endif
