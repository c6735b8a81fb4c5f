/* raw_sqlite.c - the limit of intake: SQLite alone, appending the same rows into the same table, nothing else done */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "lines.h"

static const char usage[] = "usage: raw_sqlite FILE ROWS ROWS_A_COMMIT [full|normal]   (FILE is made anew)\n";

enum { POOL = 4096, BYTES = 320 };

/* As src/store/schema.c has it. */
static const char schema[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;"
                             "PRAGMA cache_size = -8192;"
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
	us = clock_mono_us() - start_us;
	printf("{\"rows\":%" PRIu64 ",\"group\":%" PRIu64 ",\"seconds\":%.3f,\"rows_per_s\":%.0f}\n", rows, group,
	       (double)us / 1e6, (double)rows * 1e6 / (double)us);
	sqlite3_finalize(begin);
	sqlite3_finalize(commit);
	sqlite3_finalize(insert);
	sqlite3_close(db);
	return 0;
}
