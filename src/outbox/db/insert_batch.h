/* insert_batch.h - the insert batch: a group's events as a virtual table for one INSERT
 *
 * A statement that is bound, run and reset per row costs 1,700 instructions and two allocations
 * more per row than one that runs once, because SQLite frees its cursor and its record with each
 * reset. So submissions are collected here, and SQL_PUT_EVENTS reads their rows from the virtual
 * table `feed`. Nothing is copied: the submissions must stay valid until the batch is cleared. */
#ifndef OUTBOX_DB_INSERT_BATCH_H
#define OUTBOX_DB_INSERT_BATCH_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "event/event.h"

struct feed_entry {
	const struct submission *sub; /* its first_id is set */
	uint64_t envelope;
};

/* The only cursor, because only one statement reads the table. */
struct feed_cursor {
	sqlite3_vtab_cursor base;
	const struct feed_entry *at, *end;
	uint32_t event; /* index of the event in at->sub */
};

struct feed {
	sqlite3_vtab table;
	struct feed_cursor cursor;
	struct feed_entry *entries; /* kept from group to group; bounded by the limits of a group */
	size_t n, cap;
	uint64_t rows; /* number of events in all entries */
};

/* Registers the table with the connection, which must be closed before feed_free(). Returns an
 * SQLite result code. */
int feed_register(struct feed *feed, sqlite3 *conn) MUST_CHECK;
/* Adds a submission, which is not copied. Returns 0 or -ENOMEM. */
int feed_add(struct feed *feed, const struct submission *sub, uint64_t envelope) MUST_CHECK;
void feed_clear(struct feed *feed);
void feed_free(struct feed *feed);

#endif
