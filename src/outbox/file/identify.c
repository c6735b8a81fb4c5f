/* identify.c - the check that a file is an outbox of ga4relay, before SQLite opens it */
#include "outbox/file/identify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "outbox/db/schema.h"
#include "outbox/file/beside.h"
#include "outbox/file/lockfile.h"

/* Offsets in https://www.sqlite.org/fileformat2.html, "The Database Header". */
enum { HEADER_SIZE = 100, USER_VERSION_AT = 60, APPLICATION_ID_AT = 68 };
static const char magic[16] = "SQLite format 3";

static uint32_t big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int judge_header(const char *path, const unsigned char *header, ssize_t n, enum outbox_file *ret,
                        struct err *err)
{
	uint32_t version;

	if (n < HEADER_SIZE || memcmp(header, magic, sizeof(magic)) != 0) {
		struct lockfile lock;
		int ours = lockfile_look(&lock, path, err);

		*ret = ours > 0 ? OUTBOX_DAMAGED : OUTBOX_STRANGE;
		return ours < 0 ? ours : 0;
	}
	if (big_endian(header + APPLICATION_ID_AT) != SCHEMA_APPLICATION_ID)
		return err_set(err, -EPROTO,
		               "outbox %s: that SQLite database belongs to another program and was left alone; name "
		               "another file in outbox.path",
		               path);
	version = big_endian(header + USER_VERSION_AT);
	if (version > (uint32_t)schema_version())
		return err_set(
		        err, -EPROTO,
		        "outbox %s: written by a newer ga4relay (format %u, this one knows %d) and left alone; "
		        "install that version again",
		        path, version, schema_version());
	*ret = OUTBOX_OURS;
	return 0;
}

/* Restores the mode with which the file was created: a backup copied in its place may be
 * readable by others. */
static void close_to_others(const char *path, const struct stat *looked_at)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == looked_at->st_dev && st.st_ino == looked_at->st_ino)
		(void)fchmod(fd, 0600);
}

static int check_name(const char *path, uid_t owner, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "outbox: %s: %s", path, strerror(errno));
	if (S_ISLNK(st.st_mode))
		return err_set(
		        err, -EPROTO,
		        "outbox: %s is a symbolic link and was left alone; name the file itself in outbox.path",
		        path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EPROTO, "outbox: %s is no regular file and was left alone", path);
	if (st.st_nlink > 1)
		return err_set(err, -EPROTO,
		               "outbox: %s has another name (a hard link) and was left alone; copy it with "
		               "ga4relay-ctl backup, and remove the other name",
		               path);
	if (st.st_uid != owner && st.st_uid != 0)
		return err_set(
		        err, -EPROTO,
		        "outbox: %s belongs to uid %u, who could read all of it, and was left alone; it is used "
		        "as uid %u",
		        path, (unsigned)st.st_uid, (unsigned)owner);
	if (st.st_mode & 0077)
		close_to_others(path, &st);
	return 0;
}

int outbox_check_names(const char *path, uid_t owner, struct err *err)
{
	static const char *const suffixes[] = {"", "-wal", "-journal", ".lock", ".ballast"};
	char name[PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(suffixes) && r == 0; i++) {
		if (snprintf(name, sizeof(name), "%s%s", path, suffixes[i]) >= (int)sizeof(name))
			return err_set(err, -ENAMETOOLONG, "outbox %s: the path is too long", path);
		r = check_name(name, owner, err);
	}
	return r;
}

int outbox_identify(const char *path, enum outbox_file *ret, struct err *err)
{
	_cleanup_(fd_closep) int fd = -1;
	unsigned char header[HEADER_SIZE];
	struct stat st;
	ssize_t n;

	/* O_NOFOLLOW, because the outbox's other files are named after it: a link would give
	 * them two possible places. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT) {
		*ret = OUTBOX_MISSING;
		return 0;
	}
	if (fd < 0 && errno == ELOOP)
		return err_set(err, -EPROTO,
		               "outbox %s: that is a symbolic link; name the file itself in outbox.path", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "outbox %s: cannot be opened: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EPROTO, "outbox %s: that is no regular file; name another in outbox.path", path);
	if (st.st_size == 0) {
		*ret = OUTBOX_MISSING;
		return 0;
	}
	n = beside_read(fd, path, header, sizeof(header), 0, err);
	if (n < 0)
		return (int)n;
	if (n < HEADER_SIZE && st.st_size >= HEADER_SIZE)
		return err_set(err, -EIO, "outbox %s: cannot be read: it ends at byte %zd of %lld", path, n,
		               (long long)st.st_size);
	return judge_header(path, header, n, ret, err);
}
