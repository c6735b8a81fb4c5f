/* beside.c - operations on the files beside an outbox: names, existence, durable renames */
#include "outbox/file/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum { ORPHANS_MAX = 1000 };

int beside_name(char ret[PATH_MAX], const char *path, const char *suffix, struct err *err)
{
	if (snprintf(ret, PATH_MAX, "%s%s", path, suffix) < PATH_MAX)
		return 0;
	return err_set(err, -ENAMETOOLONG, "outbox %s: the path is too long", path);
}

int beside_look(const char *path, const char *suffix, struct stat *ret, struct err *err)
{
	char name[PATH_MAX];
	struct stat sb;
	int r = beside_name(name, path, suffix, err);

	if (r < 0)
		return r;
	if (lstat(name, &sb) < 0)
		return errno == ENOENT
		               ? 0
		               : err_set(err, -errno, "outbox: %s cannot be looked at: %s", name, strerror(errno));
	if (ret)
		*ret = sb;
	return 1;
}

int beside_rename(const char *from, const char *to, const char *suffix, struct err *err)
{
	char old[PATH_MAX], new[PATH_MAX];
	int r = beside_name(old, from, suffix, err);

	if (r == 0)
		r = beside_name(new, to, suffix, err);
	if (r == 0)
		r = beside_look(to, suffix, NULL, err);
	if (r < 0)
		return r;
	if (r > 0)
		return err_set(err, -EEXIST, "outbox: %s cannot be renamed to %s, which is there already", old, new);
	if (rename(old, new) == 0)
		return 1;
	return errno == ENOENT
	               ? 0
	               : err_set(err, -errno, "outbox: %s cannot be renamed to %s: %s", old, new, strerror(errno));
}

int beside_remove(const char *path, const char *suffix, struct err *err)
{
	char name[PATH_MAX];
	int r = beside_name(name, path, suffix, err);

	if (r < 0)
		return r;
	if (unlink(name) == 0)
		return 1;
	return errno == ENOENT ? 0 : err_set(err, -errno, "%s cannot be removed: %s", name, strerror(errno));
}

int beside_sync(const char *path, struct err *err)
{
	_cleanup_(fd_closep) int fd = -1;
	char copy[PATH_MAX];
	int r = beside_name(copy, path, "", err);

	if (r < 0)
		return r;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return err_set(err, -errno, "outbox %s: its directory cannot be synced: %s", path, strerror(errno));
	return 0;
}

ssize_t beside_read(int fd, const char *name, void *p, size_t n, off_t at, struct err *err)
{
	size_t got = 0;

	while (got < n) {
		ssize_t more = pread(fd, (char *)p + got, n - got, at + (off_t)got);

		if (more < 0 && errno == EINTR)
			continue;
		if (more < 0)
			return err_set(err, -errno, "outbox: %s cannot be read: %s", name, strerror(errno));
		if (more == 0)
			break;
		got += (size_t)more;
	}
	return (ssize_t)got;
}

/* Chooses a free suffix: "-wal.orphan", "-wal.orphan-2", … */
static int choose_orphan(const char *path, const char *suffix, char *ret, size_t size, struct err *err)
{
	snprintf(ret, size, "%s.orphan", suffix);
	for (int i = 2; i < ORPHANS_MAX; i++) {
		int r = beside_look(path, ret, NULL, err);

		if (r <= 0)
			return r;
		snprintf(ret, size, "%s.orphan-%d", suffix, i);
	}
	return err_set(err, -EEXIST, "outbox %s: too many orphans lie beside it; remove those that are not needed",
	               path);
}

int beside_keep_orphan(const char *path, const char *suffix, const char *why, struct err *err)
{
	char old[PATH_MAX], new[PATH_MAX], kept[64];
	struct stat sb;
	int r = beside_look(path, suffix, &sb, err);

	if (r <= 0)
		return r;
	if (sb.st_size == 0) {
		r = beside_remove(path, suffix, err);
		return r < 0 ? r : 0;
	}
	r = choose_orphan(path, suffix, kept, sizeof(kept), err);
	if (r == 0)
		r = beside_name(old, path, suffix, err);
	if (r == 0)
		r = beside_name(new, path, kept, err);
	if (r < 0)
		return r;
	if (rename(old, new) < 0)
		return err_set(err, -errno, "outbox: %s cannot be renamed to %s: %s", old, new, strerror(errno));
	log_error("outbox %s: %s %s and was not used; it is kept as %s", path, old, why, new);
	r = beside_sync(path, err);
	return r < 0 ? r : 1;
}
