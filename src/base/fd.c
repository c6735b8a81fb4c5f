/* fd.c - helpers for file descriptors and small files */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int fd_close(int fd)
{
	int saved_errno = errno;

	if (fd >= 0)
		close(fd); /* Linux has closed it whatever close() returns, EINTR included */
	errno = saved_errno;
	return -1;
}

void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}

static int add_flag(int fd, int get, int set, int flag)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return -errno;
	if (!(flags & flag) && fcntl(fd, set, flags | flag) < 0)
		return -errno;
	return 0;
}

int fd_set_nonblock(int fd)
{
	return add_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK);
}

int fd_set_cloexec(int fd)
{
	return add_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC);
}

int fd_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Reads up to one byte more than the maximum, to detect a file that is too large. */
static int read_to_end(int fd, struct buf *b)
{
	for (;;) {
		char extra, *into = &extra;
		size_t room = 1;
		ssize_t n;
		int r;

		if (b->len < b->max) {
			r = buf_reserve(b, 1);
			if (r < 0)
				return r;
			into = b->data + b->len;
			room = b->cap - b->len;
		}
		n = read(fd, into, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (into == &extra)
			return -EFBIG;
		b->len += (size_t)n;
	}
}

int file_read(const char *path, struct buf *b, struct err *err)
{
	/* O_NONBLOCK, because opening a FIFO of that name would block the start. */
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t before = b->len;
	struct stat st;
	int r;

	if (fd < 0) {
		r = -errno;
		return err_set(err, r, "cannot open %s: %s", path, strerror(-r));
	}
	if (fstat(fd, &st) < 0) {
		r = -errno;
		return err_set(err, r, "cannot look at %s: %s", path, strerror(-r));
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, "%s is not a regular file", path);
	r = read_to_end(fd, b);
	if (r < 0) {
		b->len = before;
		if (r == -EFBIG)
			return err_set(err, r, "%s is larger than %zu bytes", path, b->max - before);
		return err_set(err, r, "cannot read %s: %s", path, strerror(-r));
	}
	return 0;
}
