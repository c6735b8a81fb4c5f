/* new_outbox.h - creating and opening the database file */
#ifndef OUTBOX_FILE_NEW_OUTBOX_H
#define OUTBOX_FILE_NEW_OUTBOX_H

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"
#include "outbox/db/store_config.h"
#include "outbox/file/wal_owner.h"

/* Creates an empty outbox at config->path, completely or not at all: writes it under another
 * name, then renames it. The caller holds the lock and has checked that there is no outbox (or
 * an empty file). */
int new_outbox_create(const struct store_config *config, struct err *err) MUST_CHECK;
/* Opens the existing file; wal says which WAL is beside it. When only reading, the WAL of
 * another file is ignored. */
int new_outbox_open(struct db *db, const struct store_config *config, enum wal_kind wal, struct err *err) MUST_CHECK;

#endif
