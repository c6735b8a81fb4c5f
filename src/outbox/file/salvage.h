/* salvage.h - what a damaged outbox still holds, copied row by row into a sound one (ctl --offline) */
#ifndef OUTBOX_FILE_SALVAGE_H
#define OUTBOX_FILE_SALVAGE_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"

/* What a salvage brought back, and what it met that it could not read. */
struct salvaged {
	uint64_t events;     /* rows of them */
	uint64_t lost_pages; /* that the disk does not give */
	uint64_t lost_cells; /* of tables, that are no rows */
};

/* Every row that the file's pages (its WAL's included) hold, into ret: a temporary database of SQLite's, with our
 * schema, that nobody else sees and that is gone when it is closed. -EUCLEAN: not one of our rows was found. */
int salvage(struct db *ret, const char *path, bool with_wal, struct salvaged *ret_what, struct err *err) MUST_CHECK;

#endif
