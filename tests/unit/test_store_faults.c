/* test_store_faults.c - disks that are full, refuse, or fail to sync: what is answered, and what is there afterwards
 */
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "faulty_vfs.h"
#include "store_fixture.h"

static int setup_faulty(void **state)
{
	struct fixture *f = fixture_make();

	faults_clear();
	f->config.vfs = "faulty";
	f->config.ballast = 1 << 20;
	*state = f;
	if (fixture_open(f) < 0)
		fail_msg("%s", f->err.text);
	return 0;
}

static int teardown_faulty(void **state)
{
	faults_clear();
	return teardown(state);
}

struct group {
	struct job_put puts[8];
	struct submission *subs[8];
	struct job_settle *settle;
	struct job *jobs[9];
	size_t n;
};

/* n puts of 100 events each around one settle of id 1. */
static void run_group(struct fixture *f, struct group *g, size_t n)
{
	g->settle = calloc(1, sizeof(*g->settle) + sizeof(struct settle));
	job_settle_init(g->settle, no_done);
	g->settle->n = 1;
	g->settle->events[0] = (struct settle){.id = 1, .kind = SETTLE_DELIVERED};
	g->n = 0;
	for (size_t i = 0; i < n; i++) {
		g->subs[i] = make_submission(f->web, "1.2", "refund", 100, NULL);
		job_put_init(&g->puts[i], g->subs[i], T0, no_done);
		g->jobs[g->n++] = &g->puts[i].job;
		if (i == n / 2)
			g->jobs[g->n++] = &g->settle->job;
	}
	store_group(f->st, g->jobs, g->n);
}

static void free_group(struct group *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		submission_unref(g->subs[i]);
	free(g->settle);
}

/* src/README.md, trap 4: SQLITE_FULL in the middle rolls back, and what follows would commit alone. */
static void full_in_the_middle_stores_nothing(void **state)
{
	struct fixture *f = *state;
	struct group g;
	struct err err;
	char sql[64];

	put(f, f->web, "1.2", "refund");
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d", (int)sql_int(f, "PRAGMA page_count") + 3);
	assert_int_equal(db_exec(&f->st->db, sql, &err), 0);
	run_group(f, &g, 8);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(g.puts[i].job.result, -EDQUOT);
		assert_string_equal(g.puts[i].why, "the disk is full");
		assert_int_equal(g.subs[i]->first_id, 0);
	}
	assert_int_equal(g.settle->job.result, 0); /* made room */
	assert_false(f->st->fatal);
	assert_true(sqlite3_get_autocommit(f->st->db.conn));
	assert_int_equal(f->st->counters.rows, 0);
	assert_books_balance(f);
	free_group(&g, 8);
}

static struct fixture *full_fixture;

static bool ballast_is_out(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s.ballast", full_fixture->path);
	return file_size(path) == 0;
}

/* src/README.md, trap 3: full at COMMIT; only what the ballast gives back lets the settles through. */
static void full_at_commit_gives_the_ballast_back(void **state)
{
	struct fixture *f = full_fixture = *state;
	struct store_stats stats;
	struct group g;
	struct job_put p;

	put(f, f->web, "1.2", "refund");
	assert_false(ballast_is_out());
	faults.write_passes = ballast_is_out;
	atomic_store(&faults.write, SQLITE_FULL);
	run_group(f, &g, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(g.puts[i].job.result, -EDQUOT);
	assert_int_equal(g.settle->job.result, 0);
	assert_true(ballast_is_out());
	assert_int_equal(f->st->counters.rows, 0);
	free_group(&g, 3);
	store_get_stats(f->st, &stats);
	assert_true(stats.full);
	assert_string_equal(stats.full_why, "the disk is full");
	/* Room again (the real disk has it all the time): looked at once a second at most, and the ballast is remade.
	 */
	faults_clear();
	assert_int_equal(store_maintenance(f->st, T0, clock_mono_us() + 2 * US_PER_S, true) == 0, 0);
	assert_false(ballast_is_out());
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, NULL, T0, &p), 0);
	assert_books_balance(f);
}

/* The lock file says which id was the last, and that no more came. Where the database could not be told so, it is
 * none that lacks something. */
static void stop_that_cannot_be_noted_is_no_loss(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	struct job_put j;
	uint64_t first = put(f, f->web, "1.2", "refund");

	atomic_store(&faults.write, SQLITE_IOERR_WRITE);
	assert_int_equal(try_put(f, f->web, "1.3", "refund", 1, NULL, T0, &j), -EIO);
	fixture_close(f);
	faults_clear();
	assert_int_equal(fixture_open(f), 0);
	store_get_stats(f->st, &stats);
	assert_true(stats.unclean_start);
	assert_false(stats.is_older);
	assert_true(stats.next_id > first);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
}

/* Somebody else takes the room of the ballast. That is logged once; when there is room again, everything goes on. */
static void room_of_the_ballast_is_taken(void **state)
{
	struct fixture *f = full_fixture = *state;
	uint64_t id = put(f, f->web, "1.2", "refund");
	struct job_put p;

	atomic_store(&faults.write, SQLITE_FULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(settle_at(f, &id, 1, SETTLE_DELIVERED, DEAD_NONE, false, T0), -ENOSPC);
		assert_true(ballast_is_out());
		assert_true(f->st->space.ballast_spent);
		assert_false(f->st->fatal);
	}
	faults_clear();
	settle(f, id, SETTLE_DELIVERED, DEAD_NONE);
	assert_int_equal(f->st->counters.rows, 0);
	store_maintenance(f->st, T0, clock_mono_us() + 2 * US_PER_S, true);
	assert_false(ballast_is_out());
	assert_false(f->st->space.ballast_spent);
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, NULL, T0, &p), 0);
	assert_books_balance(f);
}

/* As any other end: the ballast makes room for the last commit. */
static void stop_on_a_full_disk_is_clean(void **state)
{
	struct fixture *f = full_fixture = *state;
	struct store_stats stats;

	put(f, f->web, "1.2", "refund");
	faults.write_passes = ballast_is_out;
	atomic_store(&faults.write, SQLITE_FULL);
	fixture_close(f);
	assert_true(ballast_is_out());
	faults_clear();
	assert_int_equal(fixture_open(f), 0);
	store_get_stats(f->st, &stats);
	assert_false(stats.unclean_start);
	assert_false(stats.is_older);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
}

static void write_error_is_no_end(void **state)
{
	struct fixture *f = *state;
	struct job_put j;
	uint64_t first = put(f, f->web, "1.2", "refund"), second;

	atomic_store(&faults.write, SQLITE_IOERR_WRITE);
	assert_int_equal(try_put(f, f->web, "1.3", "refund", 1, NULL, T0, &j), -EIO);
	assert_false(f->st->fatal);
	assert_true(sqlite3_get_autocommit(f->st->db.conn));
	faults_clear();
	second = put(f, f->web, "1.3", "refund");
	/* The id that was tried is not used again: nobody knows how far it got. */
	assert_true(second > first + 1);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM event"), 2);
	assert_books_balance(f);
	fixture_reopen(f);
	assert_books_balance(f);
}

/* src/README.md, trap 5. */
static void failed_sync_is_the_end(void **state)
{
	struct fixture *f = *state;
	struct job_put j;

	put(f, f->web, "1.2", "refund");
	atomic_store(&faults.sync, SQLITE_IOERR_FSYNC);
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, NULL, T0, &j), -EIO);
	assert_true(f->st->fatal);
	assert_non_null(strstr(f->st->fatal_why, "sync"));
	faults_clear();
	/* Nothing more is done, though it could be. */
	int writes = atomic_load(&faults.n_writes);
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, NULL, T0, &j), -EIO);
	assert_int_equal(store_maintenance(f->st, T0, clock_mono_us(), true), INT64_MAX);
	fixture_close(f);
	assert_int_equal(atomic_load(&faults.n_writes), writes);
	/* Recovery decides; what was acknowledged is there. */
	assert_int_equal(fixture_open(f), 0);
	assert_true(count_of(f, f->web, STATE_QUEUED) >= 1);
	assert_true(f->st->unclean_start);
	assert_books_balance(f);
}

/* Copied, not synced; the next store_after_commit() has both to do. */
static void first_step(struct fixture *f)
{
	int syncs = atomic_load(&faults.n_syncs);

	f->st->db.wal_frames = 2000; /* its time has come */
	f->st->pairing.fresh = true; /* the last commit foresaw it */
	store_after_commit(f->st);
	assert_true(f->st->debt.ahead);
	assert_int_equal(atomic_load(&faults.n_syncs), syncs);
	f->st->debt.commits = 2;
}

static void failed_sync_of_a_checkpoint_is_the_end(void **state)
{
	struct fixture *f = *state;
	struct job_put j;

	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1000, NULL, T0, &j), 0);
	first_step(f);
	atomic_store(&faults.sync, SQLITE_IOERR_FSYNC);
	store_after_commit(f->st);
	assert_true(f->st->fatal);
	faults_clear();
	fixture_close(f);
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1000);
	assert_books_balance(f);
}

/* A process that was killed. */
static void die(struct fixture *f)
{
	f->st->fatal = true;
	fixture_close(f);
}

/* What it left may not be on the disk: nothing rests on it before it was written again and synced. */
static void wal_that_was_left_is_written_again(void **state)
{
	struct fixture *f = *state;
	char wal[128];
	off_t size;

	put(f, f->web, "1.2", "refund");
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	die(f);
	size = file_size(wal);
	assert_true(size > 0);
	atomic_store(&faults.write, SQLITE_IOERR_WRITE);
	assert_int_equal(fixture_open(f), -EIO);
	assert_non_null(strstr(f->err.text, "outbox.db-wal cannot be written"));
	atomic_store(&faults.write, SQLITE_FULL);
	assert_int_equal(fixture_open(f), -ENOSPC);
	faults_clear();
	atomic_store(&faults.sync, SQLITE_IOERR_FSYNC);
	assert_int_equal(fixture_open(f), -EIO);
	assert_non_null(strstr(f->err.text, "outbox.db-wal cannot be synced"));
	faults_clear();
	assert_int_equal(file_size(wal), size);
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	assert_books_balance(f);
}

/* What the VFS for Unix says of EIO, which SQLite hands on as "malformed". */
static void fail_reads(int before, int n)
{
	atomic_store(&faults.reads_before, before);
	atomic_store(&faults.reads_failing, n);
	atomic_store(&faults.read, SQLITE_IOERR_CORRUPTFS);
}

static void read_that_fails_once_is_repeated(void **state)
{
	struct fixture *f = *state;

	put(f, f->web, "1.2", "refund");
	for (int before = 0; before < 60; before++) {
		die(f);
		fail_reads(before, 1);
		assert_int_equal(fixture_open(f), 0);
		faults_clear();
		assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	}
}

/* A start, whether the file is suspect or not, ends with an I/O error, and so does a read of the running store. */
static void unreadable_is_not_damaged(void **state)
{
	struct fixture *f = *state;
	struct job_list_rows rows = {.max_rows = 10, .max_examined = 10};
	int failed = 0, r;
	struct job_put j;

	assert_int_equal(try_put(f, f->web, "1.2", "refund", 2000, NULL, T0, &j), 0);
	for (int before = 0; before < 200; before++) {
		if (before == 100)
			assert_int_equal(lockfile_write(&f->st->lock, f->st->lock.id_mark, true), 0);
		die(f);
		fail_reads(before, 1000000);
		r = fixture_open(f);
		faults_clear();
		if (r < 0) {
			assert_int_equal(r, -EIO);
			assert_int_equal(fixture_open(f), 0);
			failed++;
		}
	}
	assert_true(failed > 10);
	assert_false(f->st->lock.suspect);
	fixture_reopen(f);
	job_list_init(&rows, no_done);
	fail_reads(0, 1000000);
	store_read(f->st, &rows.job);
	assert_int_equal(rows.job.result, -EIO);
	job_list_clear(&rows);
	assert_int_equal(f->st->failed_reads, 1);
	assert_false(f->st->fatal);
	assert_false(f->st->lock.suspect);
	faults_clear();
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 2000);
}

/* Commits groups of so many rows until the WAL is copied; returns the most frames that it had. */
static int frames_before_a_copy(struct fixture *f, uint32_t rows)
{
	int most = 0;
	struct job_put j;

	for (int i = 0; i < 2000; i++) {
		assert_int_equal(try_put(f, f->web, "1.2", "refund", rows, NULL, T0, &j), 0);
		most = f->st->db.wal_frames > most ? f->st->db.wal_frames : most;
		if (f->st->db.wal_frames == 0)
			return most;
	}
	return -1;
}

static void copies_are_as_long_as_the_groups(void **state)
{
	struct fixture *f = *state;
	int small, large;

	/* One event a commit writes the same pages again and again: little to copy, however long the WAL. */
	assert_in_range(frames_before_a_copy(f, 1), 1000, 2200);
	small = frames_before_a_copy(f, 100);
	large = frames_before_a_copy(f, 8000);
	assert_in_range(small, 128, 600);
	/* Those of the groups that are committed between the steps are there too. */
	assert_in_range(large, 2 * small, 3000);
}

static void checkpoint_that_cannot_write_waits(void **state)
{
	struct fixture *f = *state;
	struct job_put j;

	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1000, NULL, T0, &j), 0);
	f->st->db.wal_frames = 2000;
	atomic_store(&faults.write, SQLITE_IOERR_WRITE);
	store_after_commit(f->st);
	assert_false(f->st->fatal);
	assert_false(f->st->debt.ahead);
	faults_clear();
	first_step(f);
	/* What the second step has to copy cannot be written either. */
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, NULL, T0, &j), 0);
	atomic_store(&faults.write, SQLITE_IOERR_WRITE);
	store_after_commit(f->st);
	assert_false(f->st->fatal);
	faults_clear();
	first_step(f);
	store_after_commit(f->st);
	assert_int_equal(f->st->db.wal_frames, 0);
	fixture_reopen(f);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1001);
}

static void one_sync_a_commit(void **state)
{
	struct fixture *f = *state;
	int syncs;

	put(f, f->web, "1.2", "refund");
	syncs = atomic_load(&faults.n_syncs);
	for (int i = 0; i < 10; i++)
		put(f, f->web, "1.2", "refund");
	assert_int_equal(atomic_load(&faults.n_syncs), syncs + 10);
	/* Without changes there is nothing to sync. */
	settle(f, 999, SETTLE_DELIVERED, DEAD_NONE);
	assert_int_equal(atomic_load(&faults.n_syncs), syncs + 10);
}

static void stream_of_a_failed_group_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct job_stream j;
	uint32_t sid;

	atomic_store(&faults.write, SQLITE_IOERR_WRITE);
	job_stream_init(&j, SLICE_LIT("third"), no_done);
	assert_int_equal(run_write(f->st, &j.job), -EIO);
	faults_clear();
	assert_null(store_stream_name(f->st, 3));
	assert_int_equal(store_stream_id(f->st, SLICE_LIT("fourth"), &sid, &f->err), 0);
	assert_int_equal(sid, 3);
	assert_string_equal(store_stream_name(f->st, 1), "web");
}

static void new_envelope_of_a_failed_group_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct job_put j;

	large_envelopes = true;
	atomic_store(&faults.write, SQLITE_IOERR_WRITE);
	assert_int_equal(try_put(f, f->web, "new", "refund", 1, NULL, T0, &j), -EIO);
	faults_clear();
	put(f, f->web, "new", "refund");
	large_envelopes = false;
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), 1);
	assert_books_balance(f);
}

/* The real thing: a file system of 6 MB, filled to the brim, emptied by deliveries alone. */
static int fill_small_disk(struct fixture *f)
{
	struct job_put j;
	uint64_t acked = 0, settled = 0;
	int r;

	f->config.ballast = 2 << 20;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("small", f->dir, "tmpfs", 0, "size=6m") < 0)
		return 77;
	if (fixture_open(f) < 0)
		return 2;
	while ((r = try_put(f, f->web, "1.2", "refund", 100, NULL, T0, &j)) == 0 && acked < 1000000)
		acked += 100;
	if (r != -EDQUOT || acked == 0 || count_of(f, f->web, STATE_QUEUED) != acked)
		return 3;
	if (f->st->fatal)
		return 4;
	for (uint64_t id = 1; settled < acked && id < (uint64_t)f->st->counters.now[STORED_NEXT_ID]; id += 100) {
		uint64_t ids[100];

		for (uint64_t i = 0; i < 100; i++)
			ids[i] = id + i;
		if (settle_at(f, ids, 100, SETTLE_DELIVERED, DEAD_NONE, false, T0) < 0)
			return 5;
		settled += 100;
	}
	if (f->st->counters.rows != 0)
		return 6;
	run_maintenance(f, T0, clock_mono_us() + 2 * US_PER_S);
	if (try_put(f, f->web, "1.2", "refund", 100, NULL, T0, &j) != 0)
		return 7;
	assert_books_balance(f);
	fixture_reopen(f);
	return count_of(f, f->web, STATE_QUEUED) == 100 ? 0 : 8;
}

static void small_disk_is_got_out_of(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	fixture_close(f);
	f->config.vfs = NULL;
	pid = fork();
	if (pid == 0)
		_exit(fill_small_disk(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("no right to mount a small file system: skipped\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_faulty, teardown_faulty)
	const struct CMUnitTest tests[] = {
	        T(full_in_the_middle_stores_nothing),
	        T(full_at_commit_gives_the_ballast_back),
	        T(room_of_the_ballast_is_taken),
	        T(write_error_is_no_end),
	        T(stop_that_cannot_be_noted_is_no_loss),
	        T(stop_on_a_full_disk_is_clean),
	        T(failed_sync_is_the_end),
	        T(failed_sync_of_a_checkpoint_is_the_end),
	        T(wal_that_was_left_is_written_again),
	        T(read_that_fails_once_is_repeated),
	        T(unreadable_is_not_damaged),
	        T(copies_are_as_long_as_the_groups),
	        T(checkpoint_that_cannot_write_waits),
	        T(one_sync_a_commit),
	        T(stream_of_a_failed_group_is_forgotten),
	        T(new_envelope_of_a_failed_group_is_made_again),
	        T(small_disk_is_got_out_of),
	};

	faulty_vfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
