/* err.h - an error that travels up: a negative errno plus the sentence a person reads */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macros.h"

struct err {
	char text[512]; /* says what, where and what next; no newline; never a secret */
};

/* Writes the text and returns code, so that `return err_set(err, -EINVAL, …)` is one line. err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts "prefix: " before a text that is already there. Returns code. */
int err_prefix(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
