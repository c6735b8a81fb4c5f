/* joined_writes.h - a SQLite VFS that joins writes, splits checkpoints and retries failed reads
 *
 * SQLite writes a WAL frame as 24 and 4096 bytes, and copies a WAL page by page. Here adjacent
 * writes are joined in memory until another operation needs them on the file: a write elsewhere,
 * a read of these bytes or of the size, a sync. The order of writes is preserved. An error of a
 * delayed write is returned by the operation that caused it to be written, as a write error,
 * never as a failed sync. A sync is skipped if the file was not written since the last one.
 *
 * Joining requires that commits sync: without a sync a committed frame could stay in memory.
 *
 * For all connections, a failed read is repeated a few times. A permanent failure is
 * SQLITE_IOERR_READ, never SQLITE_CORRUPT, and an exhausted quota is SQLITE_FULL. */
#ifndef OUTBOX_DB_JOINED_WRITES_H
#define OUTBOX_DB_JOINED_WRITES_H

#include <stdbool.h>

/* An operation for sqlite3_file_control() on "main"; the argument is the sqlite3_file of its
 * WAL. From then on a checkpoint copies pages and starts writing them to the disk, but does not
 * sync or complete. The WAL is not restarted, and a later checkpoint copies only new frames and
 * has little to sync. A NULL argument restores complete checkpoints. Returns SQLITE_NOTFOUND if
 * not supported. */
enum { JOINED_WRITES_AHEAD = 0x67613431 };
/* An operation whose argument is a uint64_t; it receives the number of permanently failed reads
 * of this VFS. */
enum { JOINED_WRITES_FAILED_READS = 0x67613432 };

enum joined_writes_use {
	JOINED_WRITES_SYNCED,  /* every commit syncs: writes are joined */
	JOINED_WRITES_AT_ONCE, /* each write is passed on */
	/* The same, and no rollback journal is ever found: for files that others may have made. SQLite
	 * would replay one that lies beside a database, and then delete whatever file it names as its
	 * super-journal, with the rights of who only wanted to read (src/README.md, trap 43) */
	JOINED_WRITES_ALONE
};
/* Returns the name of the VFS on top of `below` (NULL: the default), which is registered on
 * first use. NULL: out of memory, or `below` does not exist. */
const char *joined_writes_vfs(const char *below, enum joined_writes_use use);

#endif
