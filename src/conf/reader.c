/* reader.c - error and warning texts of the configuration readers: "FILE:LINE: option: sentence" */
#include "conf/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put_together(const struct reader *rd, unsigned line, const char *option, const char *sentence,
                         struct err *out)
{
	char where[32] = "";

	if (line)
		snprintf(where, sizeof(where), ":%u", line);
	err_set(out, 0, "%s%s: %s%s%s", rd->file, where, option ? option : "", option ? ": " : "", sentence);
}

int reader_fail(const struct reader *rd, unsigned line, const char *option, const char *fmt, ...)
{
	char sentence[400];
	va_list ap;

	if (!rd->err)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	put_together(rd, line, option, sentence, rd->err);
	return -EINVAL;
}

int reader_no_memory(const struct reader *rd)
{
	return err_set(rd->err, -ENOMEM, "%s: no memory to read it", rd->file);
}

void reader_warn(const struct reader *rd, unsigned line, const char *option, const char *fmt, ...)
{
	char sentence[400];
	struct err whole;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	put_together(rd, line, option, sentence, &whole);
	log_warning("%s", whole.text);
}
