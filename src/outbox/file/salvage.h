/* salvage.h - salvage of a damaged outbox: copies each readable row into a sound database */
#ifndef OUTBOX_FILE_SALVAGE_H
#define OUTBOX_FILE_SALVAGE_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"

/* The result: what was salvaged, and what could not be read. */
struct salvaged {
	uint64_t events;     /* number of event rows */
	uint64_t lost_pages; /* pages that the disk could not read */
	uint64_t lost_cells; /* cells of tables that are not valid rows */
};

/* Copies every row in the file's pages (including its WAL) into ret, a temporary SQLite database
 * with our schema, which is private and deleted when it is closed. Returns -E_DAMAGED if no row
 * was found. */
int salvage(struct db *ret, const char *path, bool with_wal, struct salvaged *ret_what, struct err *err) MUST_CHECK;

#endif
