/* rewrite_wal.c - a safe start on an existing WAL: rewrites it so that all of it is on the disk
 *
 * When a sync fails, the kernel marks the pages that it could not write as clean. They stay in
 * the page cache, where the next process reads them, but no later sync writes them. A process
 * that is killed can leave the same state if the kernel failed to write its pages in the
 * background. SQLite would recover such frames and append new ones. After a power cut the old
 * frames are gone, so the chain of checksums ends before the new ones, and these are lost
 * although they were synced and acknowledged.
 *
 * Writing the same bytes again makes every page dirty, so that the sync writes all of them or
 * fails. Afterwards disk and page cache hold the same WAL, and everything that SQLite recovers
 * from it is durable. A power cut during the rewrite is harmless: each sector holds its old or
 * its new content, which is the same for everything that was ever synced.
 *
 * This must also precede the first checkpoint, which copies frames into the database: if a power
 * cut interrupts that, only a complete WAL repairs the database.
 *
 * The database file itself needs no rewrite. A page of it can be missing on the disk only if it
 * was written by a checkpoint whose sync failed or never ran. In that case the WAL was not
 * restarted and still contains that page, and SQLite, which does not store in the file how far a
 * checkpoint got, copies the whole WAL again before it reuses it. */
#include "outbox/db/rewrite_wal.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outbox/db/db.h"
#include "outbox/db/joined_writes.h"

/* SQLite's Unix VFS truncates lengths to 17 bits. */
enum { CHUNK = 64 << 10 };

struct wal {
	const char *path; /* path of the outbox */
	char name[PATH_MAX];
	sqlite3_file *file;
	char *chunk;
};

static int failed(const struct wal *w, const char *what, int rc, int saved_errno, struct err *err)
{
	int r = rc == SQLITE_FULL ? -ENOSPC : saved_errno ? -saved_errno : -EIO;

	return err_set(err, r, "%s cannot be %s: %s (SQLite error %d)", w->name, what,
	               saved_errno ? strerror(saved_errno) : sqlite3_errstr(rc), rc);
}

static int rewrite_chunk(const struct wal *w, sqlite3_int64 at, int n, struct err *err)
{
	const sqlite3_io_methods *io = w->file->pMethods;
	int rc;

	errno = 0;
	rc = io->xRead(w->file, w->chunk, n, at);
	if (rc != SQLITE_OK)
		return failed(w, "read", rc, errno, err);
	errno = 0;
	rc = io->xWrite(w->file, w->chunk, n, at);
	return rc == SQLITE_OK ? 0 : failed(w, "written", rc, errno, err);
}

static int rewrite_file(const struct wal *w, struct err *err)
{
	const sqlite3_io_methods *io = w->file->pMethods;
	sqlite3_int64 size = 0;
	int r = 0, rc;

	errno = 0;
	rc = io->xFileSize(w->file, &size);
	if (rc != SQLITE_OK)
		return failed(w, "read", rc, errno, err);
	for (sqlite3_int64 at = 0; r == 0 && at < size; at += CHUNK)
		r = rewrite_chunk(w, at, (int)(size - at < CHUNK ? size - at : CHUNK), err);
	if (r < 0)
		return r;
	errno = 0;
	rc = io->xSync(w->file, SQLITE_SYNC_NORMAL);
	return rc == SQLITE_OK ? 0 : failed(w, "synced", rc, errno, err);
}

/* Uses the VFS, so that the tests' VFS sees the writes. */
static int open_and_rewrite(struct wal *w, sqlite3_vfs *vfs, struct err *err)
{
	/* The VFS may look for URI parameters after the name, in SQLite's format. */
	const char *name = sqlite3_create_filename(w->path, "", w->name, 0, NULL);
	int r, rc, flags = SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE;

	if (!name)
		return err_set(err, -ENOMEM, "out of memory");
	errno = 0;
	rc = vfs->xOpen(vfs, sqlite3_filename_wal(name), w->file, flags, &flags);
	/* Opened read-only because writing is not permitted */
	if (rc == SQLITE_OK && flags & SQLITE_OPEN_READONLY)
		r = failed(w, "opened for writing", rc, access(w->name, W_OK) < 0 ? errno : EACCES, err);
	else
		r = rc == SQLITE_OK ? rewrite_file(w, err) : failed(w, "opened", rc, errno, err);
	if (w->file->pMethods)
		w->file->pMethods->xClose(w->file);
	sqlite3_free_filename((char *)name);
	return r;
}

int rewrite_wal(const char *path, const char *vfs_name, struct err *err)
{
	sqlite3_vfs *vfs;
	struct wal w = {.path = path};
	struct stat sb;
	int r;

	if (snprintf(w.name, sizeof(w.name), "%s-wal", path) >= (int)sizeof(w.name))
		return err_set(err, -ENAMETOOLONG, "the path is too long");
	if (lstat(w.name, &sb) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %s", w.name, strerror(errno));
	if (sb.st_size == 0)
		return 0;
	db_init_sqlite();
	/* This VFS repeats failed reads */
	vfs = sqlite3_vfs_find(joined_writes_vfs(vfs_name, JOINED_WRITES_AT_ONCE));
	if (!vfs)
		return err_set(err, -EIO, "SQLite cannot be initialized");
	w.file = calloc(1, (size_t)vfs->szOsFile);
	w.chunk = malloc(CHUNK);
	r = w.file && w.chunk ? open_and_rewrite(&w, vfs, err) : err_set(err, -ENOMEM, "out of memory");
	free(w.chunk);
	free(w.file);
	return r;
}
