/* raw_sqlite.c - the limit of intake: SQLite alone, appending the same rows into the same table, nothing else done;
 * and of a drain: the same rows read in order and deleted again, as secure_delete wants it */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "lines.h"

static const char usage[] = "usage: raw_sqlite FILE ROWS ROWS_A_COMMIT [full|normal [drain]]   (FILE is made anew)\n";

enum { POOL = 4096, BYTES = 320 };

/* As src/outbox/db/schema.c has it. */
static const char schema[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;"
                             "PRAGMA cache_size = -8192; PRAGMA secure_delete = ON;"
                             "CREATE TABLE event(id INTEGER PRIMARY KEY, sid INTEGER NOT NULL, envelope INTEGER NOT "
                             "NULL, state INTEGER NOT NULL, accepted INTEGER NOT NULL, time INTEGER NOT NULL,"
                             " props INTEGER NOT NULL, body TEXT NOT NULL);";

static sqlite3 *db;

static void check(int rc, const char *doing)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE)
		return;
	fprintf(stderr, "raw_sqlite: %s: %s\n", doing, sqlite3_errmsg(db));
	exit(1);
}

static sqlite3_stmt *prepare(const char *sql)
{
	sqlite3_stmt *stmt;

	check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL), sql);
	return stmt;
}

static void run(sqlite3_stmt *stmt)
{
	check(sqlite3_step(stmt), sqlite3_sql(stmt));
	sqlite3_reset(stmt);
}

static void open_new(const char *path, const char *sync)
{
	char other[4200], sql[sizeof(schema) + 16];

	unlink(path);
	snprintf(other, sizeof(other), "%s-wal", path);
	unlink(other);
	check(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0), "config");
	check(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL),
	      path);
	snprintf(sql, sizeof(sql), schema, sync);
	check(sqlite3_exec(db, sql, NULL, NULL, NULL), "schema");
}

static void put(sqlite3_stmt *insert, uint64_t i, const char *event, size_t n)
{
	sqlite3_bind_int64(insert, 1, (int64_t)i + 1);
	sqlite3_bind_int64(insert, 2, 1);
	sqlite3_bind_int64(insert, 3, (int64_t)(i % 1000) + 1);
	sqlite3_bind_int64(insert, 4, 1795000000000000 + (int64_t)i);
	sqlite3_bind_int64(insert, 5, 1795000000000000 + (int64_t)i);
	sqlite3_bind_int64(insert, 6, 0);
	sqlite3_bind_text64(insert, 7, event, n, SQLITE_STATIC, SQLITE_UTF8);
	run(insert);
}

/* Each row's columns are looked at, as if to be sent. */
static uint64_t read_rows(sqlite3_stmt *select, int64_t first, int64_t last)
{
	uint64_t sum = 0;

	sqlite3_bind_int64(select, 1, first);
	sqlite3_bind_int64(select, 2, last);
	while (sqlite3_step(select) == SQLITE_ROW) {
		for (int column = 0; column < 7; column++)
			sum += (uint64_t)sqlite3_column_int64(select, column);
		sum += sqlite3_column_text(select, 7)[0];
	}
	sqlite3_reset(select);
	return sum;
}

/* Read ahead by slices of 2000, then deleted in the same order, a run in each of the transactions. */
static void drain(uint64_t rows, uint64_t group, sqlite3_stmt *begin, sqlite3_stmt *commit)
{
	sqlite3_stmt *select = prepare("SELECT id, sid, state, envelope, accepted, time, props, body FROM event"
	                               " WHERE id BETWEEN ?1 AND ?2 ORDER BY id");
	sqlite3_stmt *remove = prepare("DELETE FROM event WHERE id BETWEEN ?1 AND ?2 AND sid = 1 AND state = 0");
	const uint64_t slice = 2000, ahead = 24000;
	uint64_t read = 0, sum = 0;

	for (uint64_t gone = 0; gone < rows; gone += group) {
		for (; read < rows && read < gone + ahead; read += slice)
			sum += read_rows(select, (int64_t)read + 1, (int64_t)(read + slice));
		run(begin);
		sqlite3_bind_int64(remove, 1, (int64_t)gone + 1);
		sqlite3_bind_int64(remove, 2, (int64_t)(gone + group));
		run(remove);
		run(commit);
	}
	if (sum == 0)
		exit(1);
	sqlite3_finalize(select);
	sqlite3_finalize(remove);
}

int main(int argc, char **argv)
{
	static char events[POOL][LINE_ROOM];
	static size_t sizes[POOL];
	uint64_t rows, group;
	int64_t start_us, us;

	if (argc < 4) {
		fputs(usage, stderr);
		return 2;
	}
	rows = strtoull(argv[2], NULL, 10);
	group = strtoull(argv[3], NULL, 10);
	for (size_t i = 0; i < POOL; i++)
		sizes[i] = lines_event(events[i], i, BYTES);
	open_new(argv[1], argc > 4 ? argv[4] : "full");
	sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT");
	sqlite3_stmt *insert = prepare("INSERT INTO event VALUES(?1,?2,?3,0,?4,?5,?6,?7)");
	start_us = clock_mono_us();
	for (uint64_t i = 0; i < rows; i++) {
		if (i % group == 0)
			run(begin);
		put(insert, i, events[i % POOL], sizes[i % POOL]);
		if (i % group == group - 1 || i == rows - 1)
			run(commit);
	}
	if (argc > 5) {
		check(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), "checkpoint");
		start_us = clock_mono_us();
		drain(rows, group, begin, commit);
	}
	us = clock_mono_us() - start_us;
	printf("{\"rows\":%" PRIu64 ",\"group\":%" PRIu64 ",\"seconds\":%.3f,\"rows_per_s\":%.0f}\n", rows, group,
	       (double)us / 1e6, (double)rows * 1e6 / (double)us);
	sqlite3_finalize(begin);
	sqlite3_finalize(commit);
	sqlite3_finalize(insert);
	sqlite3_close(db);
	return 0;
}
