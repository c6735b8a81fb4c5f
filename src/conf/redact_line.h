/* redact_line.h - removes the configured secrets from the kept text of a refused line */
#ifndef CONF_REDACT_LINE_H
#define CONF_REDACT_LINE_H

#include <stddef.h>

#include "conf/conf.h"

/* Replaces every occurrence of a stream's secret in text by asterisks, byte for byte. Finds it as it is, with JSON
 * escapes, percent-encoded, or both, and also its beginning at the end of a truncated text. */
void redact_line(char *text, size_t n, const struct conf *conf);

#endif
