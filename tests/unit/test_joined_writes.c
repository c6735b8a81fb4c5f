/* test_joined_writes.c - adjacent writes become one, in order, and one that is missed is told as what it is */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "faulty_vfs.h"
#include "outbox/db/joined_writes.h"

enum { FRAME_HEADER = 24, PAGE = 4096, WAL = SQLITE_OPEN_WAL, DB = SQLITE_OPEN_MAIN_DB };

struct opened {
	char dir[32], path[64];
	sqlite3_vfs *vfs;
	sqlite3_file *file;
	const char *name;
};

static void open_file(struct opened *o, int kind)
{
	int flags = kind | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	/* As SQLite has it: a name that sqlite3_uri_parameter() may look behind. */
	o->name = sqlite3_create_filename(o->path, "", "", 0, NULL);
	assert_non_null(o->name);
	o->file = calloc(1, (size_t)o->vfs->szOsFile);
	assert_int_equal(o->vfs->xOpen(o->vfs, o->name, o->file, flags, &flags), SQLITE_OK);
	atomic_store(&faults.n_writes, 0);
	atomic_store(&faults.n_syncs, 0);
}

static int close_file(struct opened *o)
{
	int rc = o->file->pMethods->xClose(o->file);

	sqlite3_free_filename((char *)o->name);
	free(o->file);
	o->file = NULL;
	return rc;
}

static int setup(void **state)
{
	struct opened *o = calloc(1, sizeof(*o));

	faults_clear();
	strcpy(o->dir, "/tmp/joined.XXXXXX");
	assert_non_null(mkdtemp(o->dir));
	snprintf(o->path, sizeof(o->path), "%s/file", o->dir);
	o->vfs = sqlite3_vfs_find(joined_writes_vfs("faulty", JOINED_WRITES_SYNCED));
	assert_non_null(o->vfs);
	open_file(o, WAL);
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	struct opened *o = *state;

	faults_clear();
	if (o->file)
		close_file(o);
	unlink(o->path);
	rmdir(o->dir);
	free(o);
	return 0;
}

static int put(struct opened *o, int byte, int n, sqlite3_int64 at)
{
	char *p = malloc((size_t)n);
	int rc;

	memset(p, byte, (size_t)n);
	rc = o->file->pMethods->xWrite(o->file, p, n, at);
	free(p);
	return rc;
}

static int sync_file(struct opened *o)
{
	return o->file->pMethods->xSync(o->file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

static int writes(void)
{
	return atomic_load(&faults.n_writes);
}

static off_t size_on_disk(const struct opened *o)
{
	struct stat st;

	assert_int_equal(stat(o->path, &st), 0);
	return st.st_size;
}

/* What the file itself holds there, past the VFS. */
static int byte_at(const struct opened *o, off_t at)
{
	unsigned char c;
	int fd = open(o->path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	close(fd);
	return c;
}

static void frames_are_written_at_the_sync(void **state)
{
	struct opened *o = *state;
	sqlite3_int64 at = 0;

	for (int i = 1; i <= 3; i++) {
		assert_int_equal(put(o, 0, FRAME_HEADER, at), SQLITE_OK);
		assert_int_equal(put(o, i, PAGE, at + FRAME_HEADER), SQLITE_OK);
		at += FRAME_HEADER + PAGE;
	}
	assert_int_equal(writes(), 0);
	assert_int_equal(size_on_disk(o), 0);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(writes(), 1);
	assert_int_equal(size_on_disk(o), at);
	assert_int_equal(byte_at(o, FRAME_HEADER), 1);
	assert_int_equal(byte_at(o, at - 1), 3);
}

static void a_long_run_is_written_in_pieces(void **state)
{
	struct opened *o = *state;
	enum { PAGES = 40 }; /* 160 KiB: two pieces of 64, and what is left */

	for (int i = 0; i < PAGES; i++)
		assert_int_equal(put(o, i, PAGE, (sqlite3_int64)i * PAGE), SQLITE_OK);
	assert_int_equal(writes(), 2);
	assert_int_equal(put(o, 99, 100000, (sqlite3_int64)PAGES * PAGE), SQLITE_OK); /* longer than any run */
	assert_int_equal(writes(), 4);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(writes(), 4);
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(byte_at(o, (off_t)i * PAGE), i);
	assert_int_equal(byte_at(o, (off_t)PAGES * PAGE + 99999), 99);
}

/* A transaction that is rolled back leaves frames in the run; the next one writes over them. */
static void later_bytes_win(void **state)
{
	struct opened *o = *state;

	put(o, 1, PAGE, 0);
	put(o, 1, PAGE, PAGE);
	put(o, 2, PAGE, 0);
	put(o, 3, 100, PAGE + 50);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(byte_at(o, 0), 2);
	assert_int_equal(byte_at(o, PAGE), 1);
	assert_int_equal(byte_at(o, PAGE + 50), 3);
	assert_int_equal(byte_at(o, PAGE + 150), 1);
}

static void readers_see_what_was_written(void **state)
{
	struct opened *o = *state;
	sqlite3_int64 size = 0;
	char p[PAGE];

	put(o, 7, PAGE, 0);
	sync_file(o);
	put(o, 8, PAGE, PAGE);
	assert_int_equal(o->file->pMethods->xRead(o->file, p, PAGE, 0), SQLITE_OK);
	assert_int_equal(writes(), 1); /* that was not of the run */
	assert_int_equal(o->file->pMethods->xRead(o->file, p, PAGE, PAGE / 2), SQLITE_OK);
	assert_int_equal(p[0], 7);
	assert_int_equal(p[PAGE - 1], 8);
	put(o, 9, PAGE, (sqlite3_int64)2 * PAGE);
	assert_int_equal(o->file->pMethods->xFileSize(o->file, &size), SQLITE_OK);
	assert_int_equal(size, 3 * PAGE);
	put(o, 9, PAGE, (sqlite3_int64)3 * PAGE);
	assert_int_equal(o->file->pMethods->xTruncate(o->file, PAGE), SQLITE_OK);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(size_on_disk(o), PAGE);
	put(o, 5, PAGE, PAGE);
	assert_int_equal(close_file(o), SQLITE_OK);
	assert_int_equal(byte_at(o, PAGE), 5);
}

/* As SQLite's default VFS tells them: a full disk, a disk that refuses, a sync that failed. */
static void a_missed_write_is_no_failed_sync(void **state)
{
	static const int errors[] = {SQLITE_FULL, SQLITE_IOERR_WRITE};
	struct opened *o = *state;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_int_equal(put(o, 1, PAGE, 0), SQLITE_OK);
		atomic_store(&faults.write, errors[i]);
		assert_int_equal(sync_file(o), errors[i]);
		assert_int_equal(atomic_load(&faults.n_syncs), 0);
		assert_int_equal(put(o, 1, PAGE, 0), SQLITE_OK);
		assert_int_equal(put(o, 1, PAGE, (sqlite3_int64)9 * PAGE), errors[i]);
		faults_clear();
		/* Both are given up: nothing of them comes later. */
		assert_int_equal(sync_file(o), SQLITE_OK);
		assert_int_equal(size_on_disk(o), 0);
		atomic_store(&faults.n_syncs, 0);
	}
	put(o, 1, PAGE, 0);
	atomic_store(&faults.sync, SQLITE_IOERR_FSYNC);
	assert_int_equal(sync_file(o), SQLITE_IOERR_FSYNC);
}

static void only_what_was_written_is_synced(void **state)
{
	struct opened *o = *state;

	assert_int_equal(sync_file(o), SQLITE_OK); /* what an earlier process wrote */
	assert_int_equal(atomic_load(&faults.n_syncs), 1);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(atomic_load(&faults.n_syncs), 1);
	put(o, 1, PAGE, 0);
	atomic_store(&faults.sync, SQLITE_IOERR_FSYNC);
	assert_int_equal(sync_file(o), SQLITE_IOERR_FSYNC);
	assert_int_equal(sync_file(o), SQLITE_IOERR_FSYNC);
	atomic_store(&faults.sync, SQLITE_OK);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(atomic_load(&faults.n_syncs), 4);
	o->file->pMethods->xTruncate(o->file, 0);
	assert_int_equal(sync_file(o), SQLITE_OK);
	assert_int_equal(atomic_load(&faults.n_syncs), 5);
}

static void a_journal_is_left_alone(void **state)
{
	struct opened *o = *state;

	close_file(o);
	open_file(o, SQLITE_OPEN_MAIN_JOURNAL);
	put(o, 1, PAGE, 0);
	put(o, 1, PAGE, PAGE);
	assert_int_equal(writes(), 2);
	close_file(o);
	open_file(o, DB);
	put(o, 2, PAGE, 0);
	put(o, 2, PAGE, PAGE);
	assert_int_equal(writes(), 0);
}

/* Without syncs nothing may be kept; a quota is told all the same. */
static void without_syncs_each_write_goes_out(void **state)
{
	struct opened *o = *state;

	close_file(o);
	o->vfs = sqlite3_vfs_find(joined_writes_vfs("faulty", JOINED_WRITES_AT_ONCE));
	assert_non_null(o->vfs);
	open_file(o, WAL);
	put(o, 1, PAGE, 0);
	assert_int_equal(writes(), 1);
	put(o, 1, PAGE, PAGE);
	assert_int_equal(writes(), 2);
	assert_int_equal(size_on_disk(o), 2 * PAGE);
}

/* But for what was made by others, which has none. */
static void alone_there_is_no_journal(void **state)
{
	static const char *const names[] = {"a.db-journal", "a.db-wal", "a.db"};
	char path[96];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		sqlite3_vfs *vfs = sqlite3_vfs_find(joined_writes_vfs(NULL, JOINED_WRITES_ALONE));
		int found = -1, fd;

		snprintf(path, sizeof(path), "/tmp/ga4relay-alone-%d-%s", (int)getpid(), names[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, "x", 1), 1);
		close(fd);
		assert_int_equal(vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &found), SQLITE_OK);
		assert_int_equal(found, i > 0);
		unlink(path);
	}
}

static void there_is_one_of_each(void **state)
{
	(void)state;
	assert_ptr_equal(joined_writes_vfs("faulty", JOINED_WRITES_SYNCED),
	                 joined_writes_vfs("faulty", JOINED_WRITES_SYNCED));
	assert_string_equal(joined_writes_vfs("faulty", JOINED_WRITES_SYNCED), "joined-faulty");
	assert_string_equal(joined_writes_vfs("faulty", JOINED_WRITES_AT_ONCE), "single-faulty");
	assert_string_equal(joined_writes_vfs("faulty", JOINED_WRITES_ALONE), "alone-faulty");
	assert_non_null(sqlite3_vfs_find(joined_writes_vfs(NULL, JOINED_WRITES_SYNCED)));
	assert_null(joined_writes_vfs("no such", JOINED_WRITES_SYNCED));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(frames_are_written_at_the_sync),
	        T(a_long_run_is_written_in_pieces),
	        T(later_bytes_win),
	        T(readers_see_what_was_written),
	        T(a_missed_write_is_no_failed_sync),
	        T(only_what_was_written_is_synced),
	        T(a_journal_is_left_alone),
	        T(without_syncs_each_write_goes_out),
	        T(alone_there_is_no_journal),
	        T(there_is_one_of_each),
	};

	faulty_vfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
