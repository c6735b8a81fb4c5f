/* input.h - lines of a file or of standard input, numbered, in bounded memory; export's objects give their `line` */
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
	bool own; /* fd is closed at the end */
	bool eof, skipping;
	struct buf buf;
	size_t taken, seen;
	uint64_t number; /* of the line handed out last, from 1 */
	struct json_in *json;
	struct buf decoded;
};

/* path NULL or "-": standard input. Says what is wrong. */
enum ctl_exit input_open(struct input *in, const char *path) MUST_CHECK;
void input_close(struct input *in);
/* One read(2). 0 or negative errno. */
int input_fill(struct input *in) MUST_CHECK;

enum input_got { INPUT_LINE, INPUT_LONG /* skipped */, INPUT_MORE /* fill first */, INPUT_END };
/* The next line that is not blank, without LF, valid until input_fill() or the next call. */
enum input_got input_next(struct input *in, struct slice *ret);

#endif
