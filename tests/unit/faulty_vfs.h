/* faulty_vfs.h - SQLite's default VFS with a point where reads, writes and syncs fail on demand */
#ifndef FAULTY_VFS_H
#define FAULTY_VFS_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* What the next operation of a kind answers: SQLITE_OK passes it on. */
struct faults {
	atomic_int write, sync;
	atomic_int read, reads_before, reads_failing; /* after so many, so many fail */
	atomic_bool wal_only;                         /* writes to the WAL; otherwise to any file */
	atomic_int writes_before;                     /* so many pass first */
	bool (*write_passes)(void);                   /* asked when a write would fail; may be NULL */
	atomic_int n_reads, n_writes, n_syncs;
};

struct faulty_file {
	sqlite3_file base;
	bool is_wal;
	sqlite3_file *real; /* behind this struct */
};

static struct faults faults;
static sqlite3_vfs *faulty_below;

#define REAL(f) (((struct faulty_file *)(f))->real)

static inline int faulty_close(sqlite3_file *f)
{
	return REAL(f)->pMethods ? REAL(f)->pMethods->xClose(REAL(f)) : SQLITE_OK;
}
static inline int faulty_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	int rc = atomic_load(&faults.read);

	atomic_fetch_add(&faults.n_reads, 1);
	if (rc != SQLITE_OK && atomic_fetch_sub(&faults.reads_before, 1) <= 0 &&
	    atomic_fetch_sub(&faults.reads_failing, 1) > 0)
		return rc;
	return REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}
static inline int faulty_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	int rc = atomic_load(&faults.write);

	atomic_fetch_add(&faults.n_writes, 1);
	if (rc != SQLITE_OK && (!atomic_load(&faults.wal_only) || ((struct faulty_file *)f)->is_wal) &&
	    atomic_fetch_sub(&faults.writes_before, 1) <= 0 && !(faults.write_passes && faults.write_passes()))
		return rc;
	return REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}
static inline int faulty_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return REAL(f)->pMethods->xTruncate(REAL(f), size);
}
static inline int faulty_sync(sqlite3_file *f, int flags)
{
	int rc = atomic_load(&faults.sync);

	atomic_fetch_add(&faults.n_syncs, 1);
	return rc != SQLITE_OK ? rc : REAL(f)->pMethods->xSync(REAL(f), flags);
}
static inline int faulty_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), ret);
}
static inline int faulty_lock(sqlite3_file *f, int kind)
{
	return REAL(f)->pMethods->xLock(REAL(f), kind);
}
static inline int faulty_unlock(sqlite3_file *f, int kind)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), kind);
}
static inline int faulty_reserved(sqlite3_file *f, int *ret)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}
static inline int faulty_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static inline int faulty_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static inline int faulty_device(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

/* Version 1: no shared memory, which an exclusive connection does without. */
static const sqlite3_io_methods faulty_methods = {
        .iVersion = 1,
        .xClose = faulty_close,
        .xRead = faulty_read,
        .xWrite = faulty_write,
        .xTruncate = faulty_truncate,
        .xSync = faulty_sync,
        .xFileSize = faulty_size,
        .xLock = faulty_lock,
        .xUnlock = faulty_unlock,
        .xCheckReservedLock = faulty_reserved,
        .xFileControl = faulty_control,
        .xSectorSize = faulty_sector,
        .xDeviceCharacteristics = faulty_device,
};

static inline int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct faulty_file *file = (struct faulty_file *)f;
	int rc;

	(void)vfs;
	file->real = (sqlite3_file *)(file + 1);
	file->is_wal = flags & SQLITE_OPEN_WAL;
	rc = faulty_below->xOpen(faulty_below, name, file->real, flags, ret_flags);
	file->base.pMethods = rc == SQLITE_OK ? &faulty_methods : NULL;
	return rc;
}

static inline void faulty_vfs_register(void)
{
	static sqlite3_vfs vfs;

	faulty_below = sqlite3_vfs_find(NULL);
	vfs = *faulty_below;
	vfs.zName = "faulty";
	vfs.szOsFile = (int)sizeof(struct faulty_file) + faulty_below->szOsFile;
	vfs.xOpen = faulty_open;
	vfs.pNext = NULL;
	sqlite3_vfs_register(&vfs, 0);
}

static inline void faults_clear(void)
{
	atomic_store(&faults.write, SQLITE_OK);
	atomic_store(&faults.sync, SQLITE_OK);
	atomic_store(&faults.read, SQLITE_OK);
	atomic_store(&faults.wal_only, false);
	atomic_store(&faults.writes_before, 0);
	faults.write_passes = NULL;
}

#endif
