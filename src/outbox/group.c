/* group.c - group commit: jobs that share one transaction, and their results if it fails */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

/* The WAL is copied into the database in two steps, because syncing many pages takes ten times
 * as long as a commit, and the next commit would wait for it. First the pages are copied and
 * their writing to the disk is started; some commits later, when the disk has most of them, the
 * new pages are copied too and everything is synced. While groups are small, clients wait for
 * each of them, so a copy must be as short as a commit; while they are large, a few large copies
 * cost less than many small ones. Pages that every commit rewrites (the last page of the events,
 * the counters) are copied once however often they are in the WAL. */
enum {
	COPY_PAGES_LEAST = 128,
	COPY_GROUPS = 4,         /* times the size of the last group, if that is more */
	COPY_BYTES = 4000 << 10, /* upper limit for any size of group */
	COPY_FRAMES_LEAST = 16,
	/* Commits between the two steps; fewer after a large commit, whose pages must be synced
	 * too */
	FINISH_COMMITS = 2,
	/* Of the frames of a commit: the last page of the events, their parent, page 1, the list of free pages,
	 * the counters */
	FRAMES_SHARED = 5
};
/* Jobs in one transaction on a full disk. A settle job has up to 25 events, and each event takes a page or two. */
enum { JOBS_PIECE = 4 };
/* The result of a job that has not run. */
enum { JOB_PENDING = 1 };

static void make_fatal(struct store *st, const char *doing, const char *what_next)
{
	if (st->fatal)
		return;
	st->fatal = true;
	snprintf(st->fatal_why, sizeof(st->fatal_why), "%s: %.150s: %s", doing, st->db.trouble_text, what_next);
}

void store_judge_trouble(struct store *st, const char *doing)
{
	switch (st->db.trouble) {
	case TROUBLE_NONE:
	case TROUBLE_FAILED:
		break;
	case TROUBLE_FULL:
		space_disk_full(st);
		break;
	case TROUBLE_CORRUPT:
		/* Without the mark in the lock file, a damaged page in the middle of the file
		 * would stop each new process again. */
		if (lockfile_write(&st->lock, st->lock.id_mark, true) == 0)
			make_fatal(st, doing, "the next start checks the file");
		else
			make_fatal(st, doing, "the file is damaged, and that cannot be noted in its .lock");
		break;
	case TROUBLE_UNKNOWN:
		make_fatal(st, doing, "a sync failed; recovery at the next start decides");
		break;
	}
}

static void roll_back(struct store *st)
{
	enum trouble trouble;

	db_rollback(&st->db);
	stored_counters_rolled_back(&st->counters);
	pairing_rolled_back(&st->pairing);
	envelopes_clear(&st->envelopes);
	insert_batch_clear(&st->db.batch);
	st->n_gone = 0;
	if (!st->streams_changed)
		return;
	/* Keep the group's trouble, which the caller has yet to judge. */
	trouble = st->db.trouble;
	st->db.trouble = TROUBLE_NONE;
	if (store_load_streams(st) < 0)
		make_fatal(st, "reading the streams", "a restart reads them again");
	st->db.trouble = trouble;
}

static int commit(struct store *st)
{
	int r = store_flush_puts(st);

	if (r == 0)
		r = store_flush_gone(st);
	if (r == 0)
		r = stored_counters_write(&st->counters, &st->db);
	if (r == 0)
		r = pairing_write(&st->pairing, &st->db);
	if (r == 0)
		r = db_commit(&st->db);
	if (r < 0)
		return r;
	stored_counters_committed(&st->counters);
	pairing_committed(&st->pairing);
	st->streams_changed = false;
	return 0;
}

/* Returns a negative errno on trouble. */
static int run(struct store *st, struct job *job)
{
	if (!job->class->blind && store_flush_puts(st) < 0)
		return -EIO;
	job->result = job->class->run(st, job);
	return unlikely(st->db.trouble != TROUBLE_NONE) ? -EIO : 0;
}

/* Returns 0 if committed, with all results set; negative if rolled back, with the reason in
 * trouble. */
static int attempt(struct store *st, struct job **jobs, size_t n)
{
	int r;

	db_forget_trouble(&st->db);
	r = db_begin(&st->db);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (jobs[i]->result == JOB_PENDING)
			r = run(st, jobs[i]);
	if (r == 0)
		r = commit(st);
	if (r < 0) {
		store_judge_trouble(st, "writing");
		roll_back(st);
	}
	return r;
}

static void fail_all(struct job **jobs, size_t n, int result)
{
	for (size_t i = 0; i < n; i++)
		jobs[i]->result = result;
}

static void fail_pending(struct job **jobs, size_t n, int result)
{
	for (size_t i = 0; i < n; i++)
		if (jobs[i]->result == JOB_PENDING)
			jobs[i]->result = result;
}

static void checkpoint(struct store *st)
{
	db_forget_trouble(&st->db);
	st->debt = (struct copy_debt){.added = st->debt.added};
	st->pairing.begins = true;
	if (db_checkpoint(&st->db, false) < 0)
		store_judge_trouble(st, "copying the WAL into the database");
	else
		st->debt.frames = st->db.wal_frames;
}

/* Runs the pending jobs, in halves while the disk has no room for all of them: the less a
 * transaction changes, the less WAL it needs. Sets each result. */
static void attempt_in_halves(struct store *st, struct job **jobs, size_t n)
{
	enum trouble trouble;

	if (n == 0 || attempt(st, jobs, n) == 0)
		return;
	trouble = st->db.trouble;
	for (size_t i = 0; i < n; i++)
		if (!jobs[i]->class->grows)
			jobs[i]->result = JOB_PENDING;
	if (n > 1 && trouble == TROUBLE_FULL && !st->fatal) {
		/* Restarts the WAL, so that all its space can be used again. */
		checkpoint(st);
		attempt_in_halves(st, jobs, n / 2);
		attempt_in_halves(st, jobs + n / 2, n - n / 2);
		return;
	}
	if (trouble == TROUBLE_FULL)
		ballast_note_spent(st);
	fail_pending(jobs, n, trouble == TROUBLE_FULL ? -ENOSPC : -EIO);
}

/* Handles a full disk: rejects the jobs that store something, and runs the others again in the room that the ballast
 * freed. They run a few at a time and the WAL restarts before each transaction, because a WAL that grew would keep
 * the ballast's room. */
static void without_growth(struct store *st, struct job **jobs, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i]->class->grows) {
			job_put_refuse(jobs[i], "the disk is full");
		} else {
			jobs[i]->result = JOB_PENDING;
			any = true;
		}
	}
	for (size_t i = 0; i < n && !st->fatal; i += JOBS_PIECE) {
		checkpoint(st);
		if (any && !st->fatal)
			attempt_in_halves(st, jobs + i, n - i < JOBS_PIECE ? n - i : JOBS_PIECE);
	}
	fail_pending(jobs, n, -EIO);
}

static void store_jobs(struct store *st, struct job **jobs, size_t n)
{
	if (!st->fatal && attempt(st, jobs, n) == 0)
		return;
	if (st->db.trouble == TROUBLE_FULL && !st->fatal)
		without_growth(st, jobs, n);
	else
		fail_all(jobs, n, -EIO);
}

/* For a disk that is almost full: transactions stay small, so that the WAL does not need to grow. */
static void store_in_pieces(struct store *st, struct job **jobs, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= !jobs[i]->class->grows;
	if (any)
		ballast_give_back(st);
	for (size_t i = 0; i < n; i += JOBS_PIECE) {
		store_jobs(st, jobs + i, n - i < JOBS_PIECE ? n - i : JOBS_PIECE);
		if (!st->fatal)
			checkpoint(st);
	}
}

void store_group(struct store *st, struct job **jobs, size_t n)
{
	int64_t mono_us = clock_mono_us();

	if (st->fatal || st->config.read_only) {
		fail_all(jobs, n, st->fatal ? -EIO : -EROFS);
		return;
	}
	fail_all(jobs, n, JOB_PENDING);
	st->maintenance.active_mono_us = mono_us;
	db_forget_trouble(&st->db);
	space_check(st, mono_us, false);
	if (space_is_tight(st))
		store_in_pieces(st, jobs, n);
	else
		store_jobs(st, jobs, n);
}

void store_read(struct store *st, struct job *job)
{
	if (st->fatal) {
		job->result = -EIO;
		return;
	}
	db_forget_trouble(&st->db);
	job->result = job->class->run(st, job);
	if (st->db.trouble == TROUBLE_NONE)
		return;
	job->result = trouble_errno(st->db.trouble);
	if (st->config.read_only)
		return;
	store_judge_trouble(st, "reading");
	st->failed_reads++;
	snprintf(st->failed_read_why, sizeof(st->failed_read_why), "%s", st->db.trouble_text);
}

static int copy_frames(const struct store *st)
{
	return COPY_BYTES / st->db.page_size;
}

/* Returns the maximum number of frames that only the WAL holds. The database must be able to
 * grow by their pages, or a full disk cannot be recovered from (src/README.md, trap 3), so the
 * limit falls with the free space. */
static int frames_at_most(const struct store *st)
{
	uint64_t frames = st->space.file_system_free / 8 / (uint64_t)st->db.page_size;

	if (frames > (uint64_t)copy_frames(st))
		return copy_frames(st);
	return frames < COPY_FRAMES_LEAST ? COPY_FRAMES_LEAST : (int)frames;
}

/* Does nothing if little space is left; then the WAL is copied in one step. */
static bool copy_ahead(struct store *st)
{
	int r;

	if (frames_at_most(st) < copy_frames(st))
		return false;
	db_forget_trouble(&st->db);
	r = db_copy_ahead(&st->db);
	if (r < 0)
		store_judge_trouble(st, "copying the WAL into the database");
	st->debt.ahead = r > 0;
	return r != 0;
}

/* True if database and WAL are no longer beside each other, so that each must be complete by
 * itself. */
static bool is_torn(const struct store *st)
{
	return st->space.gone || st->space.wal_gone;
}

static bool copy_is_due(const struct store *st, int pages)
{
	const struct copy_debt *debt = &st->debt;

	if (is_torn(st))
		return st->db.wal_frames > 0;
	if (debt->ahead)
		return debt->commits >= FINISH_COMMITS || pages >= COPY_PAGES_LEAST;
	return debt->frames >= frames_at_most(st) ||
	       (debt->pages >= COPY_PAGES_LEAST && debt->pages >= COPY_GROUPS * pages);
}

/* The transaction before a copy must write a new mark (pairing.h). If a copy is expected soon,
 * the next transaction includes it. */
static void foresee_copy(struct store *st)
{
	const struct copy_debt *d = &st->debt;

	if (d->ahead)
		st->pairing.wanted = d->commits + 1 >= FINISH_COMMITS || d->added >= COPY_PAGES_LEAST;
	else
		st->pairing.wanted =
		        d->frames + d->added >= frames_at_most(st) ||
		        (d->pages + d->added >= COPY_PAGES_LEAST && d->pages + d->added >= COPY_GROUPS * d->added);
}

static int nothing(struct store *st, void *arg UNUSED)
{
	st->pairing.wanted = true;
	return 0;
}

/* Writes the mark in a transaction of its own. If there is no room for that, the copy is made
 * without it. */
static void mark_for_copy(struct store *st)
{
	if (!st->pairing.fresh && store_transaction(st, nothing, NULL) < 0)
		db_forget_trouble(&st->db);
}

void store_after_commit(struct store *st)
{
	struct copy_debt *debt = &st->debt;
	int added = st->db.wal_frames - debt->frames;
	int pages = added > FRAMES_SHARED ? added - FRAMES_SHARED : 0;

	if (st->fatal || st->config.read_only)
		return;
	debt->frames = st->db.wal_frames;
	debt->pages += pages;
	debt->commits += debt->ahead && added > 0;
	debt->added = added > 0 ? pages : debt->added;
	if (!copy_is_due(st, pages)) {
		foresee_copy(st);
		return;
	}
	if (!is_torn(st))
		mark_for_copy(st);
	if (st->fatal)
		return;
	if (debt->ahead || is_torn(st) || !copy_ahead(st))
		checkpoint(st);
	foresee_copy(st);
}

int store_transaction(struct store *st, int (*body)(struct store *st, void *arg), void *arg)
{
	int r;

	if (st->fatal)
		return -EIO;
	db_forget_trouble(&st->db);
	r = db_begin(&st->db);
	if (r == 0)
		r = body(st, arg);
	if (r == 0)
		r = commit(st);
	if (r == 0)
		return 0;
	if (st->db.trouble != TROUBLE_NONE)
		r = trouble_errno(st->db.trouble);
	store_judge_trouble(st, "writing");
	roll_back(st);
	return r;
}
