/* db.c - the SQLite connection: prepared statements by name, errors mapped to enum trouble */
#include "outbox/db/db.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outbox/db/joined_writes.h"

static const char *const sql_texts[SQL_COUNT] = {
#define X(name, text) [SQL_##name] = text,
        STORE_SQL(X)
#undef X
};

/* Page cache of the connection in KiB, part of the daemon's memory budget. */
#define CACHE_KIB "8192"
/* Maximum size of the WAL file after a checkpoint; otherwise one large transaction would leave
 * it large (src/README.md, trap 6). */
#define WAL_KEEP_BYTES "8388608"

/* True if a read failed since the last call. Then "malformed" may only mean that SQLite could
 * not read a page. */
static bool has_failed_reads(struct db *db)
{
	uint64_t n = db->failed_reads;
	bool failed;

	if (!db->conn || sqlite3_file_control(db->conn, "main", JOINED_WRITES_FAILED_READS, &n) != SQLITE_OK)
		return false;
	failed = n != db->failed_reads;
	db->failed_reads = n;
	return failed;
}

static enum trouble classify(struct db *db, int rc)
{
	int system = db->conn ? sqlite3_system_errno(db->conn) : 0;

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return TROUBLE_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our own SQL does not fit: the schema is not that of the file's version */
		return has_failed_reads(db) ? TROUBLE_FAILED : TROUBLE_CORRUPT;
	case SQLITE_IOERR:
		if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC)
			return TROUBLE_UNKNOWN;
		if (system == ENOSPC) /* from writes that do not go through joined_writes.c */
			return TROUBLE_FULL;
		return TROUBLE_FAILED;
	default:
		return TROUBLE_FAILED;
	}
}

static int note_trouble(struct db *db, int rc)
{
	if (rc == SQLITE_ERROR && db->conn)
		rc = sqlite3_extended_errcode(db->conn);
	if (db->trouble == TROUBLE_NONE) {
		db->trouble = classify(db, rc);
		snprintf(db->trouble_text, sizeof(db->trouble_text), "%s (SQLite error %d, errno %d)",
		         db->conn ? sqlite3_errmsg(db->conn) : sqlite3_errstr(rc), rc,
		         db->conn ? sqlite3_system_errno(db->conn) : 0);
	}
	return -EIO;
}

int trouble_errno(enum trouble t)
{
	switch (t) {
	case TROUBLE_NONE:
		return 0;
	case TROUBLE_FULL:
		return -ENOSPC;
	case TROUBLE_CORRUPT:
		return -E_DAMAGED;
	case TROUBLE_FAILED:
	case TROUBLE_UNKNOWN:
		return -EIO;
	}
	return -EIO;
}

void db_forget_trouble(struct db *db)
{
	db->trouble = TROUBLE_NONE;
	db->trouble_text[0] = '\0';
}

int db_fail(struct db *db, const char *why)
{
	if (db->trouble == TROUBLE_NONE) {
		db->trouble = TROUBLE_FAILED;
		snprintf(db->trouble_text, sizeof(db->trouble_text), "%s", why);
	}
	return -EIO;
}

static int wal_hook(void *arg, sqlite3 *conn UNUSED, const char *name UNUSED, int frames)
{
	struct db *db = arg;

	db->wal_frames = frames;
	return SQLITE_OK;
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db->conn, sql, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		return 0;
	note_trouble(db, rc);
	/* Another program has the file open; ga4relay's own programs are excluded by PATH.lock. */
	if ((rc & 0xff) == SQLITE_BUSY)
		return err_set(err, -EBUSY, "another program has the database open (sqlite3?); close it there");
	return err_set(err, trouble_errno(db->trouble), "%s", db->trouble_text);
}

/* Steps to the first row of *ret. The caller finalizes it, also on failure. */
static int exec_row(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	int rc = sqlite3_prepare_v2(db->conn, sql, -1, ret, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(*ret);
	if (rc == SQLITE_ROW)
		return 0;
	note_trouble(db, rc);
	return err_set(err, trouble_errno(db->trouble), "%s", db->trouble_text);
}

int db_exec_int(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int r = exec_row(db, sql, &stmt, err);

	if (r == 0)
		*ret = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return r;
}

/* A pragma, not SELECT … FROM pragma_quick_check(1): since SQLite 3.46 that argument is the name
 * of a table (src/README.md, trap 27). */
int db_check_pages(struct db *db, enum db_check how, struct err *err)
{
	const char *sql = how == DB_CHECK_QUICK ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)";
	const char *text;
	sqlite3_stmt *stmt = NULL;
	int r = exec_row(db, sql, &stmt, err);

	if (r == 0) {
		text = (const char *)sqlite3_column_text(stmt, 0);
		if (has_failed_reads(db)) /* the text then reports each unread page as damaged */
			r = err_set(err, -EIO, "not all of the file can be read: Input/output error");
		else if (!text || strcmp(text, "ok") != 0)
			r = err_set(err, -E_DAMAGED, "%s", text ? text : "SQLite's check gave no answer");
	}
	sqlite3_finalize(stmt);
	return r;
}

static int apply_settings(struct db *db, struct err *err)
{
	/* EXCLUSIVE comes before anything that accesses the WAL, so there is no shm file and no
	 * second process can open the database (src/README.md, trap 1). Automatic checkpoints
	 * are off because db_checkpoint() must see sync errors, and no ok may wait for a
	 * checkpoint. */
	int r = db_exec(db,
	                "PRAGMA locking_mode = EXCLUSIVE;"
	                "PRAGMA secure_delete = ON;"
	                "PRAGMA mmap_size = 0;"
	                "PRAGMA temp_store = MEMORY;"
	                "PRAGMA trusted_schema = OFF;"
	                "PRAGMA cache_size = -" CACHE_KIB ";"
	                "PRAGMA journal_size_limit = " WAL_KEEP_BYTES ";"
	                "PRAGMA wal_autocheckpoint = 0;",
	                err);
	if (r < 0)
		return r;
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_wal_hook(db->conn, wal_hook, db);
	return 0;
}

void db_init_sqlite(void)
{
	/* Otherwise each allocation takes a lock for statistics. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* SQLite refuses links in the directory's path as well, so they are resolved. Those lead where the
 * configuration says. */
static bool resolve_directory(char ret[PATH_MAX], const char *path)
{
	const char *name = strrchr(path, '/');
	char copy[PATH_MAX], directory[PATH_MAX];

	name = name ? name + 1 : path;
	return snprintf(copy, sizeof(copy), "%s", path) < (int)sizeof(copy) && realpath(dirname(copy), directory) &&
	       snprintf(ret, PATH_MAX, "%s/%s", directory, name) < PATH_MAX;
}

int db_open_file(sqlite3 **ret, const char *path, int flags, const char *vfs)
{
	char resolved[PATH_MAX];

	if (path[0] && !(flags & SQLITE_OPEN_URI) && resolve_directory(resolved, path))
		return sqlite3_open_v2(resolved, ret, flags | SQLITE_OPEN_NOFOLLOW, vfs);
	return sqlite3_open_v2(path, ret, flags, vfs);
}

int db_open(struct db *db, const char *path, int flags, const char *vfs, struct err *err)
{
	int rc;

	*db = (struct db){.page_size = 4096};
	db_init_sqlite();
	/* Without mutexes, because only one thread at a time uses the connection. */
	rc = db_open_file(&db->conn, path, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
	if (rc != SQLITE_OK) {
		note_trouble(db, rc);
		err_set(err, 0, "%s", db->trouble_text);
		db_close(db, false);
		return rc == SQLITE_CANTOPEN ? -EACCES : -EIO;
	}
	(void)has_failed_reads(db); /* discards the failures of earlier connections */
	return apply_settings(db, err);
}

int db_prepare(struct db *db, struct err *err)
{
	int64_t page_size;
	int rc = insert_batch_register(&db->batch, db->conn), r;

	if (rc != SQLITE_OK) {
		note_trouble(db, rc);
		return err_set(err, trouble_errno(db->trouble), "%s", db->trouble_text);
	}
	for (int i = 0; i < SQL_COUNT; i++) {
		rc = sqlite3_prepare_v3(db->conn, sql_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmts[i], NULL);
		if (rc != SQLITE_OK) {
			note_trouble(db, rc);
			return err_set(err, trouble_errno(db->trouble), "%s, preparing: %s", db->trouble_text,
			               sql_texts[i]);
		}
	}
	r = db_exec_int(db, "PRAGMA page_size", &page_size, err);
	if (r == 0)
		db->page_size = (int)page_size;
	return r;
}

void db_close(struct db *db, bool checkpoint)
{
	for (int i = 0; i < SQL_COUNT; i++) {
		sqlite3_finalize(db->stmts[i]);
		db->stmts[i] = NULL;
	}
	if (db->conn && !checkpoint)
		sqlite3_db_config(db->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(db->conn);
	db->conn = NULL;
	insert_batch_free(&db->batch);
}

void db_int(struct db *db, enum sql q, int parameter, int64_t v)
{
	int rc = sqlite3_bind_int64(db->stmts[q], parameter, v);

	if (unlikely(rc != SQLITE_OK))
		note_trouble(db, rc);
}

void db_text(struct db *db, enum sql q, int parameter, struct slice s)
{
	int rc = sqlite3_bind_text64(db->stmts[q], parameter, s.n ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);

	if (unlikely(rc != SQLITE_OK))
		note_trouble(db, rc);
}

int db_row(struct db *db, enum sql q)
{
	int rc;

	if (unlikely(db->trouble != TROUBLE_NONE)) {
		db_reset(db, q);
		return -EIO;
	}
	rc = sqlite3_step(db->stmts[q]);
	if (rc == SQLITE_ROW)
		return 1;
	if (unlikely(rc != SQLITE_DONE))
		note_trouble(db, rc);
	db_reset(db, q);
	return rc == SQLITE_DONE ? 0 : -EIO;
}

int db_row_within(struct db *db, enum sql q, uint64_t least, uint64_t most)
{
	int r = db_row(db, q);

	if (r > 0 && unlikely((uint64_t)db_col(db, q, 0) < least || (uint64_t)db_col(db, q, 0) > most)) {
		note_trouble(db, SQLITE_CORRUPT);
		db_reset(db, q);
		return -EIO;
	}
	return r;
}

int db_run(struct db *db, enum sql q)
{
	int r;

	do {
		r = db_row(db, q);
	} while (r > 0);
	return r;
}

void db_reset(struct db *db, enum sql q)
{
	/* The result repeats the error of the last step, which was already recorded. */
	(void)sqlite3_reset(db->stmts[q]);
}

struct slice db_col_text(struct db *db, enum sql q, int column)
{
	const void *p = sqlite3_column_text(db->stmts[q], column);

	return (struct slice){p, p ? (size_t)sqlite3_column_bytes(db->stmts[q], column) : 0};
}

int db_one(struct db *db, enum sql q, int64_t missing, int64_t *ret)
{
	int r = db_row(db, q);

	if (r < 0)
		return r;
	if (r == 0 || sqlite3_column_type(db->stmts[q], 0) == SQLITE_NULL)
		*ret = missing;
	else
		*ret = db_col(db, q, 0);
	if (r > 0)
		db_reset(db, q);
	return 0;
}

uint64_t db_changes(struct db *db)
{
	return (uint64_t)sqlite3_changes64(db->conn);
}

int db_begin(struct db *db)
{
	return db_run(db, SQL_BEGIN);
}

int db_commit(struct db *db)
{
	return db_run(db, SQL_COMMIT);
}

void db_rollback(struct db *db)
{
	if (sqlite3_get_autocommit(db->conn))
		return;
	if (sqlite3_step(db->stmts[SQL_ROLLBACK]) != SQLITE_DONE && db->trouble == TROUBLE_NONE)
		note_trouble(db, sqlite3_extended_errcode(db->conn));
	db_reset(db, SQL_ROLLBACK);
}

int db_checkpoint(struct db *db, bool truncate)
{
	int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
	int frames = 0, done = 0;
	int rc = sqlite3_wal_checkpoint_v2(db->conn, "main", mode, &frames, &done);

	if (rc != SQLITE_OK)
		return note_trouble(db, rc);
	db->wal_frames = frames - done;
	return 0;
}

int db_copy_ahead(struct db *db)
{
	sqlite3_file *wal = NULL;
	int rc;

	if (sqlite3_file_control(db->conn, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK || !wal ||
	    sqlite3_file_control(db->conn, "main", JOINED_WRITES_AHEAD, wal) != SQLITE_OK)
		return 0;
	rc = sqlite3_wal_checkpoint_v2(db->conn, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	(void)sqlite3_file_control(db->conn, "main", JOINED_WRITES_AHEAD, NULL);
	return rc == SQLITE_OK ? 1 : note_trouble(db, rc);
}
