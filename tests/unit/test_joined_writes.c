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

/* ---- a copy's reads of the WAL ---- */

enum { FRAMES = 100, FRAME = FRAME_HEADER + PAGE, WAL_HEADER = 32 };

struct copied {
	struct opened *wal;
	struct opened db;
};

static sqlite3_int64 page_of(int frame)
{
	return WAL_HEADER + (sqlite3_int64)frame * FRAME + FRAME_HEADER;
}

/* A WAL whose pages hold their frames' numbers, in the hands of a checkpoint that only copies. */
static void begin_copy(struct copied *c, struct opened *wal)
{
	c->wal = wal;
	c->db = (struct opened){.vfs = wal->vfs};
	snprintf(c->db.path, sizeof(c->db.path), "%s/db", wal->dir);
	open_file(&c->db, DB);
	assert_int_equal(put(wal, 0xff, WAL_HEADER, 0), SQLITE_OK);
	for (int i = 0; i < FRAMES; i++) {
		assert_int_equal(put(wal, 0xff, FRAME_HEADER, page_of(i) - FRAME_HEADER), SQLITE_OK);
		assert_int_equal(put(wal, i, PAGE, page_of(i)), SQLITE_OK);
	}
	assert_int_equal(sync_file(wal), SQLITE_OK);
	assert_int_equal(c->db.file->pMethods->xFileControl(c->db.file, JOINED_WRITES_AHEAD, wal->file), SQLITE_OK);
	(void)c->db.file->pMethods->xFileControl(c->db.file, SQLITE_FCNTL_CKPT_START, NULL);
	atomic_store(&faults.n_reads, 0);
}

static void end_copy(struct copied *c)
{
	(void)c->db.file->pMethods->xFileControl(c->db.file, SQLITE_FCNTL_CKPT_DONE, NULL);
	close_file(c->wal); /* before its database, as SQLite does */
	close_file(&c->db);
	unlink(c->db.path);
}

static void read_frame(const struct copied *c, int frame, int byte)
{
	unsigned char p[PAGE];

	assert_int_equal(c->wal->file->pMethods->xRead(c->wal->file, p, PAGE, page_of(frame)), SQLITE_OK);
	for (int i = 0; i < PAGE; i++)
		assert_int_equal(p[i], byte);
}

static int reads(void)
{
	return atomic_exchange(&faults.n_reads, 0);
}

static void frames_in_their_order_are_read_together(void **state)
{
	struct copied c;

	begin_copy(&c, *state);
	for (int i = 0; i < FRAMES; i++)
		read_frame(&c, i, i);
	assert_in_range(reads(), 6, 9); /* 15 in 64 KiB */
	for (int i = FRAMES - 1; i >= 0; i -= 2)
		read_frame(&c, i, i);
	assert_in_range(reads(), FRAMES / 2 - 15, FRAMES / 2); /* the last run is still there */
	end_copy(&c);
}

static void what_is_written_meanwhile_is_read(void **state)
{
	struct copied c;

	begin_copy(&c, *state);
	read_frame(&c, 0, 0);
	read_frame(&c, 1, 1);
	put(c.wal, 0xee, PAGE, page_of(2));
	read_frame(&c, 2, 0xee); /* not yet written */
	read_frame(&c, 3, 3);
	read_frame(&c, 4, 4);
	assert_int_equal(c.wal->file->pMethods->xTruncate(c.wal->file, page_of(4)), SQLITE_OK);
	put(c.wal, 0xdd, PAGE, page_of(4));
	assert_int_equal(sync_file(c.wal), SQLITE_OK);
	read_frame(&c, 4, 0xdd);
	end_copy(&c);
}

static void a_run_that_cannot_be_read_is_read_page_by_page(void **state)
{
	struct copied c;

	begin_copy(&c, *state);
	read_frame(&c, 0, 0);
	for (int i = 1; i < 10; i++) {
		atomic_store(&faults.reads_before, 0);
		atomic_store(&faults.reads_failing, 1);
		atomic_store(&faults.read, SQLITE_IOERR_READ);
		read_frame(&c, i, i);
		faults_clear();
	}
	end_copy(&c);
}

static void other_reads_are_as_they_are(void **state)
{
	struct copied c;

	begin_copy(&c, *state);
	(void)c.db.file->pMethods->xFileControl(c.db.file, SQLITE_FCNTL_CKPT_DONE, NULL);
	for (int i = 0; i < FRAMES; i++)
		read_frame(&c, i, i);
	assert_int_equal(reads(), FRAMES);
	end_copy(&c);
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
	        T(frames_in_their_order_are_read_together),
	        T(what_is_written_meanwhile_is_read),
	        T(a_run_that_cannot_be_read_is_read_page_by_page),
	        T(other_reads_are_as_they_are),
	        T(alone_there_is_no_journal),
	        T(there_is_one_of_each),
	};

	faulty_vfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
