/* rewrite_wal.h - makes sure that the WAL an earlier process left is on the disk before anything rests on it */
#ifndef OUTBOX_DB_REWRITE_WAL_H
#define OUTBOX_DB_REWRITE_WAL_H

#include "base/err.h"
#include "base/macros.h"

/* Writes the WAL of the outbox at path over itself through that VFS (NULL: the default), and syncs it. A WAL that is
 * missing or empty is left alone. To be called before SQLite opens the outbox. */
int rewrite_wal(const char *path, const char *vfs, struct err *err) MUST_CHECK;

#endif
