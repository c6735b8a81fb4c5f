/* writer.h - the thread that owns the one SQLite connection: jobs in, group commits, completions out
 *
 * Group commit needs no timer: whatever queued up during the last sync is the next group. Jobs of one
 * submitter complete in the order they were submitted within their kind. */
#ifndef OUTBOX_WRITER_H
#define OUTBOX_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/jobs/jobs.h"

struct writer;

/* Takes the store. inline_: no thread; writer_submit() only queues and writer_run_inline() works: deterministic
 * tests. */
int writer_start(struct writer **ret, struct store *take_store, bool inline_, struct err *err) MUST_CHECK;
/* Readable when completions wait: for the loop. -1 when inline. */
int writer_fd(const struct writer *w);
/* Queues a list (emptied): one lock and at most one wake-up whatever its length. Never fails. */
void writer_submit(struct writer *w, struct job_list *jobs);
/* Calls done() of the finished jobs, in order, on the caller's thread, and stops soon after until_us (monotonic;
 * INT64_MAX: all). Returns how many. When some are left, writer_fd() stays readable. */
size_t writer_reap(struct writer *w, int64_t until_us);
/* Jobs submitted and not yet reaped. */
size_t writer_pending(const struct writer *w);
void writer_run_inline(struct writer *w);

/* A copy of the counters, cumulative since start. */
struct writer_stats {
	uint64_t commits, rows, failed_commits;
	uint64_t commit_us_sum;
	uint64_t commit_us_buckets[16];   /* upper bounds 100us·2^i; the last is +Inf */
	uint64_t commit_rows_buckets[16]; /* upper bounds 2^i; the last is +Inf */
	struct store_stats store;         /* as of the last group */
	char failed_why[200];             /* of the last failed commit */
	uint64_t failed_reads;
	char failed_read_why[200]; /* of the last failed read */
	bool last_failed;          /* the last commit was one */
	bool fatal; /* a sync failed: nothing more is promised; the daemon must exit (src/README.md, trap 5) */
	char fatal_why[256];
};
void writer_get_stats(struct writer *w, struct writer_stats *ret);
/* Events in the outbox as of the last group, at least as new as every done() that ran: all of them (10 KB), … */
void writer_get_events(struct writer *w, struct store_events *ret);
/* … or only how many are queued, of one stream or (sid 0) of all. */
uint64_t writer_queued(struct writer *w, uint32_t sid);
/* The stats' fatal alone, without a lock: asked at the end of every turn of the loop. */
bool writer_is_fatal(const struct writer *w);

/* Finishes everything queued, reaps (done() runs), joins the thread, closes the store. Takes NULL. Returns NULL. */
struct writer *writer_stop(struct writer *w);

#endif
