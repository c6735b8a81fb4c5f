/* log.h - one line to stderr for whoever is paged; the only state is the level and the prefix style */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* Numbers are syslog's, as journald reads them in "<N>". */
enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* journald: lines get "<N>" before them; otherwise an RFC 3339 time and the level's name. */
void log_init(enum log_level level, bool journald);
/* True when stderr is the journal's own stream (compares $JOURNAL_STREAM with fstat). */
bool log_stderr_is_journal(void);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "error" "warning" "info" "debug"; 0 or -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret) MUST_CHECK;
const char *log_level_name(enum log_level level);

/* One write(2) a line; bytes below 0x20 and 0x7f in the text are shown as '?', so nobody forges a line. */
void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                               \
	do {                                                                                                         \
		if (log_get_level() >= LOG_LEVEL_DEBUG)                                                              \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                     \
	} while (0)

/* At most `burst` lines per interval; what was held back is counted for the next line. */
struct log_limit {
	int64_t interval_us, window_start_us;
	unsigned burst, used;
	uint64_t suppressed;
};
/* True when a line may be written now; *ret_suppressed (may be NULL) gets and resets the count held back before. */
bool log_limit_allow(struct log_limit *l, int64_t mono_us, uint64_t *ret_suppressed);

#endif
