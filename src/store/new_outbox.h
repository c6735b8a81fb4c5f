/* new_outbox.h - the database file made, and opened */
#ifndef STORE_NEW_OUTBOX_H
#define STORE_NEW_OUTBOX_H

#include "base/err.h"
#include "base/macros.h"
#include "store/db.h"
#include "store/store.h"

/* Makes an empty outbox at config->path, whole or not at all: under another name first, then renamed. The caller
 * holds the lock and knows that there is none (or an empty file). */
int new_outbox_create(const struct store_config *config, struct err *err) MUST_CHECK;
/* A WAL without its database, or one that does not begin as a WAL, must not be in the way. It is kept as
 * PATH-wal.orphan: its rows may be wanted. */
int new_outbox_move_orphans(const char *path, struct err *err) MUST_CHECK;
/* Opens the file that is there. */
int new_outbox_open(struct db *db, const struct store_config *config, struct err *err) MUST_CHECK;
/* Syncs the directory of the outbox at path, so that the names in it outlive a power cut. */
int new_outbox_sync_directory(const char *path, struct err *err) MUST_CHECK;

#endif
