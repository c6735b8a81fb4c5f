/* test_store.c - opening: whose file, whose lock, ids that never return, what the last process left */
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "outbox/db/schema.h"
#include "store_fixture.h"

static void new_files_are_private(void **state)
{
	static const char *const suffixes[] = {"", "-wal", ".lock", ".ballast"};
	struct fixture *f = *state;
	char path[128];
	mode_t old = umask(0);
	struct stat st;

	f->config.ballast = 1 << 20;
	assert_int_equal(fixture_open(f), 0);
	put(f, f->web, "1.2", "refund");
	umask(old);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(sql_int(f, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
	assert_int_equal(sql_int(f, "PRAGMA user_version"), schema_version());
	assert_int_equal(sql_int(f, "PRAGMA secure_delete"), 1);
	assert_int_equal(sql_int(f, "PRAGMA synchronous"), 2);
	/* No shm file: nobody else can get in (src/README.md, trap 1). */
	snprintf(path, sizeof(path), "%s-shm", f->path);
	assert_int_equal(access(path, F_OK), -1);
}

static void mark_is_in_the_file_before_any_checkpoint(void **state)
{
	struct fixture *f = *state;
	unsigned char header[100];
	int fd;

	put(f, f->web, "1.2", "refund");
	/* A kill here must not leave a file that the next start takes for somebody else's. (A descriptor of our own
	 * on the open database costs SQLite its locks; the test only reads.) */
	fd = open(f->path, O_RDONLY);
	assert_int_equal(read(fd, header, sizeof(header)), 100);
	close(fd);
	assert_memory_equal(header, "SQLite format 3", 16);
	assert_int_equal(header[68] << 24 | header[69] << 16 | header[70] << 8 | header[71], SCHEMA_APPLICATION_ID);
}

static void assert_refused_untouched(struct fixture *f, int expected)
{
	off_t size = file_size(f->path);
	struct stat before, after;
	char path[128];

	assert_int_equal(stat(f->path, &before), 0);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), expected);
	assert_null(f->st);
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_equal(file_size(f->path), size);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
	snprintf(path, sizeof(path), "%s-wal", f->path);
	assert_int_equal(access(path, F_OK), -1);
	assert_non_null(strstr(f->err.text, f->path));
}

static void text_file_is_left_alone(void **state)
{
	struct fixture *f = *state;

	write_file(f->path, "not a database at all\n", 22);
	assert_refused_untouched(f, -EPROTO);
}

static void foreign_database_is_left_alone(void **state)
{
	struct fixture *f = *state;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE other(x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_refused_untouched(f, -EPROTO);
}

static void newer_file_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct err err;

	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(db_exec(&f->st->db, "PRAGMA user_version = 99", &err), 0);
	fixture_close(f);
	assert_refused_untouched(f, -EPROTO);
	assert_non_null(strstr(f->err.text, "newer"));
}

static void newer_number_still_in_the_wal(void **state)
{
	struct fixture *f = *state;
	char wal[128], copy[128];
	struct err err;

	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(db_exec(&f->st->db, "PRAGMA user_version = 99", &err), 0);
	/* As after a kill: the header has the old number, the WAL the new one. */
	f->st->fatal = true;
	fixture_close(f);
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	assert_true(file_size(wal) > 0);
	snprintf(copy, sizeof(copy), "%s", f->path);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -EPROTO);
	assert_true(file_size(wal) > 0);
}

/* The steps are made up, over a file with events in it. */
static void a_file_climbs_to_a_later_format_or_stays(void **state)
{
	static const char *const steps[] = {
	        NULL,
	        "ALTER TABLE event ADD COLUMN weight INTEGER NOT NULL DEFAULT 7",
	        "CREATE TABLE shelf(x); INSERT INTO shelf SELECT id FROM event",
	        "CREATE TABLE half(x); UPDATE event SET weight = 8",
	        "CREATE TABLE shelf(x)", /* is there already */
	};
	struct fixture *f = *state;
	struct db *db = &f->st->db;

	put(f, f->web, "1.2", "refund");
	assert_int_equal(db_exec(db, "PRAGMA user_version = 1", &f->err), 0);
	assert_int_equal(schema_climb(db, steps, 1, 3, &f->err), 0);
	assert_int_equal(sql_int(f, "PRAGMA user_version"), 3);
	assert_int_equal(sql_int(f, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
	assert_int_equal(sql_int(f, "SELECT sum(weight) + count(x) FROM event, shelf"), 8);
	assert_true(schema_climb(db, steps, 3, ARRAY_LEN(steps), &f->err) < 0);
	assert_non_null(strstr(f->err.text, "shelf"));
	assert_int_equal(sql_int(f, "PRAGMA user_version"), 3);
	assert_int_equal(sql_int(f, "SELECT weight FROM event"), 7);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
	assert_true(sqlite3_get_autocommit(db->conn));
}

static void links_and_directories_are_refused(void **state)
{
	struct fixture *f = *state;
	char target[128];

	snprintf(target, sizeof(target), "%s/elsewhere.db", f->dir);
	write_file(target, "", 0);
	assert_int_equal(symlink(target, f->path), 0);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -EPROTO);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -EPROTO);
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(link(target, f->path), 0);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -EPROTO);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -EPROTO);
}

static void empty_file_becomes_an_outbox(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	write_file(f->path, "", 0);
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(put(f, f->web, "1.2", "refund"), 1);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void missing_directory_is_told(void **state)
{
	struct fixture *f = *state;

	strcat(f->path, "/no/where.db");
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -ENOENT);
	assert_non_null(strstr(f->err.text, "directory"));
}

static void orphaned_wal_is_not_replayed(void **state)
{
	struct fixture *f = *state;
	char wal[128];

	put(f, f->web, "1.2", "refund");
	f->st->fatal = true; /* as killed: the WAL stays */
	fixture_close(f);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM event"), 0);
	snprintf(wal, sizeof(wal), "%s-wal.orphan", f->path);
	assert_true(file_size(wal) > 0);
	/* And the ids of the lost ones are not used again: the lock file remembers. */
	assert_true(put(f, f->web, "1.2", "refund") > 1);
}

static void second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct store *st = NULL;

		_exit(store_open(&st, &f->config, T0, &f->err) == -EBUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	put(f, f->web, "1.2", "refund");
}

static void other_programs_are_locked_out(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	put(f, f->web, "1.2", "refund");
	pid = fork();
	if (pid == 0) {
		sqlite3 *db;

		if (sqlite3_open(f->path, &db) != SQLITE_OK)
			_exit(2);
		_exit(sqlite3_exec(db, "SELECT count(*) FROM event", NULL, NULL, NULL) == SQLITE_BUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void ids_never_return(void **state)
{
	struct fixture *f = *state;
	uint64_t a, b;

	/* Nor are they skipped when nothing happened. */
	fixture_reopen(f);
	a = put(f, f->web, "1.2", "refund");
	assert_int_equal(a, 1);
	settle(f, a, SETTLE_DELIVERED, DEAD_NONE);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM event"), 0);
	b = put(f, f->web, "1.2", "refund");
	assert_int_equal(b, 2);
	settle(f, b, SETTLE_DELIVERED, DEAD_NONE);
	fixture_reopen(f);
	assert_int_equal(put(f, f->web, "1.2", "refund"), 3);
	/* Also when the process was killed and the outbox emptied. */
	settle(f, 3, SETTLE_DELIVERED, DEAD_NONE);
	f->st->fatal = true;
	fixture_reopen(f);
	assert_int_equal(put(f, f->web, "1.2", "refund"), 4);
}

static void id_mark_moves_in_blocks(void **state)
{
	struct fixture *f = *state;
	uint64_t mark = f->st->lock.id_mark;

	assert_true(mark > 1);
	f->st->counters.now[STORED_NEXT_ID] = (int64_t)mark - 1;
	put(f, f->web, "1.2", "refund");
	assert_int_equal(f->st->lock.id_mark, mark);
	put(f, f->web, "1.2", "refund");
	assert_true(f->st->lock.id_mark > mark + 1);
}

static void streams_keep_their_numbers(void **state)
{
	struct fixture *f = *state;
	uint32_t sid;
	char name[STORE_NAME_MAX + 2];

	assert_int_equal(f->web, 1);
	assert_int_equal(f->ios, 2);
	fixture_reopen(f);
	assert_int_equal(f->web, 1);
	assert_int_equal(f->ios, 2);
	assert_string_equal(store_stream_name(f->st, 2), "ios");
	assert_null(store_stream_name(f->st, 0));
	assert_null(store_stream_name(f->st, 3));
	assert_null(store_stream_name(f->st, STORE_STREAMS_MAX));
	memset(name, 'n', sizeof(name));
	assert_int_equal(store_stream_id(f->st, (struct slice){name, STORE_NAME_MAX + 1}, &sid, &f->err), -EINVAL);
	assert_int_equal(store_stream_id(f->st, (struct slice){name, STORE_NAME_MAX}, &sid, &f->err), 0);
	for (uint32_t i = sid + 1; i < STORE_STREAMS_MAX; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(store_stream_id(f->st, slice_of(name), &sid, &f->err), 0);
		assert_int_equal(sid, i);
	}
	assert_int_equal(store_stream_id(f->st, SLICE_LIT("one more"), &sid, &f->err), -ENOSPC);
	fixture_reopen(f);
	assert_string_equal(store_stream_name(f->st, 255), "s255");
}

static void unclean_stop_is_known(void **state)
{
	struct fixture *f = *state;
	struct job_in_flight j;
	struct store_stats stats;

	store_get_stats(f->st, &stats);
	assert_false(stats.unclean_start);
	put(f, f->web, "1.2", "refund");
	job_in_flight_init(&j, 64, no_done);
	assert_int_equal(run_write(f->st, &j.job), 0);
	f->st->fatal = true;
	fixture_reopen(f);
	store_get_stats(f->st, &stats);
	assert_true(stats.unclean_start);
	assert_int_equal(stats.maybe_twice, 64);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	/* Killed again before anything was sent, or said: still as many. */
	f->st->fatal = true;
	fixture_reopen(f);
	store_get_stats(f->st, &stats);
	assert_int_equal(stats.maybe_twice, 64);
	fixture_reopen(f);
	store_get_stats(f->st, &stats);
	assert_false(stats.unclean_start);
	assert_int_equal(stats.maybe_twice, 0);
}

static int64_t stored_next_id(struct fixture *f)
{
	return sql_int(f, "SELECT n FROM counter WHERE key = 0");
}

/* One event is one page: the numbers are stored with other changes or after many events, and counted after a kill. */
static void puts_are_counted_after_a_kill(void **state)
{
	struct fixture *f = *state;
	uint64_t first = put(f, f->web, "1.2", "refund"), id;
	int64_t stored = stored_next_id(f);
	int frames;

	put(f, f->ios, "1.2", "refund"); /* a new envelope */
	frames = f->st->db.wal_frames;
	put(f, f->ios, "1.2", "refund");
	assert_int_equal(f->st->db.wal_frames, frames + 1);
	assert_int_equal(stored_next_id(f), stored);
	f->st->fatal = true;
	fixture_reopen(f);
	assert_books_balance(f);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	assert_int_equal(count_of(f, f->ios, STATE_QUEUED), 2);
	assert_int_equal(stored_next_id(f), first + 3);
	id = put(f, f->web, "1.2", "refund");
	assert_int_equal(id, first + 3);
	settle(f, first, SETTLE_DELIVERED, DEAD_NONE);
	assert_int_equal(stored_next_id(f), id + 1);
	for (int i = 0; i < 999; i++)
		put(f, f->web, "1.2", "refund");
	assert_int_equal(stored_next_id(f), id + 1);
	put(f, f->web, "1.2", "refund");
	assert_int_equal(stored_next_id(f), id + 1001);
	f->st->fatal = true;
	fixture_reopen(f);
	assert_books_balance(f);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1001);
}

static void add_outcome(struct job_settle *j, uint64_t id, uint32_t sid)
{
	job_settle_init(j, no_done);
	j->n = 1;
	j->events[0] = (struct settle){.id = id, .kind = SETTLE_DELIVERED, .sid = sid};
}

/* Puts an event and records that an older one was delivered, in one transaction. Returns its id. */
static uint64_t put_and_deliver(struct fixture *f, uint64_t delivered)
{
	struct submission *sub = make_submission(f->web, "1.2", "refund", 1, NULL);
	struct job_settle *outcome = calloc(1, sizeof(*outcome) + sizeof(struct settle));
	struct job_put put_job;
	struct job *jobs[2] = {&put_job.job, NULL};

	assert_non_null(outcome);
	jobs[1] = &outcome->job;
	add_outcome(outcome, delivered, f->web);
	job_put_init(&put_job, sub, T0, no_done);
	store_group(f->st, jobs, ARRAY_LEN(jobs));
	assert_int_equal(put_job.job.result + outcome->job.result, 0);
	submission_unref(sub);
	free(outcome);
	return put_job.first_id;
}

static void kill_and_reopen(struct fixture *f)
{
	f->st->fatal = true;
	fixture_reopen(f);
	assert_books_balance(f);
}

/* With a short queue neither puts nor deliveries store counters, and nothing is lost by that. */
static void deliveries_are_counted_after_a_kill(void **state)
{
	struct fixture *f = *state;
	uint64_t id = put(f, f->web, "1.2", "refund");
	int64_t stored = stored_next_id(f);

	put(f, f->ios, "1.2", "refund");
	for (int i = 0; i < 20; i++)
		id = put_and_deliver(f, id);
	assert_int_equal(stored_next_id(f), stored);
	assert_int_equal(f->st->counters.committed[STORED_DELIVERED], 20);
	kill_and_reopen(f);
	assert_int_equal(f->st->counters.committed[STORED_DELIVERED], 20);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	assert_int_equal(count_of(f, f->ios, STATE_QUEUED), 1);
	/* Without its row the last id would not be known any more. */
	id = put_and_deliver(f, id);
	stored = stored_next_id(f);
	settle(f, id, SETTLE_DELIVERED, DEAD_NONE);
	assert_int_not_equal(stored_next_id(f), stored);
	kill_and_reopen(f);
	assert_int_equal(f->st->counters.committed[STORED_DELIVERED], 22);
}

/* Ids of a transaction that was rolled back are in no row. */
static void lost_ids_are_not_delivered(void **state)
{
	struct fixture *f = *state;
	uint64_t id = put(f, f->web, "1.2", "refund");
	struct job_put j;

	assert_int_equal(db_exec(&f->st->db, "CREATE UNIQUE INDEX once ON event(time) WHERE sid = 2", &f->err), 0);
	put(f, f->ios, "1.2", "refund");
	assert_int_equal(try_put(f, f->ios, "1.2", "refund", 1, NULL, T0, &j), -EIO);
	put_and_deliver(f, id);
	kill_and_reopen(f);
	assert_int_equal(f->st->counters.committed[STORED_DELIVERED], 1);
}

/* The rows of the older format stay; the older program refuses the file from then on. */
static void the_older_format_is_taken_over(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	large_envelopes = true; /* all had rows of their own in format 1 */
	id = put(f, f->web, "1.2", "refund");
	large_envelopes = false;
	assert_int_equal(db_exec(&f->st->db, "PRAGMA user_version = 1", &f->err), 0);
	fixture_close(f);
	f->config.read_only = true; /* a backup is read as it is */
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(sql_int(f, "PRAGMA user_version"), 1);
	fixture_close(f);
	f->config.read_only = false;
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(sql_int(f, "PRAGMA user_version"), 2);
	put_and_deliver(f, id);
	assert_books_balance(f);
}

static void pause_words_survive(void **state)
{
	struct fixture *f = *state;
	struct job_pause j;

	assert_int_equal(store_pause_word(f->st, f->web), PAUSE_UNSET);
	job_pause_init(&j, f->web, PAUSE_PAUSED, no_done);
	assert_int_equal(run_write(f->st, &j.job), 0);
	job_pause_init(&j, f->ios, PAUSE_RESUMED, no_done);
	assert_int_equal(run_write(f->st, &j.job), 0);
	job_pause_init(&j, 77, PAUSE_PAUSED, no_done);
	assert_int_equal(run_write(f->st, &j.job), -ENOENT);
	fixture_reopen(f);
	assert_int_equal(store_pause_word(f->st, f->web), PAUSE_PAUSED);
	assert_int_equal(store_pause_word(f->st, f->ios), PAUSE_RESUMED);
}

static void destroy(const char *path, off_t at, size_t n)
{
	int fd = open(path, O_RDWR);
	char junk[8192];

	memset(junk, 0xa5, sizeof(junk));
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, n, at), (ssize_t)n);
	close(fd);
}

static void damaged_header_is_set_aside(void **state)
{
	struct fixture *f = *state;
	uint64_t last = put(f, f->web, "1.2", "refund"), next;
	char aside[256];

	fixture_close(f);
	destroy(f->path, 0, 100);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -E_DAMAGED);
	assert_int_equal(store_set_aside(&f->config, T0, aside, sizeof(aside), &f->err), 0);
	assert_non_null(strstr(aside, "outbox.db.corrupt-20231114T221320Z"));
	assert_true(file_size(aside) > 0);
	assert_int_equal(fixture_open(f), 0);
	next = put(f, f->web, "1.2", "refund");
	assert_true(next > last);
	/* A second one in the same second gets a name of its own. */
	fixture_close(f);
	destroy(f->path, 0, 100);
	assert_int_equal(store_set_aside(&f->config, T0, aside, sizeof(aside), &f->err), 0);
	assert_non_null(strstr(aside, "Z-2"));
}

static void setting_aside_goes_on_where_it_was_stopped(void **state)
{
	struct fixture *f = *state;
	char wal[300], begun[256], begun_wal[300];
	struct lockfile l;

	put(f, f->web, "1.2", "refund");
	f->st->fatal = true; /* as killed: the WAL stays */
	fixture_close(f);
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	snprintf(begun, sizeof(begun), "%s.corrupt-20231114T221319Z", f->path);
	snprintf(begun_wal, sizeof(begun_wal), "%s-wal", begun);
	/* A second earlier: the lock file says where to, the WAL has gone. */
	assert_int_equal(lockfile_take(&l, f->path, &f->err), 0);
	strcpy(l.aside, ".corrupt-20231114T221319Z");
	assert_int_equal(lockfile_write(&l, l.id_mark, true), 0);
	lockfile_release(&l, f->path);
	assert_int_equal(rename(wal, begun_wal), 0);
	assert_int_equal(fixture_open(f), 0);
	assert_true(file_size(begun) > 0);
	assert_true(file_size(begun_wal) > 0);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM event"), 0);
	fixture_close(f);
	assert_int_equal(lockfile_take(&l, f->path, &f->err), 0);
	assert_false(l.suspect);
	assert_string_equal(l.aside, "");
	lockfile_release(&l, f->path);
}

static void damaged_schema_is_set_aside(void **state)
{
	struct fixture *f = *state;

	put(f, f->web, "1.2", "refund");
	fixture_close(f);
	destroy(f->path, 100, 3000); /* the header stays ours */
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -E_DAMAGED);
}

static void set_aside_without_a_mark_goes_by_the_clock(void **state)
{
	struct fixture *f = *state;
	char aside[256], lock[128];
	struct lockfile l;

	put(f, f->web, "1.2", "refund");
	fixture_close(f);
	snprintf(lock, sizeof(lock), "%s.lock", f->path);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(store_set_aside(&f->config, T0, aside, sizeof(aside), &f->err), 0);
	assert_int_equal(lockfile_take(&l, f->path, &f->err), 0);
	assert_int_equal(l.id_mark, T0 / 1000);
	lockfile_release(&l, f->path);
	assert_int_equal(fixture_open(f), 0);
	assert_true(put(f, f->web, "1.2", "refund") >= (uint64_t)(T0 / 1000));
}

static off_t page_holding(struct fixture *f, const char *text, size_t page)
{
	char *all = malloc((size_t)file_size(f->path));
	int fd = open(f->path, O_RDONLY);
	ssize_t n = read(fd, all, (size_t)file_size(f->path));
	char *at = memmem(all, (size_t)n, text, strlen(text));

	close(fd);
	assert_non_null(at);
	off_t offset = at - all;
	free(all);
	return offset / (off_t)page * (off_t)page;
}

static void fill(struct fixture *f, int n)
{
	char name[32];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "event_%05d", i);
		put(f, f->web, "1.2", name);
	}
}

static void damage_met_later_is_found_at_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct job_list_rows j;

	fill(f, 500);
	fixture_close(f);
	destroy(f->path, page_holding(f, "event_00250", 4096), 4096);
	/* Cheap at start: not seen. */
	assert_int_equal(fixture_open(f), 0);
	job_list_init(&j, no_done);
	j.max_rows = 1000;
	assert_int_equal(run_read(f->st, &j.job), -E_DAMAGED);
	job_list_clear(&j);
	assert_true(f->st->fatal);
	fixture_close(f);
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -E_DAMAGED);
	/* By looking at the pages, not because the look itself failed. */
	assert_non_null(strstr(f->err.text, "the file is damaged"));
}

static void false_alarm_is_forgotten(void **state)
{
	struct fixture *f = *state;

	put(f, f->web, "1.2", "refund");
	assert_int_equal(lockfile_write(&f->st->lock, f->st->lock.id_mark, true), 0);
	f->st->fatal = true;
	fixture_reopen(f);
	assert_false(f->st->lock.suspect);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
}

static void offline_reads_around_damage(void **state)
{
	struct fixture *f = *state;
	struct job_list_rows j;
	struct store_check check;
	size_t n = 0;

	fill(f, 2000);
	fixture_close(f);
	destroy(f->path, page_holding(f, "event_01000", 4096), 4096);
	f->config.read_only = true;
	assert_int_equal(fixture_open(f), 0);
	job_list_init(&j, no_done);
	j.max_rows = 100;
	do {
		j.from = j.next;
		if (run_read(f->st, &j.job) < 0) {
			/* Met once; the slice comes from what could be read. */
			assert_int_equal(store_salvage(f->st, &f->err), 0);
			assert_int_equal(run_read(f->st, &j.job), 0);
		}
		n += j.n;
	} while (!j.end);
	job_list_clear(&j);
	assert_true(n >= 1900 && n < 2000);
	assert_int_equal(store_salvage(f->st, &f->err), -EIO);
	store_check(f->st, &check);
	assert_false(check.sound);
	assert_int_equal(check.events[STATE_QUEUED], n);
	assert_int_equal(check.counted, 2000);
	assert_true(check.problem[0] != '\0');
	/* Nothing is written in this mode. */
	struct job_in_flight write;
	job_in_flight_init(&write, 1, no_done);
	assert_int_equal(run_write(f->st, &write.job), -EROFS);
}

static void offline_reads_what_only_the_wal_has(void **state)
{
	struct fixture *f = *state;
	struct store_check check;
	char wal[128];
	off_t size;

	fill(f, 20);
	f->st->fatal = true;
	fixture_close(f);
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	size = file_size(wal);
	f->config.read_only = true;
	assert_int_equal(fixture_open(f), 0);
	store_check(f->st, &check);
	assert_true(check.sound);
	assert_string_equal(check.problem, "");
	assert_int_equal(check.events[STATE_QUEUED], 20);
	fixture_close(f);
	assert_int_equal(file_size(wal), size);
	/* And the daemon's next start finds it all. */
	f->config.read_only = false;
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 20);
}

static void offline_leaves_nothing_behind(void **state)
{
	static const char *const suffixes[] = {"-wal", "-shm", "-journal", ".lock"};
	struct fixture *f = *state;
	struct store_check check;
	char path[128];

	fill(f, 20);
	fixture_close(f);
	snprintf(path, sizeof(path), "%s.lock", f->path);
	assert_int_equal(unlink(path), 0); /* a copy somewhere else has none */
	f->config.read_only = true;
	assert_int_equal(fixture_open(f), 0);
	store_check(f->st, &check);
	assert_true(check.sound);
	fixture_close(f);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void offline_needs_the_lock_and_the_file(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct store *st = NULL;

		f->config.read_only = true;
		_exit(store_open(&st, &f->config, T0, &f->err) == -EBUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fixture_close(f);
	unlink(f->path);
	f->config.read_only = true;
	assert_int_equal(store_open(&f->st, &f->config, T0, &f->err), -ENOENT);
}

static void interrupted_creation_leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s.new", f->path);
	write_file(path, "half", 4);
	snprintf(path, sizeof(path), "%s.new-journal", f->path);
	write_file(path, "half", 4);
	assert_int_equal(fixture_open(f), 0);
	put(f, f->web, "1.2", "refund");
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(new_files_are_private, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(mark_is_in_the_file_before_any_checkpoint, setup, teardown),
	        cmocka_unit_test_setup_teardown(text_file_is_left_alone, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(foreign_database_is_left_alone, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(newer_file_is_left_alone, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(a_file_climbs_to_a_later_format_or_stays, setup, teardown),
	        cmocka_unit_test_setup_teardown(newer_number_still_in_the_wal, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(links_and_directories_are_refused, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(empty_file_becomes_an_outbox, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(missing_directory_is_told, setup_closed, teardown),
	        cmocka_unit_test_setup_teardown(orphaned_wal_is_not_replayed, setup, teardown),
	        cmocka_unit_test_setup_teardown(second_process_is_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(other_programs_are_locked_out, setup, teardown),
	        cmocka_unit_test_setup_teardown(ids_never_return, setup, teardown),
	        cmocka_unit_test_setup_teardown(id_mark_moves_in_blocks, setup, teardown),
	        cmocka_unit_test_setup_teardown(streams_keep_their_numbers, setup, teardown),
	        cmocka_unit_test_setup_teardown(unclean_stop_is_known, setup, teardown),
	        cmocka_unit_test_setup_teardown(puts_are_counted_after_a_kill, setup, teardown),
	        cmocka_unit_test_setup_teardown(deliveries_are_counted_after_a_kill, setup, teardown),
	        cmocka_unit_test_setup_teardown(lost_ids_are_not_delivered, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_older_format_is_taken_over, setup, teardown),
	        cmocka_unit_test_setup_teardown(pause_words_survive, setup, teardown),
	        cmocka_unit_test_setup_teardown(damaged_header_is_set_aside, setup, teardown),
	        cmocka_unit_test_setup_teardown(setting_aside_goes_on_where_it_was_stopped, setup, teardown),
	        cmocka_unit_test_setup_teardown(damaged_schema_is_set_aside, setup, teardown),
	        cmocka_unit_test_setup_teardown(set_aside_without_a_mark_goes_by_the_clock, setup, teardown),
	        cmocka_unit_test_setup_teardown(damage_met_later_is_found_at_the_next_start, setup, teardown),
	        cmocka_unit_test_setup_teardown(false_alarm_is_forgotten, setup, teardown),
	        cmocka_unit_test_setup_teardown(offline_reads_around_damage, setup, teardown),
	        cmocka_unit_test_setup_teardown(offline_reads_what_only_the_wal_has, setup, teardown),
	        cmocka_unit_test_setup_teardown(offline_leaves_nothing_behind, setup, teardown),
	        cmocka_unit_test_setup_teardown(offline_needs_the_lock_and_the_file, setup, teardown),
	        cmocka_unit_test_setup_teardown(interrupted_creation_leaves_no_trace, setup_closed, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
