/* input.c - numbered lines of a file or of standard input, in bounded memory */
#include "ctl/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { READ_CHUNK = 256 << 10 };

enum ctl_exit input_open(struct input *in, const char *path)
{
	bool standard = !path || strcmp(path, "-") == 0;
	struct stat sb;

	*in = (struct input){.fd = STDIN_FILENO,
	                     .own = !standard,
	                     .buf = BUF_INIT(INPUT_LINE_MAX + READ_CHUNK),
	                     .decoded = BUF_INIT(INPUT_LINE_MAX),
	                     .json = json_in_new(64)};
	if (!in->json) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	if (standard)
		return CTL_DONE;
	in->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd >= 0 && fstat(in->fd, &sb) == 0 && !S_ISDIR(sb.st_mode))
		return CTL_DONE;
	ctl_complain("%s: %s", path, strerror(in->fd >= 0 ? EISDIR : errno));
	return CTL_USAGE;
}

void input_close(struct input *in)
{
	if (in->own)
		in->fd = fd_close(in->fd);
	in->json = json_in_free(in->json);
	buf_free(&in->buf);
	buf_free(&in->decoded);
}

int input_fill(struct input *in)
{
	ssize_t n;
	int r;

	buf_consume(&in->buf, in->taken);
	in->seen -= in->taken;
	in->taken = 0;
	r = buf_reserve(&in->buf, READ_CHUNK);
	if (r < 0)
		return r;
	do
		n = read(in->fd, in->buf.data + in->buf.len, READ_CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	in->buf.len += (size_t)n;
	in->eof = n == 0;
	return 0;
}

/* Returns the event's line from the member `line` of an object printed by show or export; other lines as they are. No
 * line of the event socket has such a member. */
static struct slice unwrapped(struct input *in, struct slice line)
{
	const struct json_node *m;
	const struct json_doc *d;
	struct err err;

	if (!slice_has(line, SLICE_LIT("\"line\"")) || json_in_read(in->json, line, &d, &err) < 0)
		return line;
	m = json_member(d, d->nodes, "line");
	if (!m || m->type != JSON_STRING)
		return line;
	buf_clear(&in->decoded);
	return buf_append_slice(&in->decoded, json_value(d, m)) == 0 ? buf_slice(&in->decoded) : line;
}

static bool is_blank(struct slice line)
{
	for (size_t i = 0; i < line.n; i++)
		if (!strchr(" \t\r", line.p[i]) || line.p[i] == '\0')
			return false;
	return true;
}

/* Hands out the bytes up to the next LF or the end of the file. */
static enum input_got next_raw(struct input *in, struct slice *ret)
{
	const char *lf = NULL;
	size_t end = in->buf.len;

	if (in->buf.len > in->seen)
		lf = memchr(in->buf.data + in->seen, '\n', in->buf.len - in->seen);
	if (!lf && !in->eof) {
		in->seen = in->buf.len;
		if (in->buf.len - in->taken <= INPUT_LINE_MAX)
			return INPUT_MORE;
		in->taken = in->buf.len; /* longer than any line may be: discard it as it is read */
		in->skipping = true;
		return INPUT_MORE;
	}
	if (!lf && in->taken == in->buf.len)
		return INPUT_END;
	if (lf)
		end = (size_t)(lf - in->buf.data);
	*ret = (struct slice){in->buf.data + in->taken, end - in->taken};
	in->taken = in->seen = lf ? end + 1 : end;
	if (in->number++ == 0 && slice_starts(*ret, SLICE_LIT("\xef\xbb\xbf")))
		*ret = (struct slice){ret->p + 3, ret->n - 3}; /* skip a byte order mark */
	return INPUT_LINE;
}

enum input_got input_next(struct input *in, struct slice *ret)
{
	for (;;) {
		enum input_got got = next_raw(in, ret);

		if (got != INPUT_LINE)
			return got;
		if (in->skipping) {
			in->skipping = false;
			return INPUT_LONG;
		}
		if (is_blank(*ret))
			continue;
		*ret = unwrapped(in, *ret);
		return INPUT_LINE;
	}
}
