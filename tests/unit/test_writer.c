/* test_writer.c - the thread: order, groups, wake-ups, the end */
#include <poll.h>
#include <sqlite3.h>
#include <time.h>

#include "faulty_vfs.h"
#include "store_fixture.h"

struct record {
	union {
		struct job job;
		struct job_put put;
		struct job_refill refill;
		struct job_in_flight in_flight;
	};
	struct record **log;
	size_t *n_log;
	struct submission *sub;
};

enum { RECORDS = 6000 };

struct bench {
	struct fixture *f;
	struct writer *w;
	struct record *records, *log[RECORDS];
	size_t n, n_log;
};

static void on_done(struct job *job)
{
	struct record *r = (struct record *)job;

	r->log[(*r->n_log)++] = r;
}

static void bench_start(struct bench *b, struct fixture *f, bool inline_)
{
	struct err err;

	*b = (struct bench){.f = f};
	b->records = calloc(RECORDS, sizeof(*b->records));
	assert_non_null(b->records);
	assert_int_equal(writer_start(&b->w, f->st, inline_, &err), 0);
	f->st = NULL; /* the writer's */
}

static void bench_stop(struct bench *b)
{
	b->w = writer_stop(b->w);
	for (size_t i = 0; i < b->n; i++)
		submission_unref(b->records[i].sub);
	free(b->records);
}

static struct record *next_record(struct bench *b)
{
	struct record *r = &b->records[b->n++];

	assert_true(b->n <= RECORDS);
	r->log = b->log;
	r->n_log = &b->n_log;
	return r;
}

static void add_put(struct bench *b, struct job_list *l, uint32_t n_events)
{
	struct record *r = next_record(b);

	r->sub = make_submission(b->f->web, "1.2", "refund", n_events, NULL);
	job_put_init(&r->put, r->sub, T0, on_done);
	STAILQ_INSERT_TAIL(l, &r->job, link);
}

static void wait_for_all(struct bench *b)
{
	struct pollfd p = {.fd = writer_fd(b->w), .events = POLLIN};

	while (writer_pending(b->w) > 0) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		writer_reap(b->w, INT64_MAX);
	}
	assert_int_equal(poll(&p, 1, 0), 0); /* and it is quiet again */
}

static void puts_complete_in_order(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct writer_stats *stats = calloc(1, sizeof(*stats));
	struct bench b;

	bench_start(&b, *state, false);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 100; i++)
			add_put(&b, &l, 1 + (uint32_t)i % 3);
		writer_submit(b.w, &l);
		assert_true(STAILQ_EMPTY(&l));
		if (round % 7 == 0)
			writer_reap(b.w, INT64_MAX);
	}
	wait_for_all(&b);
	assert_int_equal(b.n_log, 5000);
	uint64_t next = 1;
	for (size_t i = 0; i < b.n_log; i++) {
		assert_ptr_equal(b.log[i], &b.records[i]);
		assert_int_equal(b.log[i]->job.result, 0);
		assert_int_equal(b.log[i]->put.first_id, next);
		next += b.log[i]->put.count;
	}
	writer_get_stats(b.w, stats);
	assert_int_equal(stats->store.next_id, next);
	assert_int_equal(writer_queued(b.w, 1), next - 1);
	assert_int_equal(writer_queued(b.w, 0), next - 1);
	assert_int_equal(writer_queued(b.w, 2), 0);
	assert_int_equal(stats->rows, next - 1);
	assert_true(stats->commits >= 3); /* at most 4096 rows each */
	assert_int_equal(stats->failed_commits, 0);
	assert_false(stats->fatal);
	free(stats);
	bench_stop(&b);
}

static void reads_see_the_writes_before_them(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct bench b;
	struct record *r;

	bench_start(&b, *state, false);
	for (int i = 0; i < 200; i++) {
		add_put(&b, &l, 1);
		r = next_record(&b);
		job_refill_init(&r->refill, 1, (uint64_t)i, on_done);
		r->refill.max_rows = 1;
		STAILQ_INSERT_TAIL(&l, &r->job, link);
		if (i % 20 == 0)
			writer_submit(b.w, &l);
	}
	writer_submit(b.w, &l);
	wait_for_all(&b);
	for (size_t i = 1; i < b.n; i += 2) {
		assert_int_equal(b.records[i].refill.n, 1);
		assert_int_equal(b.records[i].refill.rows[0].id, (i + 1) / 2);
		job_refill_clear(&b.records[i].refill);
	}
	bench_stop(&b);
}

static void stopping_finishes_everything(void **state)
{
	struct fixture *f = *state;
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct bench b;

	bench_start(&b, f, false);
	for (int i = 0; i < 3000; i++)
		add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	bench_stop(&b);
	assert_int_equal(b.n_log, 3000);
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 3000);
	assert_false(f->st->unclean_start);
}

static void groups_are_bounded_inline(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct writer_stats *stats = calloc(1, sizeof(*stats));
	struct bench b;

	bench_start(&b, *state, true);
	assert_int_equal(writer_fd(b.w), -1);
	for (int i = 0; i < 9; i++)
		add_put(&b, &l, 1000);
	writer_submit(b.w, &l);
	assert_int_equal(writer_reap(b.w, INT64_MAX), 0);
	assert_int_equal(writer_pending(b.w), 9);
	writer_run_inline(b.w);
	assert_int_equal(b.n_log, 0);
	assert_int_equal(writer_reap(b.w, INT64_MAX), 9);
	assert_int_equal(writer_pending(b.w), 0);
	/* A group ends with the job that reaches 4096 rows: 5 and 4. */
	writer_get_stats(b.w, stats);
	assert_int_equal(stats->commits, 2);
	assert_int_equal(stats->commit_rows_buckets[13], 1); /* 5000 <= 8192 */
	assert_int_equal(stats->commit_rows_buckets[12], 1); /* 4000 <= 4096 */
	free(stats);
	bench_stop(&b);
}

static void reaping_ends_with_its_time(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct bench b;
	size_t n = 0;

	bench_start(&b, *state, true);
	for (int i = 0; i < 100; i++)
		add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	writer_run_inline(b.w);
	for (size_t got; (got = writer_reap(b.w, 0)) > 0; n += got) {
		assert_in_range(got, 1, 50);
		assert_int_equal(writer_pending(b.w), 100 - n - got);
	}
	assert_int_equal(n, 100);
	bench_stop(&b);
}

/* The writer has nothing more to do, and the loop would sleep: its descriptor says that something is left. */
static void what_is_left_to_reap_is_told(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct pollfd p;
	struct bench b;

	bench_start(&b, *state, false);
	p = (struct pollfd){.fd = writer_fd(b.w), .events = POLLIN};
	for (int i = 0; i < 100; i++)
		add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	while (writer_pending(b.w) > 0) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_in_range(writer_reap(b.w, 0), 1, 50);
	}
	assert_int_equal(poll(&p, 1, 0), 0);
	bench_stop(&b);
}

/* A line of many events is as much work as many lines. */
static void reaping_looks_at_the_clock_by_rows(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct bench b;

	bench_start(&b, *state, true);
	for (int i = 0; i < 4; i++)
		add_put(&b, &l, 31);
	writer_submit(b.w, &l);
	writer_run_inline(b.w);
	for (int i = 0; i < 4; i++)
		assert_int_equal(writer_reap(b.w, 0), 1);
	assert_int_equal(writer_pending(b.w), 0);
	bench_stop(&b);
}

static void failed_sync_is_told_at_once(void **state)
{
	struct fixture *f = *state;
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct writer_stats *stats = calloc(1, sizeof(*stats));
	struct bench b;

	fixture_close(f);
	f->config.vfs = "faulty";
	assert_int_equal(fixture_open(f), 0);
	bench_start(&b, f, false);
	assert_false(writer_is_fatal(b.w));
	atomic_store(&faults.sync, SQLITE_IOERR_FSYNC);
	add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	wait_for_all(&b);
	assert_int_equal(b.records[0].job.result, -EIO);
	assert_true(writer_is_fatal(b.w));
	writer_get_stats(b.w, stats);
	assert_true(stats->fatal);
	assert_non_null(strstr(stats->fatal_why, "sync"));
	assert_int_equal(stats->failed_commits, 1);
	atomic_store(&faults.sync, SQLITE_OK);
	add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	wait_for_all(&b);
	assert_int_equal(b.records[1].job.result, -EIO);
	free(stats);
	bench_stop(&b);
}

/* Sleeps until the thread does. */
static void let_it_sleep(void)
{
	(void)poll(NULL, 0, 50);
}

static void what_is_added_runs_with_what_is_submitted(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct writer_stats *stats = calloc(1, sizeof(*stats));
	struct bench b;

	bench_start(&b, *state, false);
	add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	wait_for_all(&b);
	let_it_sleep();
	add_put(&b, &l, 1);
	writer_add(b.w, &l);
	let_it_sleep();
	writer_reap(b.w, INT64_MAX);
	assert_int_equal(writer_pending(b.w), 1);
	add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	wait_for_all(&b);
	writer_get_stats(b.w, stats);
	assert_int_equal(stats->commits, 2);
	let_it_sleep();
	add_put(&b, &l, 1);
	writer_add(b.w, &l);
	writer_wake(b.w);
	wait_for_all(&b);
	assert_int_equal(b.records[3].put.first_id, 4);
	free(stats);
	bench_stop(&b);
}

static void idle_writer_sleeps(void **state)
{
	struct job_list l = STAILQ_HEAD_INITIALIZER(l);
	struct bench b;
	struct timespec cpu_before, cpu_after;

	bench_start(&b, *state, false);
	add_put(&b, &l, 1);
	writer_submit(b.w, &l);
	wait_for_all(&b);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
	(void)poll(NULL, 0, 300);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
	assert_true((cpu_after.tv_sec - cpu_before.tv_sec) * 1000 +
	                    (cpu_after.tv_nsec - cpu_before.tv_nsec) / 1000000 <
	            100);
	bench_stop(&b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(puts_complete_in_order),       T(reads_see_the_writes_before_them),
	        T(stopping_finishes_everything), T(groups_are_bounded_inline),
	        T(reaping_ends_with_its_time),   T(what_is_left_to_reap_is_told),
	        T(failed_sync_is_told_at_once),  T(reaping_looks_at_the_clock_by_rows),
	        T(idle_writer_sleeps),           T(what_is_added_runs_with_what_is_submitted),
	};

	faulty_vfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
