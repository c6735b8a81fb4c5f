/* err.h - an error value: a negative errno plus the message for the user */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macros.h"

struct err {
	/* What happened, where, and what to do next; no newline; never contains a secret */
	char text[512];
};

/* Formats the text and returns code, so that `return err_set(err, -EINVAL, …)` is one line. err
 * may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Prepends "prefix: " to the existing text. Returns code. */
int err_prefix(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
