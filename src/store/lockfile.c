/* lockfile.c - PATH.lock: one process an outbox, and the facts that must outlive a damaged database */
#include "store/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static const char title[] = "ga4relay outbox lock 1\n";

static int lock_path(char *ret, size_t size, const char *outbox_path)
{
	return snprintf(ret, size, "%s.lock", outbox_path) < (int)size ? 0 : -ENAMETOOLONG;
}

static bool read_facts(struct lockfile *l)
{
	char text[128];
	int suspect, closed = 0;
	ssize_t n = pread(l->fd, text, sizeof(text) - 1, 0);

	if (n < (ssize_t)sizeof(title) - 1 || memcmp(text, title, sizeof(title) - 1) != 0)
		return false;
	text[n] = '\0';
	if (sscanf(text + sizeof(title) - 1, "next_id %" SCNu64 "\nsuspect %d\nclosed %d", &l->id_mark, &suspect,
	           &closed) < 2)
		return false;
	l->suspect = suspect != 0;
	l->closed = closed != 0;
	return true;
}

/* The file that was locked must be the one that the next process opens. Sets errno. */
static bool is_still_named(int fd, const char *path)
{
	struct stat ours, named;

	errno = EWOULDBLOCK;
	return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

int lockfile_take(struct lockfile *ret, const char *outbox_path, struct err *err)
{
	struct lockfile l = {.fd = -1};
	char path[PATH_MAX];
	struct stat st;

	if (lock_path(path, sizeof(path), outbox_path) < 0)
		return err_set(err, -ENAMETOOLONG, "outbox %s: the path is too long", outbox_path);
	l.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (l.fd < 0)
		return err_set(err, -errno,
		               "outbox %s: its lock file %s cannot be opened: %s; does the directory exist, and may "
		               "this user write there?",
		               outbox_path, path, strerror(errno));
	if (flock(l.fd, LOCK_EX | LOCK_NB) < 0 || !is_still_named(l.fd, path)) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		fd_close(l.fd);
		return err_set(err, r, "outbox %s: %s", outbox_path,
		               r == -EBUSY ? "another process holds it: is a ga4relay already running?"
		                           : strerror(-r));
	}
	/* Not of a file that has another name too: only reading offline meets one (identify.c). */
	if (fstat(l.fd, &st) == 0 && st.st_nlink == 1)
		(void)fchmod(l.fd, 0600);
	l.known = read_facts(&l);
	*ret = l;
	return 0;
}

bool lockfile_exists(const char *outbox_path)
{
	char path[PATH_MAX];
	struct lockfile l = {.fd = -1};
	bool found;

	if (lock_path(path, sizeof(path), outbox_path) < 0)
		return false;
	l.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (l.fd < 0)
		return false;
	found = read_facts(&l);
	fd_close(l.fd);
	return found;
}

int lockfile_write(struct lockfile *l, uint64_t id_mark, bool suspect)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%snext_id %020" PRIu64 "\nsuspect %d\nclosed %d\n", title, id_mark,
	                 suspect, l->closed);

	if (pwrite(l->fd, text, (size_t)n, 0) != n || fdatasync(l->fd) < 0)
		return errno ? -errno : -EIO;
	l->id_mark = id_mark;
	l->suspect = suspect;
	l->known = true;
	return 0;
}

void lockfile_release(struct lockfile *l, const char *outbox_path)
{
	char path[PATH_MAX];

	/* One that this process made without anything to note in it (reading offline) leaves no trace. */
	if (!l->known && lock_path(path, sizeof(path), outbox_path) == 0)
		(void)unlink(path);
	l->fd = fd_close(l->fd);
}
