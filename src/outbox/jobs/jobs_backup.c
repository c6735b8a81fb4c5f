/* jobs_backup.c - a backup of the outbox while it is in use, one step between two groups
 *
 * COPY: SQLite's online backup on the one connection, into PATH.backup. VERIFY: reads every
 * event of the copy and compares the counts with its counters. HAND_OVER: writes the bytes to
 * the caller's descriptor and syncs them. This process never opens the database file itself a
 * second time, because closing it would drop SQLite's locks (src/README.md, trap 2). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "outbox/file/beside.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

enum { STEP_PAGES = 256, STEP_ROWS = 20000, STEP_BYTES = 1 << 20 };
/* Time after which a backup whose submitter disappeared is given up. */
#define ABANDONED_US (60 * US_PER_S)

enum backup_phase { BACKUP_COPY, BACKUP_VERIFY, BACKUP_HAND_OVER };

struct backup {
	enum backup_phase phase;
	char path[PATH_MAX]; /* "": not created yet */
	sqlite3 *conn;       /* connection to the copy */
	sqlite3_backup *copy;
	sqlite3_stmt *rows;
	uint64_t last_id, n_rows;
	uint64_t expected; /* rows of the outbox when the copy was complete */
	int from_fd;
	off_t at;
	int64_t stepped_mono_us;
};

void store_end_backup(struct store *st)
{
	struct backup *b = st->backup;

	if (!b)
		return;
	if (b->copy)
		sqlite3_backup_finish(b->copy);
	sqlite3_finalize(b->rows);
	sqlite3_close(b->conn);
	fd_close(b->from_fd);
	if (b->path[0])
		(void)unlink(b->path);
	free(b);
	st->backup = NULL;
}

void store_end_abandoned_backup(struct store *st, int64_t mono_us)
{
	if (st->backup && mono_us - st->backup->stepped_mono_us > ABANDONED_US)
		store_end_backup(st);
}

static int failed(const struct backup *b, struct err *err, const char *what)
{
	return err_set(err, -EIO, "backup: %s: %s", what, sqlite3_errmsg(b->conn));
}

static int make_file(struct store *st, struct backup *b, struct err *err)
{
	int fd, r;

	if (snprintf(b->path, sizeof(b->path), "%s.backup", st->path) >= (int)sizeof(b->path)) {
		b->path[0] = '\0';
		return err_set(err, -ENAMETOOLONG, "backup: the outbox's path is too long");
	}
	/* Left by a process that died. */
	r = beside_remove(b->path, "", err);
	if (r >= 0)
		r = beside_remove(b->path, "-wal", err);
	if (r < 0)
		return r;
	fd = open(b->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "backup: %s cannot be made: %s", b->path, strerror(errno));
	(void)fchmod(fd, 0600);
	fd_close(fd);
	return 0;
}

static int begin(struct store *st, struct backup *b, struct err *err)
{
	int r = make_file(st, b, err);

	if (r < 0)
		return r;
	if (db_open_file(&b->conn, b->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, st->config.vfs) != SQLITE_OK)
		return failed(b, err, "the copy cannot be opened");
	/* A copy that a crash interrupts is discarded, so it needs neither a journal nor syncs. */
	if (sqlite3_exec(b->conn,
	                 "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
	                 "PRAGMA cache_size = -512",
	                 NULL, NULL, NULL) != SQLITE_OK)
		return failed(b, err, "the copy cannot be prepared");
	b->copy = sqlite3_backup_init(b->conn, "main", st->db.conn, "main");
	return b->copy ? 0 : failed(b, err, "it cannot be begun");
}

static int step_copy(const struct store *st, struct backup *b, struct job_backup *j)
{
	int rc = sqlite3_backup_step(b->copy, STEP_PAGES);

	j->pages_total = (uint64_t)sqlite3_backup_pagecount(b->copy);
	j->pages_done = j->pages_total - (uint64_t)sqlite3_backup_remaining(b->copy);
	if (rc == SQLITE_OK)
		return -EAGAIN;
	sqlite3_backup_finish(b->copy);
	b->copy = NULL;
	if (rc != SQLITE_DONE)
		return err_set(&j->err, rc == SQLITE_FULL ? -ENOSPC : -EIO, "backup: copying: %s",
		               sqlite3_errstr(rc));
	/* A WAL beside the place where the copy is restored does not belong to it, not even the
	 * current one. */
	if (pairing_detach(b->conn) != SQLITE_OK)
		return failed(b, &j->err, "the copy cannot be marked");
	if (sqlite3_prepare_v2(b->conn,
	                       "SELECT id, length(body), envelope FROM event WHERE id > ?1 ORDER BY id LIMIT ?2", -1,
	                       &b->rows, NULL) != SQLITE_OK)
		return failed(b, &j->err, "the copy cannot be read");
	b->expected = (uint64_t)st->counters.rows;
	b->phase = BACKUP_VERIFY;
	return -EAGAIN;
}

static int end_verify(struct backup *b, struct err *err)
{
	if (b->expected != b->n_rows)
		return err_set(err, -EIO, "backup: the copy holds %llu events instead of %llu",
		               (unsigned long long)b->n_rows, (unsigned long long)b->expected);
	sqlite3_finalize(b->rows);
	b->rows = NULL;
	sqlite3_close(b->conn);
	b->conn = NULL;
	b->from_fd = open(b->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (b->from_fd < 0)
		return err_set(err, -errno, "backup: %s: %s", b->path, strerror(errno));
	b->phase = BACKUP_HAND_OVER;
	return -EAGAIN;
}

static int step_verify(struct backup *b, struct err *err)
{
	int n = 0, rc;

	sqlite3_bind_int64(b->rows, 1, (int64_t)b->last_id);
	sqlite3_bind_int(b->rows, 2, STEP_ROWS);
	while ((rc = sqlite3_step(b->rows)) == SQLITE_ROW) {
		b->last_id = (uint64_t)sqlite3_column_int64(b->rows, 0);
		n++;
	}
	sqlite3_reset(b->rows);
	if (rc != SQLITE_DONE)
		return failed(b, err, "the copy cannot be read");
	b->n_rows += (uint64_t)n;
	return n == STEP_ROWS ? -EAGAIN : end_verify(b, err);
}

static int step_hand_over(struct backup *b, int fd, struct err *err)
{
	_cleanup_(buf_free) struct buf bytes = BUF_INIT(STEP_BYTES);
	ssize_t n;
	int r = buf_reserve(&bytes, STEP_BYTES);

	if (r < 0)
		return err_set(err, r, "backup: out of memory");
	n = pread(b->from_fd, bytes.data, STEP_BYTES, b->at);
	if (n < 0)
		return err_set(err, -errno, "backup: reading the copy: %s", strerror(errno));
	r = n > 0 ? fd_write_all(fd, bytes.data, (size_t)n) : fsync(fd) < 0 ? -errno : 0;
	if (r < 0)
		return err_set(err, r, "backup: writing the file that was asked for: %s", strerror(-r));
	b->at += n;
	return n > 0 ? -EAGAIN : 0;
}

static int step(const struct store *st, struct backup *b, struct job_backup *j)
{
	switch (b->phase) {
	case BACKUP_COPY:
		return step_copy(st, b, j);
	case BACKUP_VERIFY:
		return step_verify(b, &j->err);
	case BACKUP_HAND_OVER:
		return step_hand_over(b, j->fd, &j->err);
	}
	return -EINVAL;
}

static int start(struct store *st, struct job_backup *j)
{
	struct stat sb;
	int r;

	/* The writer's thread must not wait for a slow reader of a pipe. */
	if (fstat(j->fd, &sb) < 0 || !S_ISREG(sb.st_mode))
		return err_set(&j->err, -EINVAL, "backup: the descriptor is no regular file");
	if (st->backup)
		return err_set(&j->err, -EBUSY, "backup: another one is being made; try again when it is done");
	st->backup = calloc(1, sizeof(*st->backup));
	if (!st->backup)
		return err_set(&j->err, -ENOMEM, "backup: out of memory");
	st->backup->from_fd = -1;
	j->state = st->backup;
	r = begin(st, st->backup, &j->err);
	return r < 0 ? r : -EAGAIN;
}

static int run_backup(struct store *st, struct job *job)
{
	struct job_backup *j = CONTAINER_OF(job, struct job_backup, job);
	int r;

	if (!j->state) {
		r = start(st, j);
	} else if (j->state != st->backup) {
		return err_set(&j->err, -ECANCELED, "backup: it waited too long between two steps and was given up");
	} else {
		r = step(st, st->backup, j);
	}
	/* Another submitter's backup continues. */
	if (!j->state)
		return r;
	if (r == -EAGAIN)
		st->backup->stepped_mono_us = clock_mono_us();
	else
		store_end_backup(st);
	return r;
}

static const struct job_class backup_class = {.name = "backup", .kind = JOB_READ, .run = run_backup};

void job_backup_init(struct job_backup *j, int fd, void (*done)(struct job *))
{
	*j = (struct job_backup){.job = {.class = &backup_class, .done = done}, .fd = fd};
}

void job_backup_clear(struct job_backup *j)
{
	/* The writer owns the backup, and gives it up if no more steps are submitted. */
	j->state = NULL;
}
