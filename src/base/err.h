/* err.h - an error value: a negative errno plus the message for the user */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macros.h"

/* A file is not as its own program writes it. No errno has this value (the kernel's end at 4095):
 * EUCLEAN, for one, is the file system's own damage, and says nothing of the file. */
enum { E_DAMAGED = 4096 };

/* Describes a returned code, as strerror(-code) would say it. */
const char *err_text(int code);

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
