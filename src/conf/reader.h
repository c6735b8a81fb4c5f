/* reader.h - what the readers of one file share; private to conf/ */
#ifndef CONF_READER_H
#define CONF_READER_H

#include <libconfig.h>

#include "conf/conf.h"

enum { CONF_OPTIONS_MAX = 64 };

struct reader {
	const char *file; /* as messages call it */
	struct err *err;
	bool others_can_read;                       /* the file: it may hold no secret then */
	struct conf *conf;                          /* being filled */
	unsigned lines[CONF_OPTIONS_MAX];           /* where conf_options()[i] was set; 0: it has its default */
	config_setting_t *streams, *default_stream; /* read last: they need all the others; NULL: not there */
};

/* "FILE:LINE: option: sentence" (line 0: none); returns -EINVAL. option may be NULL. */
int reader_fail(const struct reader *rd, unsigned line, const char *option, const char *fmt, ...) PRINTF_LIKE(4, 5);
int reader_no_memory(const struct reader *rd);
/* The same words as a warning on the log. */
void reader_warn(const struct reader *rd, unsigned line, const char *option, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* What libconfig lets pass and must not: see scan.c. */
int scan_text(const struct reader *rd, const char *text, size_t n) MUST_CHECK;
/* rd->streams and rd->default_stream into rd->conf. */
int streams_read(const struct reader *rd) MUST_CHECK;
/* What concerns more than one option; makes derived values. After streams_read(). */
int conf_check(const struct reader *rd) MUST_CHECK;

/* Exactly one of the three is given (not NULL); *ret is malloc'd. Nothing of it is ever in a message. */
struct secret_source {
	const char *file, *credential, *text;
	unsigned line;
	const char *option; /* as messages call it */
};
int secret_read(const struct reader *rd, const struct secret_source *source, char **ret) MUST_CHECK;
/* Wipes and frees; takes NULL; returns NULL. */
char *secret_free(char *secret);

#endif
