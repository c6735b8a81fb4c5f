/* insert_batch.h - the insert batch: a group's events as a virtual table for one INSERT
 *
 * A statement that is bound, run and reset per row costs 1,700 instructions and two allocations
 * more per row than one that runs once, because SQLite frees its cursor and its record with each
 * reset. So submissions are collected here, and SQL_PUT_EVENTS reads their rows from the virtual
 * table `insert_batch`. Nothing is copied: the submissions must stay valid until the batch is cleared. */
#ifndef OUTBOX_DB_INSERT_BATCH_H
#define OUTBOX_DB_INSERT_BATCH_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "event/event.h"

struct insert_batch_entry {
	const struct submission *sub; /* its first_id is set */
	uint64_t envelope;            /* its number; 0: each row contains it */
};

/* The only cursor, because only one statement reads the table. */
struct insert_batch_cursor {
	sqlite3_vtab_cursor base;
	const struct insert_batch_entry *at, *end;
	uint32_t event; /* index of the event in at->sub */
};

struct insert_batch {
	sqlite3_vtab table;
	struct insert_batch_cursor cursor;
	struct insert_batch_entry *entries; /* kept from group to group; bounded by the limits of a group */
	size_t n, cap;
	uint64_t rows; /* number of events in all entries */
};

/* Registers the table with the connection, which must be closed before insert_batch_free(). Returns an
 * SQLite result code. */
int insert_batch_register(struct insert_batch *batch, sqlite3 *conn) MUST_CHECK;
/* Adds a submission, which is not copied. Returns 0 or -ENOMEM. */
int insert_batch_add(struct insert_batch *batch, const struct submission *sub, uint64_t envelope) MUST_CHECK;
void insert_batch_clear(struct insert_batch *batch);
void insert_batch_free(struct insert_batch *batch);

#endif
