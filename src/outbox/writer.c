/* writer.c - the thread that owns the SQLite connection: jobs in, group commits, completions out */
#include "outbox/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

/* Limits of a group: large enough that the sync costs little per row, small enough to commit soon. */
enum { GROUP_JOBS = 4096, GROUP_ROWS = 4096, GROUP_BYTES = 8 << 20 };
/* Time budget for reads between two groups while writes wait. */
#define READ_SLICE_US (2 * US_PER_MS)
/* Check the clock after this many reaped jobs plus rows. */
enum { REAPED_PER_LOOK = 32 };
/* Maintenance runs after this many groups even if the thread is never idle. */
enum { GROUPS_PER_MAINTENANCE = 64 };

struct writer {
	struct store *store;
	bool inline_, thread_runs;
	pthread_t thread;
	int event_fd;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Protected by the lock: */
	struct job_list in, out;
	bool sleeping, stop, signalled;
	struct writer_stats stats;
	struct store_events events;
	uint64_t queued; /* in all streams */

	atomic_bool fatal;
	/* Used by the submitter's thread only: */
	struct job_list added;    /* not yet the writer's: they wait for company */
	struct job_list finished; /* taken from the writer but not reaped yet */
	size_t pending;

	/* Used by the writer's thread only: */
	struct job_list todo, reads;
	struct job **group;
	size_t n_group, group_rows;
	unsigned groups_since_maintenance;
	int64_t maintenance_at_us; /* monotonic clock */
};

static size_t bucket_of(uint64_t v, uint64_t first_bound)
{
	size_t i = 0;

	for (uint64_t bound = first_bound; i < 15 && v > bound; bound *= 2)
		i++;
	return i;
}

static size_t rows_of(const struct job *job)
{
	return job->class->rows ? job->class->rows(job) : 1;
}

/* Takes writes from the head of the list up to a group's limits, and the reads between them. */
static void take_group(struct writer *w)
{
	size_t bytes = 0;
	struct job *job;

	w->n_group = 0;
	w->group_rows = 0;
	while ((job = STAILQ_FIRST(&w->todo))) {
		if (job->class->kind == JOB_READ) {
			STAILQ_REMOVE_HEAD(&w->todo, link);
			STAILQ_INSERT_TAIL(&w->reads, job, link);
			continue;
		}
		if (w->n_group == GROUP_JOBS || w->group_rows >= GROUP_ROWS || bytes >= GROUP_BYTES)
			break;
		STAILQ_REMOVE_HEAD(&w->todo, link);
		w->group[w->n_group++] = job;
		w->group_rows += rows_of(job);
		bytes += job->class->bytes ? job->class->bytes(job) : 0;
	}
}

/* Called under the lock, or before the thread exists. */
static void take_counters(struct writer *w)
{
	store_get_stats(w->store, &w->stats.store);
	store_get_events(w->store, &w->events);
	w->queued = 0;
	for (size_t sid = 0; sid < STORE_STREAMS_MAX; sid++)
		w->queued += w->events.n[sid][STATE_QUEUED];
}

/* Publishes the jobs and the store's counters, with one lock and at most one wake-up. */
static void publish(struct writer *w, struct job_list *done, const struct writer_stats *group)
{
	static const uint64_t one = 1;
	bool wake = false, tell;
	ssize_t n = 0;

	pthread_mutex_lock(&w->lock);
	if (group) {
		take_counters(w);
		w->stats.commits += group->commits;
		w->stats.failed_commits += group->failed_commits;
		w->stats.last_failed = group->failed_commits > 0;
		if (group->failed_commits)
			snprintf(w->stats.failed_why, sizeof(w->stats.failed_why), "%s", w->store->db.trouble_text);
		w->stats.rows += group->rows;
		w->stats.commit_us_sum += group->commit_us_sum;
		w->stats.commit_us_buckets[bucket_of(group->commit_us_sum, 100)]++;
		w->stats.commit_rows_buckets[bucket_of(group->rows, 1)]++;
	}
	if (w->store->failed_reads != w->stats.failed_reads) {
		w->stats.failed_reads = w->store->failed_reads;
		memcpy(w->stats.failed_read_why, w->store->failed_read_why, sizeof(w->stats.failed_read_why));
	}
	if (w->store->fatal && !w->stats.fatal) {
		w->stats.fatal = true;
		memcpy(w->stats.fatal_why, w->store->fatal_why, sizeof(w->stats.fatal_why));
		atomic_store(&w->fatal, true);
		wake = true;
	}
	if (!STAILQ_EMPTY(done)) {
		STAILQ_CONCAT(&w->out, done);
		wake = true;
	}
	tell = wake && !w->signalled && w->event_fd >= 0;
	w->signalled |= tell;
	pthread_mutex_unlock(&w->lock);
	/* Written after the unlock, because the woken thread needs the lock at once. The flag
	 * stays set until that thread has read the descriptor; if it looks earlier, it finds the
	 * jobs and nothing to read yet. */
	if (tell)
		n = write(w->event_fd, &one, sizeof(one));
	(void)n; /* cannot fail: a counter at 0 accepts a 1 */
}

static void run_group(struct writer *w)
{
	struct job_list done = STAILQ_HEAD_INITIALIZER(done);
	struct writer_stats group = {.rows = w->group_rows};
	int64_t start_us = clock_mono_us();
	bool failed = false;

	store_group(w->store, w->group, w->n_group);
	group.commit_us_sum = (uint64_t)(clock_mono_us() - start_us);
	for (size_t i = 0; i < w->n_group; i++) {
		failed |= w->group[i]->result == -EIO;
		STAILQ_INSERT_TAIL(&done, w->group[i], link);
	}
	group.commits = !failed;
	group.failed_commits = failed;
	publish(w, &done, &group);
	/* After publish(), so that no client that waits for the commit has to wait for this too. */
	store_after_commit(w->store);
	w->groups_since_maintenance++;
}

static bool writes_wait(struct writer *w)
{
	bool wait;

	if (!STAILQ_EMPTY(&w->todo))
		return true;
	pthread_mutex_lock(&w->lock);
	wait = !STAILQ_EMPTY(&w->in);
	pthread_mutex_unlock(&w->lock);
	return wait;
}

/* Runs at least one read, and all of them if no write waits. */
static void run_reads(struct writer *w)
{
	struct job_list done = STAILQ_HEAD_INITIALIZER(done);
	int64_t until_us = clock_mono_us() + READ_SLICE_US;
	struct job *job;

	while ((job = STAILQ_FIRST(&w->reads))) {
		STAILQ_REMOVE_HEAD(&w->reads, link);
		store_read(w->store, job);
		STAILQ_INSERT_TAIL(&done, job, link);
		if (clock_mono_us() >= until_us && writes_wait(w))
			break;
	}
	if (!STAILQ_EMPTY(&done))
		publish(w, &done, NULL);
}

static void run_maintenance(struct writer *w, bool idle)
{
	struct job_list none = STAILQ_HEAD_INITIALIZER(none);
	int64_t mono_us = clock_mono_us(), wait_us;
	struct now now;

	w->groups_since_maintenance = 0;
	if (mono_us < w->maintenance_at_us)
		return;
	clock_now(&now);
	key_clock_follow(w->store, now.wall_us, now.boot_us);
	wait_us = store_maintenance(w->store, now.wall_us, mono_us, idle);
	w->maintenance_at_us = wait_us == INT64_MAX ? INT64_MAX : mono_us + wait_us;
	if (w->store->fatal)
		publish(w, &none, NULL);
}

/* One round over the pending jobs. */
static void work(struct writer *w)
{
	take_group(w);
	if (w->n_group > 0) {
		run_group(w);
		w->maintenance_at_us = 0; /* something changed: ask again */
	}
	run_reads(w);
	if (w->groups_since_maintenance >= GROUPS_PER_MAINTENANCE)
		run_maintenance(w, false);
}

static bool has_work(const struct writer *w)
{
	return !STAILQ_EMPTY(&w->todo) || !STAILQ_EMPTY(&w->reads);
}

/* Called under the lock. Sleeps until a job arrives, maintenance is due, or the thread must
 * stop. */
static void sleep_until_work(struct writer *w)
{
	struct timespec until = {.tv_sec = w->maintenance_at_us / US_PER_S,
	                         .tv_nsec = (long)(w->maintenance_at_us % US_PER_S) * 1000};
	int r = 0;

	/* Due at once, as after every commit: skip even the system call */
	if (w->maintenance_at_us == 0)
		return;
	w->sleeping = true;
	while (STAILQ_EMPTY(&w->in) && !w->stop && r == 0) {
		if (w->maintenance_at_us == INT64_MAX)
			pthread_cond_wait(&w->wake, &w->lock);
		else
			r = pthread_cond_timedwait(&w->wake, &w->lock, &until);
	}
	w->sleeping = false;
}

/* Returns false if the thread must stop and nothing is left to do. */
static bool fetch(struct writer *w, bool may_sleep)
{
	bool stop;

	pthread_mutex_lock(&w->lock);
	if (may_sleep && STAILQ_EMPTY(&w->in) && !w->stop)
		sleep_until_work(w);
	STAILQ_CONCAT(&w->todo, &w->in);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return has_work(w) || !stop;
}

static void *run_thread(void *arg)
{
	struct writer *w = arg;

	pthread_setname_np(pthread_self(), "outbox");
	while (fetch(w, !has_work(w))) {
		if (has_work(w))
			work(w);
		else
			run_maintenance(w, true);
	}
	return NULL;
}

void writer_run_inline(struct writer *w)
{
	writer_wake(w);
	while (fetch(w, false) && has_work(w))
		work(w);
	run_maintenance(w, true);
}

static int init_sync(struct writer *w)
{
	pthread_condattr_t attributes;
	int r = pthread_condattr_init(&attributes);

	if (r == 0)
		r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (r == 0)
		r = pthread_cond_init(&w->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (r == 0)
		r = pthread_mutex_init(&w->lock, NULL);
	return -r;
}

/* Blocks all signals in the thread; the loop handles them. */
static int start_thread(struct writer *w)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, run_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->thread_runs = r == 0;
	return -r;
}

int writer_start(struct writer **ret, struct store *take_store, bool inline_, struct err *err)
{
	struct writer *w = calloc(1, sizeof(*w));
	struct now now;
	int r;

	if (!w) {
		store_close(take_store);
		return err_set(err, -ENOMEM, "outbox: out of memory");
	}
	clock_now(&now);
	key_clock_start(take_store, now.wall_us, now.boot_us);
	w->store = take_store;
	w->inline_ = inline_;
	w->event_fd = -1;
	STAILQ_INIT(&w->in);
	STAILQ_INIT(&w->added);
	STAILQ_INIT(&w->out);
	STAILQ_INIT(&w->finished);
	STAILQ_INIT(&w->todo);
	STAILQ_INIT(&w->reads);
	w->group = calloc(GROUP_JOBS, sizeof(struct job *));
	r = w->group ? init_sync(w) : -ENOMEM;
	take_counters(w);
	if (r == 0 && !inline_) {
		w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = w->event_fd < 0 ? -errno : start_thread(w);
	}
	if (r < 0) {
		err_set(err, r, "outbox: the writer's thread cannot be started: %s", strerror(-r));
		writer_stop(w);
		return r;
	}
	*ret = w;
	return 0;
}

int writer_fd(const struct writer *w)
{
	return w->event_fd;
}

static void count_pending(struct writer *w, const struct job_list *jobs)
{
	const struct job *job;

	STAILQ_FOREACH(job, jobs, link)
	w->pending++;
}

/* What was added goes first, as it came first. */
static void hurry(struct writer *w, struct job_list *jobs)
{
	bool sleeping;

	pthread_mutex_lock(&w->lock);
	STAILQ_CONCAT(&w->in, &w->added);
	STAILQ_CONCAT(&w->in, jobs);
	sleeping = w->sleeping;
	pthread_mutex_unlock(&w->lock);
	if (sleeping)
		pthread_cond_signal(&w->wake);
}

void writer_submit(struct writer *w, struct job_list *jobs)
{
	count_pending(w, jobs);
	if (!STAILQ_EMPTY(jobs))
		hurry(w, jobs);
}

void writer_add(struct writer *w, struct job_list *jobs)
{
	count_pending(w, jobs);
	STAILQ_CONCAT(&w->added, jobs);
}

void writer_wake(struct writer *w)
{
	struct job_list none = STAILQ_HEAD_INITIALIZER(none);

	if (!STAILQ_EMPTY(&w->added))
		hurry(w, &none);
}

/* Takes the jobs that the writer has finished since the last call. */
static void take_finished(struct writer *w)
{
	uint64_t ticks;

	pthread_mutex_lock(&w->lock);
	STAILQ_CONCAT(&w->finished, &w->out);
	if (w->signalled && read(w->event_fd, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
		w->signalled = false;
	pthread_mutex_unlock(&w->lock);
}

/* Signals the remaining jobs, because the writer may have nothing more to do and would not
 * signal again. */
static void tell_again(struct writer *w)
{
	static const uint64_t one = 1;
	bool tell;
	ssize_t n = 0;

	pthread_mutex_lock(&w->lock);
	tell = !w->signalled && w->event_fd >= 0;
	w->signalled |= tell;
	pthread_mutex_unlock(&w->lock);
	if (tell)
		n = write(w->event_fd, &one, sizeof(one));
	(void)n; /* cannot fail: a counter at 0 accepts a 1 */
}

size_t writer_reap(struct writer *w, int64_t until_us)
{
	size_t n = 0, unlooked = 0;
	struct job *job;

	take_finished(w);
	while ((job = STAILQ_FIRST(&w->finished))) {
		STAILQ_REMOVE_HEAD(&w->finished, link);
		w->pending--;
		n++;
		unlooked += 1 + rows_of(job); /* done() may do work per row */
		job->done(job);
		if (unlooked < REAPED_PER_LOOK)
			continue;
		unlooked = 0;
		if (clock_mono_us() >= until_us)
			break;
	}
	if (!STAILQ_EMPTY(&w->finished))
		tell_again(w);
	return n;
}

size_t writer_pending(const struct writer *w)
{
	return w->pending;
}

void writer_get_stats(struct writer *w, struct writer_stats *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->stats;
	pthread_mutex_unlock(&w->lock);
}

void writer_get_events(struct writer *w, struct store_events *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->events;
	pthread_mutex_unlock(&w->lock);
}

uint64_t writer_queued(struct writer *w, uint32_t sid)
{
	pthread_mutex_lock(&w->lock);
	uint64_t n = sid ? w->events.n[sid][STATE_QUEUED] : w->queued;
	pthread_mutex_unlock(&w->lock);
	return n;
}

bool writer_is_fatal(const struct writer *w)
{
	return atomic_load_explicit(&w->fatal, memory_order_relaxed);
}

struct writer *writer_stop(struct writer *w)
{
	if (!w)
		return NULL;
	writer_wake(w);
	if (w->thread_runs) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_mutex_unlock(&w->lock);
		pthread_cond_signal(&w->wake);
		pthread_join(w->thread, NULL);
	} else if (w->group) {
		writer_run_inline(w);
	}
	w->thread_runs = false;
	/* done() may still submit jobs: they find no thread and run here. */
	while (writer_reap(w, INT64_MAX) > 0)
		writer_run_inline(w);
	store_close(w->store);
	w->event_fd = fd_close(w->event_fd);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
	free(w->group);
	free(w);
	return NULL;
}
