/* joined_writes.c - a SQLite VFS that joins writes and a copy's reads, splits checkpoints, retries failed reads */
#include "outbox/db/joined_writes.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/macros.h"
#include "outbox/db/copied_frames.h"

enum { RUN_BYTES = 64 << 10, READ_TRIES = 5 };
/* Between the pages of two WAL frames (sqlite.org/fileformat2.html, "The WAL File Format"). */
enum { FRAME_HEADER = 24 };

struct joined_vfs {
	sqlite3_vfs vfs;
	sqlite3_vfs *below;
	bool joins;
	char name[64];
	uint64_t failed_reads;
};

struct joined_file {
	sqlite3_file base;
	sqlite3_file *below; /* the file of the VFS below, stored after this struct */
	struct joined_vfs *vfs;
	bool joins;    /* false: each write is passed on at once */
	bool unsynced; /* data written here or by an earlier process may not be on the disk */
	char *run;     /* n bytes not written yet, or n_read that were read ahead; NULL: not allocated yet */
	int n, n_read; /* never both */
	sqlite3_int64 at;

	/* Used in a WAL only: */
	sqlite3_int64 end;        /* the file has at least this size: as far as it was written here */
	struct joined_file *db;   /* its database, once copying ahead was enabled */
	sqlite3_int64 frame_next; /* where the page after the last one that was read begins */

	/* Used in a database only: */
	struct copied_frames copied;
	bool ahead; /* checkpoints do not sync; a later one does */
	int fd;     /* our own descriptor, to start writing to the disk; -1: none */
};

static struct joined_file *joined(sqlite3_file *file)
{
	return (struct joined_file *)file;
}

/* If a write failed, forgets the copied frames, so that they are copied again. */
static int written(struct joined_file *f, int rc)
{
	if (rc != SQLITE_OK)
		copied_frames_forget(&f->copied);
	return rc;
}

/* Maps an exceeded quota or size limit to SQLITE_FULL. SQLite does so for ENOSPC only, and does
 * not pass on errno for a COMMIT. */
static int write_below(struct joined_file *f, const void *p, int n, sqlite3_int64 at)
{
	int rc;

	errno = 0;
	rc = f->below->pMethods->xWrite(f->below, p, n, at);
	if (rc == SQLITE_OK && at + n > f->end)
		f->end = at + n;
	return rc == SQLITE_IOERR_WRITE && (errno == EDQUOT || errno == EFBIG) ? SQLITE_FULL : rc;
}

/* Writes the joined bytes. A failed write is not repeated: SQLite abandons the transaction or
 * the checkpoint instead. */
static int write_out(struct joined_file *f)
{
	int n = f->n;

	if (n == 0)
		return SQLITE_OK;
	f->n = 0;
	f->unsynced = true;
	return written(f, write_below(f, f->run, n, f->at));
}

static bool is_next(const struct joined_file *f, int n, sqlite3_int64 at)
{
	return f->n == 0 || (at == f->at + f->n && n <= RUN_BYTES - f->n);
}

static int joined_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
	struct joined_file *f = joined(file);
	int rc;

	if (f->db)
		copied_frames_overwritten(&f->db->copied, at);
	if (copied_frames_write(&f->copied))
		return SQLITE_OK;
	f->n_read = 0;
	rc = is_next(f, n, at) ? SQLITE_OK : write_out(f);
	if (rc != SQLITE_OK)
		return rc;
	if (!f->run && f->joins)
		f->run = malloc(RUN_BYTES);
	if (!f->run || n > RUN_BYTES) {
		f->unsynced = true;
		return written(f, write_below(f, p, n, at));
	}
	if (f->n == 0)
		f->at = at;
	memcpy(f->run + f->n, p, (size_t)n);
	f->n += n;
	return SQLITE_OK;
}

/* A failed read may succeed when repeated (a cable, a controller, a path to remote storage). A
 * permanent failure is reported as an I/O error. SQLite's own VFS takes EIO for a damaged file
 * system and reports "malformed". */
static int read_below(struct joined_file *f, void *p, int n, sqlite3_int64 at)
{
	int rc = SQLITE_IOERR_READ;

	for (int i = 0; i < READ_TRIES; i++) {
		rc = f->below->pMethods->xRead(f->below, p, n, at);
		if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ)
			return rc;
	}
	f->vfs->failed_reads++;
	return rc == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : rc;
}

/* Fills the run with what was written from there on. */
static bool read_run(struct joined_file *f, sqlite3_int64 at)
{
	int n = f->end - at < RUN_BYTES ? (int)(f->end - at) : RUN_BYTES;

	f->n_read = 0;
	if (f->n > 0 || !f->run || n <= 0 || f->below->pMethods->xRead(f->below, f->run, n, at) != SQLITE_OK)
		return false;
	f->at = at;
	f->n_read = n;
	return true;
}

static bool is_read(const struct joined_file *f, int n, sqlite3_int64 at)
{
	return at >= f->at && at + n <= f->at + f->n_read;
}

/* A checkpoint reads the WAL page by page. Where it reads a frame after the one before, which is what large commits
 * leave, the next ones are read with the same system call. If that fails, the page is read alone. */
static bool read_ahead(struct joined_file *f, void *p, int n, sqlite3_int64 at)
{
	bool is_next_frame = at == f->frame_next;

	if (!f->db || !f->db->copied.checkpoint)
		return false;
	f->frame_next = at + n + FRAME_HEADER;
	if (!is_read(f, n, at) && (!is_next_frame || !read_run(f, at) || !is_read(f, n, at)))
		return false;
	memcpy(p, f->run + (at - f->at), (size_t)n);
	return true;
}

static int joined_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
	struct joined_file *f = joined(file);
	int rc;

	if (f->db && copied_frames_read(&f->db->copied, n, at))
		return SQLITE_OK;
	if (read_ahead(f, p, n, at))
		return SQLITE_OK;
	/* Also if the read starts after the joined bytes, because the file may end there. */
	rc = f->n > 0 && at + n > f->at ? write_out(f) : SQLITE_OK;
	return rc == SQLITE_OK ? read_below(f, p, n, at) : rc;
}

static int joined_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct joined_file *f = joined(file);
	int rc = write_out(f);

	if (f->db)
		copied_frames_forget(&f->db->copied);
	f->n_read = 0;
	f->end = size < f->end ? size : f->end;
	f->unsynced = true;
	return rc == SQLITE_OK ? f->below->pMethods->xTruncate(f->below, size) : rc;
}

static int joined_sync(sqlite3_file *file, int flags)
{
	struct joined_file *f = joined(file);
	int rc = write_out(f);

	if (rc != SQLITE_OK || !f->unsynced)
		return rc;
	if (f->ahead) {
		/* This only starts the writing; the later sync reports errors. */
		(void)sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		return SQLITE_BUSY; /* tells the checkpoint that it is not complete */
	}
	rc = f->below->pMethods->xSync(f->below, flags);
	f->unsynced = rc != SQLITE_OK;
	return rc;
}

static int joined_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	struct joined_file *f = joined(file);
	int rc = write_out(f);

	return rc == SQLITE_OK ? f->below->pMethods->xFileSize(f->below, ret) : rc;
}

static int joined_close(sqlite3_file *file)
{
	struct joined_file *f = joined(file);
	/* A failure here does not matter, because everything that counts was synced before. */
	int rc = write_out(f), rc_close = f->below->pMethods->xClose(f->below);

	free(f->run);
	copied_frames_free(&f->copied);
	/* After SQLite's own close, because closing any descriptor drops the process's locks */
	fd_close(f->fd);
	return rc == SQLITE_OK ? rc_close : rc;
}

static int joined_lock(sqlite3_file *file, int level)
{
	return joined(file)->below->pMethods->xLock(joined(file)->below, level);
}

static int joined_unlock(sqlite3_file *file, int level)
{
	return joined(file)->below->pMethods->xUnlock(joined(file)->below, level);
}

static int joined_check_lock(sqlite3_file *file, int *ret)
{
	return joined(file)->below->pMethods->xCheckReservedLock(joined(file)->below, ret);
}

static int copy_ahead(struct joined_file *db, sqlite3_file *wal)
{
	db->ahead = false;
	if (!wal)
		return SQLITE_OK;
	if (!db->joins || db->fd < 0 || wal->pMethods != db->base.pMethods)
		return SQLITE_NOTFOUND;
	joined(wal)->db = db;
	db->ahead = true;
	return SQLITE_OK;
}

static int joined_control(sqlite3_file *file, int op, void *arg)
{
	struct joined_file *f = joined(file);

	switch (op) {
	case SQLITE_FCNTL_CKPT_START:
	case SQLITE_FCNTL_CKPT_DONE:
		copied_frames_checkpoint(&f->copied, op == SQLITE_FCNTL_CKPT_START);
		break;
	case JOINED_WRITES_AHEAD:
		return copy_ahead(f, arg);
	case JOINED_WRITES_FAILED_READS:
		*(uint64_t *)arg = f->vfs->failed_reads;
		return SQLITE_OK;
	default:
		break;
	}
	return f->below->pMethods->xFileControl(f->below, op, arg);
}

static int joined_sector(sqlite3_file *file)
{
	return joined(file)->below->pMethods->xSectorSize(joined(file)->below);
}

static int joined_characteristics(sqlite3_file *file)
{
	return joined(file)->below->pMethods->xDeviceCharacteristics(joined(file)->below);
}

/* Version 1: no shared memory and no mmap, which an exclusive connection does not need. */
static const sqlite3_io_methods methods = {
        .iVersion = 1,
        .xClose = joined_close,
        .xRead = joined_read,
        .xWrite = joined_write,
        .xTruncate = joined_truncate,
        .xSync = joined_sync,
        .xFileSize = joined_size,
        .xLock = joined_lock,
        .xUnlock = joined_unlock,
        .xCheckReservedLock = joined_check_lock,
        .xFileControl = joined_control,
        .xSectorSize = joined_sector,
        .xDeviceCharacteristics = joined_characteristics,
};

static int joined_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct joined_vfs *v = CONTAINER_OF(vfs, struct joined_vfs, vfs);
	sqlite3_vfs *below = v->below;
	struct joined_file *f = joined(file);
	int rc;

	/* Rollback journals and temporary files are passed through unchanged. */
	if (!(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
		return below->xOpen(below, name, file, flags, ret_flags);
	*f = (struct joined_file){
	        .below = (sqlite3_file *)(f + 1), .vfs = v, .joins = v->joins, .unsynced = true, .fd = -1};
	rc = below->xOpen(below, name, f->below, flags, ret_flags);
	if (rc == SQLITE_OK) {
		f->base.pMethods = &methods;
		if (v->joins && flags & SQLITE_OPEN_MAIN_DB)
			f->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	} else if (f->below->pMethods) {
		f->below->pMethods->xClose(f->below);
	}
	return rc;
}

static bool is_journal(const char *path)
{
	static const char suffix[] = "-journal";
	size_t n = strlen(path);

	return n >= sizeof(suffix) - 1 && strcmp(path + n - (sizeof(suffix) - 1), suffix) == 0;
}

static int access_alone(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
	struct joined_vfs *v = CONTAINER_OF(vfs, struct joined_vfs, vfs);

	*ret = 0;
	return path && is_journal(path) ? SQLITE_OK : v->below->xAccess(v->below, path, flags, ret);
}

const char *joined_writes_vfs(const char *below, enum joined_writes_use use)
{
	static const char *const prefixes[] = {[JOINED_WRITES_SYNCED] = "joined",
	                                       [JOINED_WRITES_AT_ONCE] = "single",
	                                       [JOINED_WRITES_ALONE] = "alone"};
	sqlite3_vfs *real = sqlite3_vfs_find(below);
	struct joined_vfs *v = real ? malloc(sizeof(*v)) : NULL;
	const sqlite3_vfs *known;

	if (!v)
		return NULL;
	*v = (struct joined_vfs){.vfs = *real, .below = real, .joins = use == JOINED_WRITES_SYNCED};
	snprintf(v->name, sizeof(v->name), "%s-%s", prefixes[use], real->zName);
	known = sqlite3_vfs_find(v->name);
	if (known) {
		free(v);
		return known->zName;
	}
	v->vfs.zName = v->name;
	v->vfs.pNext = NULL;
	v->vfs.szOsFile = (int)sizeof(struct joined_file) + real->szOsFile;
	v->vfs.xOpen = joined_open;
	if (use == JOINED_WRITES_ALONE)
		v->vfs.xAccess = access_alone;
	if (sqlite3_vfs_register(&v->vfs, 0) == SQLITE_OK)
		return v->name;
	free(v);
	return NULL;
}
