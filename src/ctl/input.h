/* input.h - numbered lines of a file or of standard input, in bounded memory; unwraps the objects that export
 * prints */
#ifndef CTL_INPUT_H
#define CTL_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "ctl/ctl.h"
#include "json/json_read.h"

enum { INPUT_LINE_MAX = 24 << 20 };

struct input {
	int fd;
	bool own; /* input_close() closes fd */
	bool eof, skipping;
	struct buf buf;
	size_t taken, seen;
	uint64_t number; /* number of the last line handed out, from 1 */
	struct json_in *json;
	struct buf decoded;
};

/* Opens path; NULL or "-" is standard input. Reports errors to standard error. Call input_close() afterwards. */
enum ctl_exit input_open(struct input *in, const char *path) MUST_CHECK;
void input_close(struct input *in);
/* Reads once with read(2). 0 or negative errno. */
int input_fill(struct input *in) MUST_CHECK;

enum input_got {
	INPUT_LINE,
	INPUT_LONG /* a line that is too long was skipped */,
	INPUT_MORE /* call input_fill() first */,
	INPUT_END
};
/* Hands out the next line that is not blank, without LF, valid until input_fill() or the next call. */
enum input_got input_next(struct input *in, struct slice *ret);

#endif
