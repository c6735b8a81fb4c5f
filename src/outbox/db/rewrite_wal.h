/* rewrite_wal.h - a safe start on an existing WAL: rewrites it so that all of it is on the disk */
#ifndef OUTBOX_DB_REWRITE_WAL_H
#define OUTBOX_DB_REWRITE_WAL_H

#include "base/err.h"
#include "base/macros.h"

/* Writes the WAL of the outbox at path over itself through that VFS (NULL: the default), and
 * syncs it. A missing or empty WAL is left unchanged. Call this before SQLite opens the outbox. */
int rewrite_wal(const char *path, const char *vfs, struct err *err) MUST_CHECK;

#endif
