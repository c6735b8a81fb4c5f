/* joined_writes.h - a SQLite VFS over another one: joins adjacent writes, copies in two steps, repeats failed reads
 *
 * SQLite writes a frame of the WAL as 24 and 4096 bytes, and copies a WAL page by page. Here a run of adjacent bytes
 * is kept in memory until something else is wanted of the file: a write elsewhere, a read or the size of what the run
 * covers, a sync. The order of writes stays. What is missed is told by whatever makes it necessary, with the write's
 * own error, never as a failed sync. A sync of a file that nothing was written to since the last one is none.
 *
 * That is for a connection whose commits sync: without a sync a committed frame would stay in memory.
 *
 * For all connections: a read that fails is repeated a few times, and one that fails for good is SQLITE_IOERR_READ,
 * never SQLITE_CORRUPT; a quota that is used up is SQLITE_FULL. */
#ifndef OUTBOX_DB_JOINED_WRITES_H
#define OUTBOX_DB_JOINED_WRITES_H

#include <stdbool.h>

/* For sqlite3_file_control() on "main"; argument: the sqlite3_file of its WAL. From then on a checkpoint copies and
 * starts the writing to the disk, but does not sync: it ends without having got to its end, the WAL goes on as it is,
 * and a later checkpoint copies only what is new and has little to sync. Argument NULL: checkpoints do all again.
 * SQLITE_NOTFOUND: it cannot be had. */
enum { JOINED_WRITES_AHEAD = 0x67613431 };
/* Argument: a uint64_t that gets the number of reads that failed for good through this VFS. */
enum { JOINED_WRITES_FAILED_READS = 0x67613432 };

/* The name of the VFS over that one (NULL: the default), registered with its first use. NULL: out of memory, or there
 * is none of that name. */
const char *joined_writes_vfs(const char *below, bool commits_sync);

#endif
