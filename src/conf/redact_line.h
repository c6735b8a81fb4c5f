/* redact_line.h - keeps the configured secrets out of what is kept of a refused line */
#ifndef CONF_REDACT_LINE_H
#define CONF_REDACT_LINE_H

#include <stddef.h>

#include "conf/conf.h"

/* Every occurrence in text of a stream's secret becomes asterisks, as many as it has bytes there: as it is, with
 * escapes of JSON, percent-encoded, or both. So does the beginning of one at the end of a text that was cut off. */
void redact_line(char *text, size_t n, const struct conf *conf);

#endif
