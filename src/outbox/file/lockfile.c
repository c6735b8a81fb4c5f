/* lockfile.c - PATH.lock: one process per outbox, and facts that survive a damaged database */
#include "outbox/file/lockfile.h"

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
#include "outbox/file/beside.h"

enum { TEXT_MAX = 256 };
static const char title[] = "ga4relay outbox lock 1\n", no_aside[] = "none";

static int lock_path(char *ret, size_t size, const char *outbox_path)
{
	return snprintf(ret, size, "%s.lock", outbox_path) < (int)size ? 0 : -ENAMETOOLONG;
}

static bool parse_facts(struct lockfile *l, const char *text)
{
	int suspect, closed = 0, restore = 0;
	char aside[LOCKFILE_ASIDE_MAX + 1] = "";

	if (sscanf(text, "next_id %" SCNu64 "\nsuspect %d\nclosed %d\naside %40s\nrestore %d", &l->id_mark, &suspect,
	           &closed, aside, &restore) < 2)
		return false;
	l->suspect = suspect != 0;
	l->closed = closed != 0;
	/* Valid only while suspect is set: an older version, which does not know this line, may
	 * have replaced the outbox and left the line. */
	if (l->suspect && aside[0] == '.' && !strchr(aside, '/'))
		strcpy(l->aside, aside);
	l->restore = l->suspect && restore;
	return true;
}

/* Returns 1 if the facts were read, 0 if the file is empty or has other content, or a negative
 * errno if it cannot be read. */
static int read_facts(struct lockfile *l, const char *path, struct err *err)
{
	char text[TEXT_MAX];
	ssize_t n = beside_read(l->fd, path, text, sizeof(text) - 1, 0, err);

	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return strncmp(text, title, strlen(title)) == 0 && parse_facts(l, text + strlen(title));
}

/* Locks the file and checks that it is still the one that another process would open. */
static int lock(int fd, const char *path)
{
	struct stat ours, named = {.st_ino = 0};

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &ours) < 0 || (lstat(path, &named) < 0 && errno != ENOENT))
		return -errno;
	return ours.st_nlink > 0 && ours.st_ino == named.st_ino && ours.st_dev == named.st_dev ? 0 : -EBUSY;
}

int lockfile_take(struct lockfile *ret, const char *outbox_path, struct err *err)
{
	struct lockfile l = {.fd = -1};
	char path[PATH_MAX];
	struct stat st;
	int r;

	if (lock_path(path, sizeof(path), outbox_path) < 0)
		return err_set(err, -ENAMETOOLONG, "outbox %s: the path is too long", outbox_path);
	l.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (l.fd < 0)
		return err_set(err, -errno,
		               "outbox %s: its lock file %s cannot be opened: %s; does the directory exist, and may "
		               "this user write there?",
		               outbox_path, path, strerror(errno));
	r = lock(l.fd, path);
	if (r < 0) {
		fd_close(l.fd);
		if (r == -EBUSY)
			return err_set(err, r, "outbox %s: another process holds it: is a ga4relay already running?",
			               outbox_path);
		return err_set(err, r, "outbox: %s cannot be locked: %s", path, strerror(-r));
	}
	/* Keeps the mode of a file with a second link, which only offline reading accepts
	 * (identify.c). */
	if (fstat(l.fd, &st) == 0 && st.st_nlink == 1)
		(void)fchmod(l.fd, 0600);
	r = read_facts(&l, path, err);
	if (r < 0) {
		fd_close(l.fd);
		return r;
	}
	l.known = r > 0;
	*ret = l;
	return 0;
}

int lockfile_look(struct lockfile *ret, const char *outbox_path, struct err *err)
{
	char path[PATH_MAX];
	struct lockfile l = {.fd = -1};
	int r = beside_name(path, outbox_path, ".lock", err);

	if (r < 0)
		return r;
	l.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (l.fd < 0)
		return errno == ENOENT
		               ? 0
		               : err_set(err, -errno, "outbox: %s cannot be opened: %s", path, strerror(errno));
	r = read_facts(&l, path, err);
	l.fd = fd_close(l.fd);
	*ret = l;
	return r;
}

int lockfile_write(struct lockfile *l, uint64_t id_mark, bool suspect)
{
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof(text),
	                 "%snext_id %020" PRIu64 "\nsuspect %d\nclosed %d\naside %-*s\nrestore %d\n", title, id_mark,
	                 suspect, l->closed, LOCKFILE_ASIDE_MAX, l->aside[0] ? l->aside : no_aside, l->restore);

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

	/* A lock file that this process created without storing anything in it (offline reading)
	 * is removed. */
	if (!l->known && lock_path(path, sizeof(path), outbox_path) == 0)
		(void)unlink(path);
	l->fd = fd_close(l->fd);
}
