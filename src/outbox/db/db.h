/* db.h - SQLite behind a narrow door: prepared statements by name, and trouble told in five words
 *
 * The first error of a transaction is kept in `trouble` until db_forget_trouble(); after it every call fails, so that
 * a caller may look once, at the end. */
#ifndef OUTBOX_DB_DB_H
#define OUTBOX_DB_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "outbox/db/insert_batch.h"
#include "outbox/db/sql.h"

enum trouble {
	TROUBLE_NONE,
	TROUBLE_FULL,    /* no room: known, nothing of the transaction is stored */
	TROUBLE_FAILED,  /* refused by the disk, unreadable, or out of memory: rolled back */
	TROUBLE_CORRUPT, /* the file is damaged; every byte of it that was asked for could be read */
	TROUBLE_UNKNOWN  /* a sync failed: nobody knows what is on disk (src/README.md, trap 5) */
};

struct db {
	sqlite3 *conn;
	sqlite3_stmt *stmts[SQL_COUNT];
	struct feed feed; /* what SQL_PUT_EVENTS reads: the db stays where it was prepared */
	enum trouble trouble;
	char trouble_text[200];
	uint64_t failed_reads; /* that were known when trouble was noted last */
	int wal_frames;        /* not yet copied into the database file */
	int page_size;
};

/* Before SQLite's first use in the process: its global settings have no effect later. */
void db_init_sqlite(void);
/* Opens path (or a URI) with the relay's settings; flags are SQLite's. 0 or -EIO, -ENOSPC, -EUCLEAN, … */
int db_open(struct db *db, const char *path, int flags, const char *vfs, struct err *err) MUST_CHECK;
/* Prepares all of sql.h; the schema must be there. */
int db_prepare(struct db *db, struct err *err) MUST_CHECK;
/* Takes a db that was never opened. checkpoint: false leaves the WAL to the next start's recovery. */
void db_close(struct db *db, bool checkpoint);
/* SQL without parameters or rows that is not in sql.h (pragmas, schema). */
int db_exec(struct db *db, const char *sql, struct err *err) MUST_CHECK;
/* One integer from such SQL. */
int db_exec_int(struct db *db, const char *sql, int64_t *ret, struct err *err) MUST_CHECK;
enum db_check {
	DB_CHECK_QUICK, /* without comparing indexes with their tables */
	DB_CHECK_WHOLE,
};
/* Reads every page. 0: sound; -EUCLEAN: err has the first problem that SQLite found, which may be several lines;
 * -EIO: not all of it could be read. */
int db_check_pages(struct db *db, enum db_check how, struct err *err) MUST_CHECK;

void db_int(struct db *db, enum sql q, int parameter, int64_t v);
/* The bytes must live until the statement is reset. */
void db_text(struct db *db, enum sql q, int parameter, struct slice s);
/* 1: a row is there; 0: no more (reset); -EIO: trouble (reset). */
int db_row(struct db *db, enum sql q) MUST_CHECK;
/* The same for a scan along ids (column 0) that goes on behind the row before: a damaged page may hold any ids, and
 * going back to one would go round for ever. An id outside of least to most is TROUBLE_CORRUPT. */
int db_row_within(struct db *db, enum sql q, uint64_t least, uint64_t most) MUST_CHECK;
/* To its end, and reset. 0 or -EIO. */
int db_run(struct db *db, enum sql q) MUST_CHECK;
void db_reset(struct db *db, enum sql q);
static inline int64_t db_col(struct db *db, enum sql q, int column)
{
	return sqlite3_column_int64(db->stmts[q], column);
}
/* Valid until the next db_row() or db_reset() of the statement. */
struct slice db_col_text(struct db *db, enum sql q, int column);
static inline bool db_col_is_text(struct db *db, enum sql q, int column)
{
	return sqlite3_column_type(db->stmts[q], column) == SQLITE_TEXT;
}
/* The first row's first column, or missing when there is no row (or NULL). */
int db_one(struct db *db, enum sql q, int64_t missing, int64_t *ret) MUST_CHECK;
/* Rows that the last db_run() changed. */
uint64_t db_changes(struct db *db);

int db_begin(struct db *db) MUST_CHECK;
int db_commit(struct db *db) MUST_CHECK;
/* Rolls back when a transaction is open (after an error SQLite may have done so itself: src/README.md, trap 4). */
void db_rollback(struct db *db);
void db_forget_trouble(struct db *db);
/* A trouble that is not SQLite's: the transaction must not be committed. -EIO. */
int db_fail(struct db *db, const char *why);
/* Copies the WAL into the database; truncate also empties the file. 0 or -EIO with trouble set. */
int db_checkpoint(struct db *db, bool truncate) MUST_CHECK;
/* Copies what the WAL holds, and starts the writing: what a db_checkpoint() after a few commits has to sync is little
 * then. The WAL goes on as it is. 1: done; 0: this database cannot; -EIO with trouble set. */
int db_copy_ahead(struct db *db) MUST_CHECK;
/* As a negative errno: -ENOSPC, -EIO, -EUCLEAN. */
int trouble_errno(enum trouble t);

#endif
