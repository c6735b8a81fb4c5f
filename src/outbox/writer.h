/* writer.h - the thread that owns the SQLite connection: jobs in, group commits, completions out
 *
 * Group commit needs no timer: the jobs that queued up during the last sync are the next group.
 * Jobs of one submitter and one kind complete in the order in which they were submitted. All
 * functions are called from the loop's thread. */
#ifndef OUTBOX_WRITER_H
#define OUTBOX_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/jobs/jobs.h"

struct writer;

/* Starts the writer, which takes the store. inline_: no thread; writer_submit() only queues, and
 * writer_run_inline() runs the jobs, for deterministic tests. */
int writer_start(struct writer **ret, struct store *take_store, bool inline_, struct err *err) MUST_CHECK;
/* Returns a descriptor that is readable while completions wait; -1 if inline. */
int writer_fd(const struct writer *w);
/* Queues a list of jobs, which is emptied, with one lock and at most one wake-up. Never fails. */
void writer_submit(struct writer *w, struct job_list *jobs);
/* As writer_submit(), but wakes nobody: the jobs run with what is submitted next, in one commit, or
 * after writer_wake(). */
void writer_add(struct writer *w, struct job_list *jobs);
void writer_wake(struct writer *w);
/* Calls done() of the finished jobs, in order, on the caller's thread, and stops soon after
 * until_us (monotonic clock; INT64_MAX: all). Returns the number of jobs reaped. If some are
 * left, writer_fd() stays readable. */
size_t writer_reap(struct writer *w, int64_t until_us);
/* Returns the number of jobs submitted and not yet reaped. */
size_t writer_pending(const struct writer *w);
void writer_run_inline(struct writer *w);

/* A copy of the counters, cumulative since start. */
struct writer_stats {
	uint64_t commits, rows, failed_commits;
	uint64_t commit_us_sum;
	uint64_t commit_us_buckets[16];   /* upper bounds 100 us * 2^i; the last one is +Inf */
	uint64_t commit_rows_buckets[16]; /* upper bounds 2^i; the last one is +Inf */
	struct store_stats store;         /* as of the last group */
	char failed_why[200];             /* reason of the last failed commit */
	uint64_t failed_reads;
	char failed_read_why[200]; /* reason of the last failed read */
	bool last_failed;          /* the last commit failed */
	/* A sync failed: nothing more is acknowledged, and the daemon must exit (src/README.md,
	 * trap 5) */
	bool fatal;
	char fatal_why[256];
};
void writer_get_stats(struct writer *w, struct writer_stats *ret);
/* Events in the outbox as of the last group, at least as new as every done() that was called:
 * all of them (10 KB), … */
void writer_get_events(struct writer *w, struct store_events *ret);
/* … or the number of queued events, of one stream or (sid 0) of all. */
uint64_t writer_queued(struct writer *w, uint32_t sid);
/* Returns the stats' `fatal` without a lock; checked at the end of every turn of the loop. */
bool writer_is_fatal(const struct writer *w);

/* Finishes all queued jobs, reaps them (calling done()), joins the thread and closes the store.
 * Accepts NULL; returns NULL. */
struct writer *writer_stop(struct writer *w);

#endif
