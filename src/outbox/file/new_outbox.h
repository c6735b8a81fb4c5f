/* new_outbox.h - the database file made, and opened */
#ifndef OUTBOX_FILE_NEW_OUTBOX_H
#define OUTBOX_FILE_NEW_OUTBOX_H

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"
#include "outbox/db/store_config.h"
#include "outbox/file/wal_owner.h"

/* Makes an empty outbox at config->path, whole or not at all: under another name first, then renamed. The caller
 * holds the lock and knows that there is none (or an empty file). */
int new_outbox_create(const struct store_config *config, struct err *err) MUST_CHECK;
/* Opens the file that is there; wal: what lies beside it. Of a store that is only read another's WAL is passed over.
 */
int new_outbox_open(struct db *db, const struct store_config *config, enum wal_kind wal, struct err *err) MUST_CHECK;

#endif
