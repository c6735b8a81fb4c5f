/* insert_batch.h - what a group puts, as a table that one INSERT … SELECT reads
 *
 * A statement that is bound, run and reset for every row costs 1,700 instructions and two allocations a row more than
 * one that is run once for all of them: SQLite frees its cursor and its record with each reset. So submissions are
 * gathered here, and SQL_PUT_EVENTS takes their rows from the virtual table `feed`, whose cursor walks them. Nothing
 * is copied: whoever adds a submission keeps it until the feed is cleared. */
#ifndef OUTBOX_DB_INSERT_BATCH_H
#define OUTBOX_DB_INSERT_BATCH_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "event/event.h"

struct feed_entry {
	const struct submission *sub; /* with its first_id */
	uint64_t envelope;
};

/* One statement reads it, hence one cursor. */
struct feed_cursor {
	sqlite3_vtab_cursor base;
	const struct feed_entry *at, *end;
	uint32_t event; /* of at->sub */
};

struct feed {
	sqlite3_vtab table;
	struct feed_cursor cursor;
	struct feed_entry *entries; /* kept from group to group, whose bounds are its own */
	size_t n, cap;
	uint64_t rows; /* events of all entries */
};

/* Makes the table known to the connection, which must be closed before feed_free(). SQLite's result. */
int feed_register(struct feed *feed, sqlite3 *conn) MUST_CHECK;
/* 0 or -ENOMEM. */
int feed_add(struct feed *feed, const struct submission *sub, uint64_t envelope) MUST_CHECK;
void feed_clear(struct feed *feed);
void feed_free(struct feed *feed);

#endif
