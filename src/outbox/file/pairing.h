/* pairing.h - marks that identify which WAL belongs to which outbox
 *
 * SQLite replays any WAL beside a database if salts and checksums are right, because nothing in
 * it names the file. So the outbox has a table with one row, alone on its page, that holds a
 * random mark and the previous mark. A new mark is written
 * - in the first transaction of a restarted WAL, and
 * - in the last transaction before a WAL is copied into the database,
 * so a WAL with a committed transaction contains the mark of the database that it continues, and
 * those of all states to which it may have been copied since. A WAL belongs to a database whose
 * mark is one of these, and to no other: not to an older or newer copy, and not to a backup
 * (which gets its own mark). wal_owner.c reads both before SQLite opens them.
 *
 * Older versions ignore the table, so it needs no new format version. */
#ifndef OUTBOX_FILE_PAIRING_H
#define OUTBOX_FILE_PAIRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"

struct pair_mark {
	uint64_t now, before; /* before is 0 for the first mark of a file that had none */
	/* The database needs no WAL: it was closed, is a copy, or its WAL was emptied */
	bool whole;
};

/* Reads the mark from its page. Returns false if this is not that page. */
bool pair_mark_read(const unsigned char *page, size_t size, struct pair_mark *ret);
/* Finds the number of that page in the schema on page 1. Returns 0 if the file has no such
 * table. */
uint32_t pair_mark_page(const unsigned char *page, size_t size);

struct pairing {
	struct pair_mark mark;    /* the committed one */
	struct pair_mark written; /* the mark in the open transaction, if `wrote` is set */
	bool there;               /* the table exists */
	bool wrote;
	bool begins; /* the WAL may restart with the next transaction */
	bool fresh;  /* nothing was committed since the newest mark */
	bool wanted; /* write a mark in the next transaction */
	bool whole;  /* value of `whole` for the next mark */
};

/* Creates the table and its first mark in a new file. */
int pairing_make(struct db *db, struct err *err) MUST_CHECK;
/* Loads the mark of an open database. Returns 0 or -EIO (trouble). */
int pairing_load(struct pairing *p, struct db *db) MUST_CHECK;
/* Writes a new mark in the open transaction if one is due. Returns 0 or -EIO (trouble). */
int pairing_write(struct pairing *p, struct db *db) MUST_CHECK;
void pairing_committed(struct pairing *p);
void pairing_rolled_back(struct pairing *p);
/* Gives a complete database a mark that no WAL contains. Returns an SQLite result code. */
int pairing_detach(sqlite3 *conn) MUST_CHECK;

#endif
