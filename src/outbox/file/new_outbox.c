/* new_outbox.c - creating and opening the database file */
#include "outbox/file/new_outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "outbox/db/joined_writes.h"
#include "outbox/db/schema.h"
#include "outbox/file/beside.h"
#include "outbox/file/in_place.h"
#include "outbox/file/pages.h"
#include "outbox/file/pairing.h"

/* Mode 0600 whatever the umask is; SQLite gives its other files the same mode. */
static int make_empty(const char *path, struct err *err)
{
	_cleanup_(fd_closep) int fd = -1;

	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_set(err, -errno, "outbox: %s cannot be made: %s", path, strerror(errno));
	in_place_set(fd);
	return 0;
}

static int sync_file(const char *path, struct err *err)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fsync(fd) < 0)
		return err_set(err, -errno, "%s cannot be synced: %s", path, strerror(errno));
	return 0;
}

static int fill(const char *path, const struct store_config *config, struct err *err)
{
	char pragmas[64];
	struct db db;
	int r = db_open(&db, path, SQLITE_OPEN_READWRITE, config->vfs, err);

	if (r < 0)
		return err_prefix(err, r, "outbox: %s", path);
	/* A single sync at the end is enough, because the file does not count before it is
	 * renamed. It uses a rollback journal, so that the header with our application id is in
	 * the file itself before WAL mode starts. */
	snprintf(pragmas, sizeof(pragmas), "PRAGMA synchronous = OFF; PRAGMA page_size = %d", PAGES_SIZE_NEW);
	r = db_exec(&db, pragmas, err);
	if (r == 0)
		r = schema_migrate(&db, 0, err);
	if (r == 0)
		r = pairing_make(&db, err);
	if (r == 0)
		r = db_exec(&db, "PRAGMA journal_mode = WAL", err);
	db_close(&db, r == 0);
	if (r == 0)
		r = sync_file(path, err);
	return r < 0 ? err_prefix(err, r, "outbox %s cannot be made", config->path) : 0;
}

int new_outbox_create(const struct store_config *config, struct err *err)
{
	static const char *const leftovers[] = {".new", ".new-journal", ".new-wal"};
	char path[PATH_MAX];
	int r;

	for (size_t i = 0; i < ARRAY_LEN(leftovers); i++) {
		r = beside_remove(config->path, leftovers[i], err);
		if (r < 0)
			return r;
	}
	r = beside_name(path, config->path, ".new", err);
	if (r == 0)
		r = make_empty(path, err);
	if (r == 0)
		r = fill(path, config, err);
	if (r < 0) {
		(void)unlink(path);
		return r;
	}
	if (rename(path, config->path) < 0)
		return err_set(err, -errno, "outbox %s: cannot be put in place: %s", config->path, strerror(errno));
	return beside_sync(config->path, err);
}

/* For a directory that is not writable: no other files are created or expected beside the
 * database. */
static int open_immutable(struct db *db, const char *path, const char *vfs, struct err *err)
{
	char uri[3 * PATH_MAX + 32] = "file:";
	size_t n = strlen(uri);

	for (const char *p = path; *p && n < sizeof(uri) - 32; p++)
		n += (size_t)snprintf(uri + n, sizeof(uri) - n, strchr("%?#", *p) ? "%%%02x" : "%c",
		                      (unsigned char)*p);
	snprintf(uri + n, sizeof(uri) - n, "?immutable=1");
	return db_open(db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, vfs, err);
}

/* With the file's write lock SQLite can read the WAL left by a crash; without it SQLite would
 * ignore it. */
static int open_unwritable(struct db *db, const char *path, const char *vfs, enum wal_kind wal, struct err *err)
{
	if (errno != EACCES && errno != EROFS && errno != EPERM)
		return err_set(err, -errno, "cannot be looked at: %s", strerror(errno));
	if (wal == WAL_OWN)
		return err_set(err, -EACCES,
		               "a part of it is in its -wal file, which can only be read by a user who may write to "
		               "both: run this as their owner, or copy both to where you may write");
	return open_immutable(db, path, vfs, err);
}

int new_outbox_open(struct db *db, const struct store_config *config, enum wal_kind wal, struct err *err)
{
	const char *vfs;

	db_init_sqlite();
	vfs = joined_writes_vfs(config->vfs, config->read_only   ? JOINED_WRITES_ALONE
	                                     : config->sync_full ? JOINED_WRITES_SYNCED
	                                                         : JOINED_WRITES_AT_ONCE);
	if (!vfs && config->read_only)
		return err_set(err, -ENOMEM, "out of memory");
	if (!vfs)
		vfs = config->vfs;
	if (config->read_only && wal == WAL_ANOTHERS)
		return open_immutable(db, config->path, vfs, err);
	if (config->read_only && access(config->path, W_OK) < 0)
		return open_unwritable(db, config->path, vfs, wal, err);
	/* query_only protects a file that is only read. */
	return db_open(db, config->path, SQLITE_OPEN_READWRITE, vfs, err);
}
