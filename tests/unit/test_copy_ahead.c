/* test_copy_ahead.c - a copy of the WAL in two steps is the copy that one step makes, whatever happens between them
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "faulty_vfs.h"
#include "outbox/db/db.h"
#include "outbox/db/joined_writes.h"

struct outbox {
	char dir[32], path[64], copy[64];
	struct db db;
	struct err err;
};

static void run(struct outbox *o, const char *sql)
{
	if (db_exec(&o->db, sql, &o->err) < 0)
		fail_msg("%s: %s", sql, o->err.text);
}

static int64_t ask(struct db *db, const char *sql)
{
	struct err err = {0};
	int64_t v = -1;

	if (db_exec_int(db, sql, &v, &err) < 0)
		fail_msg("%s: %s", sql, err.text);
	return v;
}

static int setup(void **state)
{
	struct outbox *o = calloc(1, sizeof(*o));

	faults_clear();
	strcpy(o->dir, "/tmp/ahead.XXXXXX");
	assert_non_null(mkdtemp(o->dir));
	snprintf(o->path, sizeof(o->path), "%s/db", o->dir);
	snprintf(o->copy, sizeof(o->copy), "%s/copy", o->dir);
	assert_int_equal(db_open(&o->db, o->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	                         joined_writes_vfs("faulty", JOINED_WRITES_SYNCED), &o->err),
	                 0);
	/* A small cache, so that pages of an open transaction get into the WAL too. */
	run(o, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 8;"
	       "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER, pad BLOB);");
	assert_int_equal(db_checkpoint(&o->db, false), 0);
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	struct outbox *o = *state;
	char command[200];

	faults_clear();
	db_close(&o->db, true);
	snprintf(command, sizeof(command), "rm -r %s", o->dir);
	assert_int_equal(system(command), 0);
	free(o);
	return 0;
}

static void insert(struct outbox *o, int rows)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
	         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	         "INSERT INTO t(v, pad) SELECT abs(random() %% 1000), zeroblob(3000) FROM n",
	         rows);
	run(o, sql);
}

/* What somebody finds in the file, after a crash with the WAL, or in the database alone, must be what we know. */
static void check_copy(struct outbox *o, bool with_wal)
{
	char command[400];
	struct err err = {0};
	struct db found;

	snprintf(command, sizeof(command), "rm -f %s*; cp %s %s && %s cp %s-wal %s-wal", o->copy, o->path, o->copy,
	         with_wal ? "" : ": ||", o->path, o->copy);
	assert_int_equal(system(command), 0);
	assert_int_equal(db_open(&found, o->copy, SQLITE_OPEN_READWRITE, NULL, &err), 0);
	assert_int_equal(ask(&found, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
	assert_int_equal(ask(&found, "SELECT count(*) FROM t"), ask(&o->db, "SELECT count(*) FROM t"));
	assert_int_equal(ask(&found, "SELECT total(v * id) FROM t"), ask(&o->db, "SELECT total(v * id) FROM t"));
	db_close(&found, false);
}

static void the_second_step_writes_only_what_is_new(void **state)
{
	struct outbox *o = *state;
	int writes;

	insert(o, 200);
	atomic_store(&faults.n_syncs, 0);
	assert_int_equal(db_copy_ahead(&o->db), 1);
	assert_int_equal(atomic_load(&faults.n_syncs), 0);
	check_copy(o, true);
	run(o, "UPDATE t SET v = -1 WHERE id = 100");
	writes = atomic_load(&faults.n_writes);
	atomic_store(&faults.n_syncs, 0);
	assert_int_equal(db_checkpoint(&o->db, false), 0);
	assert_int_equal(o->db.wal_frames, 0);
	assert_int_equal(atomic_load(&faults.n_syncs), 1);
	assert_in_range(atomic_load(&faults.n_writes) - writes, 1, 3);
	check_copy(o, false);
}

static void a_write_that_failed_is_made_again(void **state)
{
	struct outbox *o = *state;

	insert(o, 200);
	atomic_store(&faults.write, SQLITE_FULL);
	assert_int_equal(db_copy_ahead(&o->db), -EIO);
	assert_int_equal(o->db.trouble, TROUBLE_FULL);
	faults_clear();
	db_forget_trouble(&o->db);
	check_copy(o, true);
	assert_int_equal(db_copy_ahead(&o->db), 1);
	assert_int_equal(db_checkpoint(&o->db, false), 0);
	check_copy(o, false);
}

static void a_sync_that_failed_is_told_by_the_second_step(void **state)
{
	struct outbox *o = *state;

	insert(o, 200);
	assert_int_equal(db_copy_ahead(&o->db), 1);
	atomic_store(&faults.sync, SQLITE_IOERR_FSYNC);
	assert_int_equal(db_checkpoint(&o->db, false), -EIO);
	assert_int_equal(o->db.trouble, TROUBLE_UNKNOWN);
	check_copy(o, true);
}

/* Frames of a transaction that was rolled back are written over by the next one. */
static void frames_that_were_written_over_are_copied(void **state)
{
	struct outbox *o = *state;

	insert(o, 50);
	assert_int_equal(db_copy_ahead(&o->db), 1);
	run(o, "BEGIN");
	insert(o, 100);
	run(o, "ROLLBACK");
	run(o, "UPDATE t SET v = v + 1");
	assert_int_equal(db_copy_ahead(&o->db), 1);
	run(o, "DELETE FROM t WHERE id % 3 = 0");
	check_copy(o, true);
	assert_int_equal(db_checkpoint(&o->db, false), 0);
	check_copy(o, false);
}

static void step(struct outbox *o, unsigned *seed)
{
	switch (rand_r(seed) % 8) {
	case 0:
	case 1:
		insert(o, 1 + rand_r(seed) % 60);
		break;
	case 2:
		run(o, "UPDATE t SET v = abs(random() % 1000) WHERE id % 7 = abs(random() % 7)");
		break;
	case 3:
		run(o, "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 40)");
		break;
	case 4:
		run(o, "BEGIN");
		insert(o, 1 + rand_r(seed) % 60);
		run(o, "ROLLBACK");
		break;
	case 5:
	case 6:
		assert_int_equal(db_copy_ahead(&o->db), 1);
		break;
	default:
		assert_int_equal(db_checkpoint(&o->db, rand_r(seed) % 4 == 0), 0);
		check_copy(o, false);
	}
}

static void whatever_is_done_in_whatever_order(void **state)
{
	struct outbox *o = *state;
	unsigned seed = 20261126;

	for (int i = 0; i < 400; i++) {
		step(o, &seed);
		if (i % 10 == 0)
			check_copy(o, true);
	}
	assert_int_equal(db_checkpoint(&o->db, false), 0);
	check_copy(o, false);
}

/* Without the VFS, and over one whose files cannot be opened by us, there is one step. */
static void others_have_one_step(void **state)
{
	struct outbox *o = *state;

	db_close(&o->db, true);
	assert_int_equal(db_open(&o->db, o->path, SQLITE_OPEN_READWRITE, "faulty", &o->err), 0);
	insert(o, 10);
	assert_int_equal(db_copy_ahead(&o->db), 0);
	assert_int_equal(db_checkpoint(&o->db, false), 0);
	check_copy(o, false);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(the_second_step_writes_only_what_is_new),
	        T(a_write_that_failed_is_made_again),
	        T(a_sync_that_failed_is_told_by_the_second_step),
	        T(frames_that_were_written_over_are_copied),
	        T(whatever_is_done_in_whatever_order),
	        T(others_have_one_step),
	};

	faulty_vfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
