/* pairing.h - the mark by which an outbox and its write-ahead log know each other
 *
 * SQLite replays whatever WAL lies beside a database if salts and checksums are right: nothing ties it to that file.
 * So the outbox has a table of one row, alone on its page, with a random mark and the mark before it. A new mark is
 * written
 * - in the first transaction of a WAL that begins anew, and
 * - in the last one before a WAL is copied into the database,
 * so a WAL with anything committed in it names the mark of the database that it continues, and all that may have been
 * copied from it since. A WAL belongs to a database whose mark is one of those, and to no other: not to an older or a
 * newer copy, not to a backup (which gets a mark of its own). wal_owner.c reads both before SQLite opens them.
 *
 * The table is an addition that older versions pass over, so it has no format number of its own. */
#ifndef OUTBOX_FILE_PAIRING_H
#define OUTBOX_FILE_PAIRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"

struct pair_mark {
	uint64_t now, before; /* before 0: the first mark of a file that had none */
	bool whole;           /* the database needs no WAL: it was closed, is a copy, or its WAL was emptied */
};

/* As the file's page holds it. False: that is not the page. */
bool pair_mark_read(const unsigned char *page, size_t size, struct pair_mark *ret);
/* The number of that page, from page 1; 0: the file has no such table. */
uint32_t pair_mark_page(const unsigned char *page, size_t size);

struct pairing {
	struct pair_mark mark;    /* the committed one */
	struct pair_mark written; /* the open transaction's, if wrote */
	bool there;               /* the table */
	bool wrote;
	bool begins; /* the WAL may begin anew with the next transaction */
	bool fresh;  /* nothing was committed since the newest mark */
	bool wanted; /* in the next transaction */
	bool whole;  /* what the next mark says */
};

/* The table and its first mark, in a new file. */
int pairing_make(struct db *db, struct err *err) MUST_CHECK;
/* Of an open database. -EIO: trouble. */
int pairing_load(struct pairing *p, struct db *db) MUST_CHECK;
/* Puts a new mark into the open transaction if one is due. -EIO: trouble. */
int pairing_write(struct pairing *p, struct db *db) MUST_CHECK;
void pairing_committed(struct pairing *p);
void pairing_rolled_back(struct pairing *p);
/* Gives a database that is whole by itself a mark that no WAL knows. An SQLite result. */
int pairing_detach(sqlite3 *conn) MUST_CHECK;

#endif
