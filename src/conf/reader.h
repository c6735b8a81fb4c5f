/* reader.h - what the readers of one configuration file share; private to conf/ */
#ifndef CONF_READER_H
#define CONF_READER_H

#include <libconfig.h>

#include "conf/conf.h"

enum { CONF_OPTIONS_MAX = 64 };

struct reader {
	const char *file; /* its name in messages */
	struct err *err;
	bool only_check;                            /* the file is another process's; see conf_load_check() */
	bool without_streams;                       /* see conf_load_without_streams() */
	bool others_can_read;                       /* other users can read the file, so it must not hold a secret */
	struct conf *conf;                          /* being filled */
	unsigned lines[CONF_OPTIONS_MAX];           /* line where conf_options()[i] was set; 0: default */
	config_setting_t *streams, *default_stream; /* read last, because they need all the others; NULL: not set */
};

/* Fills in the error as "FILE:LINE: option: sentence" and returns -EINVAL. line 0 is omitted; option may be NULL. */
int reader_fail(const struct reader *rd, unsigned line, const char *option, const char *fmt, ...) PRINTF_LIKE(4, 5);
int reader_no_memory(const struct reader *rd);
/* Logs the same text as a warning. */
void reader_warn(const struct reader *rd, unsigned line, const char *option, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Refuses syntax that libconfig accepts and should not; see scan.c. */
int scan_text(const struct reader *rd, const char *text, size_t n) MUST_CHECK;
/* Reads rd->streams and rd->default_stream into rd->conf. */
int streams_read(const struct reader *rd) MUST_CHECK;
/* Checks across options, then fills in derived values. Call after streams_read(). */
int conf_check(const struct reader *rd) MUST_CHECK;

/* Exactly one of file, credential, variable and text is set. *ret is malloc'd; free it with secret_free(). No message
 * contains any of it. */
struct secret_source {
	const char *file, *credential, *variable, *text;
	unsigned line;
	const char *option; /* its name in messages */
	bool is_conninfo;   /* not an API secret: longer, and with spaces */
};
int secret_read(const struct reader *rd, const struct secret_source *source, char **ret) MUST_CHECK;
/* Wipes and frees. Accepts NULL, returns NULL. */
char *secret_free(char *secret);

#endif
