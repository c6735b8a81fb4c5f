/* db.h - the SQLite connection: prepared statements by name, errors mapped to enum trouble
 *
 * The first error of a transaction is kept in `trouble` until db_forget_trouble(). After it
 * every call fails, so a caller may check once at the end. Used by one thread at a time,
 * normally the writer's. */
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
	TROUBLE_FULL,   /* no space: nothing of the transaction is stored, for certain */
	TROUBLE_FAILED, /* I/O error or out of memory: rolled back */
	/* The file is damaged, although all bytes that were requested could be read */
	TROUBLE_CORRUPT,
	/* A sync failed, so the state on the disk is unknown (src/README.md, trap 5) */
	TROUBLE_UNKNOWN
};

struct db {
	sqlite3 *conn;
	sqlite3_stmt *stmts[SQL_COUNT];
	/* SQL_PUT_EVENTS reads it, so the struct db must not move after db_prepare() */
	struct insert_batch batch;
	enum trouble trouble;
	char trouble_text[200];
	uint64_t failed_reads; /* number of failed reads when trouble was last recorded */
	int wal_frames;        /* WAL frames not yet copied into the database file */
	int page_size;
};

/* Call before SQLite's first use in the process, because its global settings have no effect
 * later. */
void db_init_sqlite(void);
/* Opens a file like sqlite3_open_v2(), but not through a link: that may have been put in its
 * place since it was looked at. */
int db_open_file(sqlite3 **ret, const char *path, int flags, const char *vfs) MUST_CHECK;
/* Opens path (or a URI) with the relay's settings; flags are SQLite's. Returns 0, -EIO, -ENOSPC,
 * -E_DAMAGED, … */
int db_open(struct db *db, const char *path, int flags, const char *vfs, struct err *err) MUST_CHECK;
/* Prepares all statements of sql.h; the schema must exist. */
int db_prepare(struct db *db, struct err *err) MUST_CHECK;
/* Closes the database; also allowed if it was never opened. With checkpoint false the WAL is
 * left for recovery at the next start. */
void db_close(struct db *db, bool checkpoint);
/* Runs SQL without parameters or result rows that is not in sql.h (pragmas, schema). */
int db_exec(struct db *db, const char *sql, struct err *err) MUST_CHECK;
/* Like db_exec(), for SQL that returns one integer. */
int db_exec_int(struct db *db, const char *sql, int64_t *ret, struct err *err) MUST_CHECK;
enum db_check {
	DB_CHECK_QUICK, /* does not compare indexes with their tables */
	DB_CHECK_WHOLE,
};
/* Reads every page. Returns 0 if the file is sound; -E_DAMAGED with SQLite's first problem in err,
 * which may be several lines; -EIO if not all pages could be read. */
int db_check_pages(struct db *db, enum db_check how, struct err *err) MUST_CHECK;

void db_int(struct db *db, enum sql q, int parameter, int64_t v);
/* Binds text, which must stay valid until the statement is reset. */
void db_text(struct db *db, enum sql q, int parameter, struct slice s);
/* Returns 1 for a row; 0 at the end (reset); -EIO on trouble (reset). */
int db_row(struct db *db, enum sql q) MUST_CHECK;
/* Like db_row(), for a scan in order of ids (column 0). A damaged page may contain any ids, and
 * a scan that continues after a lower id would never end, so an id outside of least to most is
 * TROUBLE_CORRUPT. */
int db_row_within(struct db *db, enum sql q, uint64_t least, uint64_t most) MUST_CHECK;
/* Runs the statement to its end and resets it. Returns 0 or -EIO. */
int db_run(struct db *db, enum sql q) MUST_CHECK;
void db_reset(struct db *db, enum sql q);
static inline int64_t db_col(struct db *db, enum sql q, int column)
{
	return sqlite3_column_int64(db->stmts[q], column);
}
/* The text is valid until the next db_row() or db_reset() of the statement. */
struct slice db_col_text(struct db *db, enum sql q, int column);
static inline bool db_col_is_text(struct db *db, enum sql q, int column)
{
	return sqlite3_column_type(db->stmts[q], column) == SQLITE_TEXT;
}
/* Reads the first column of the first row; *ret is `missing` if there is no row, or NULL. */
int db_one(struct db *db, enum sql q, int64_t missing, int64_t *ret) MUST_CHECK;
/* Returns the number of rows that the last db_run() changed. */
uint64_t db_changes(struct db *db);

int db_begin(struct db *db) MUST_CHECK;
int db_commit(struct db *db) MUST_CHECK;
/* Rolls back if a transaction is open (after an error SQLite may have rolled back already:
 * src/README.md, trap 4). */
void db_rollback(struct db *db);
void db_forget_trouble(struct db *db);
/* Records a trouble that does not come from SQLite, so that the transaction is not committed.
 * Returns -EIO. */
int db_fail(struct db *db, const char *why);
/* Copies the WAL into the database (a checkpoint); truncate also empties the file. Returns 0, or
 * -EIO with trouble set. */
int db_checkpoint(struct db *db, bool truncate) MUST_CHECK;
/* Copies the frames of the WAL and starts writing them to the disk without a sync, so that a
 * db_checkpoint() some commits later has little to sync. The WAL is not restarted. Returns 1 if
 * done, 0 if not supported for this database, or -EIO with trouble set. */
int db_copy_ahead(struct db *db) MUST_CHECK;
/* Returns the trouble as a negative errno: -ENOSPC, -EIO or -E_DAMAGED. */
int trouble_errno(enum trouble t);

#endif
