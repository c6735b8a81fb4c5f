/* test_store_jobs.c - what can be asked of the outbox, each job by itself */
#include <sqlite3.h>

#include "outbox/jobs/row.h"
#include "store_fixture.h"

static void put_stores_what_it_was_given(void **state)
{
	struct fixture *f = *state;
	struct job_put j;
	struct job_list_rows show;

	assert_int_equal(try_put(f, f->web, "1.2", "refund", 3, NULL, T0, &j), 0);
	assert_int_equal(j.first_id, 1);
	assert_int_equal(j.count, 3);
	assert_false(j.duplicate);
	assert_int_equal(put(f, f->ios, "abc", ""), 4);
	job_show_init(&show, 2, no_done);
	assert_int_equal(run_read(f->st, &show.job), 0);
	assert_int_equal(show.n, 1);
	assert_int_equal(show.rows[0].id, 2);
	assert_int_equal(show.rows[0].sid, f->web);
	assert_int_equal(show.rows[0].state, STATE_QUEUED);
	assert_int_equal(show.rows[0].accepted_us, T0);
	assert_int_equal(show.rows[0].time_us, T0 - 1);
	assert_true(slice_eq(show.rows[0].name, SLICE_LIT("refund")));
	assert_true(slice_eq(show.rows[0].client, SLICE_LIT("1.2")));
	assert_true(slice_eq(show.rows[0].envelope, SLICE_LIT("{\"client_id\":\"1.2\"}")));
	assert_true(slice_eq(show.rows[0].body,
	                     SLICE_LIT("{\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-1\"}}")));
	assert_int_equal(show.rows[0].tries.n, 0);
	job_list_clear(&show);
	job_show_init(&show, 4, no_done);
	assert_int_equal(run_read(f->st, &show.job), 0);
	assert_int_equal(show.rows[0].name.n, 0);
	assert_int_equal(show.rows[0].body.n, 0);
	job_list_clear(&show);
	job_show_init(&show, 5, no_done);
	assert_int_equal(run_read(f->st, &show.job), -ENOENT);
	job_list_clear(&show);
	assert_books_balance(f);
}

static struct job_refill refill(struct fixture *f, uint32_t sid, uint64_t after, size_t rows, size_t examined)
{
	struct job_refill j;

	job_refill_init(&j, sid, after, no_done);
	j.max_rows = rows;
	j.max_examined = examined;
	assert_int_equal(run_read(f->st, &j.job), 0);
	return j;
}

/* A put whose envelope is that text. Returns its id. */
static uint64_t put_envelope(struct fixture *f, const char *envelope, const char *client, uint32_t n)
{
	struct submission *sub = make_submission(f->web, client, "refund", n, NULL);
	struct job_put j;

	sub->envelope = slice_of(envelope);
	job_put_init(&j, sub, T0, no_done);
	assert_int_equal(run_write(f->st, &j.job), 0);
	submission_unref(sub);
	return j.first_id;
}

static void small_envelopes_lie_in_their_rows(void **state)
{
	static const struct {
		const char *envelope, *client;
		uint32_t n;
		bool inside;
	} cases[] = {
	        {"{\"client_id\":\"1.2\"}", "1.2", 1, true},
	        {"{\"app_instance_id\":\"a1\",\"user_id\":\"u\"}", "a1", 1, true},
	        {"{\"client_id\":\"1.2\"}", "1.2", 13, true},
	        {"{\"client_id\":\"1.2\"}", "1.2", 14, false},               /* 266 bytes in all */
	        {"{\"client_id\":\"a\\\"b\"}", "a\"b", 1, false},            /* not the text as it stands */
	        {"{\"consent\":{},\"client_id\":\"1.2\"}", "1.2", 1, false}, /* in no order of ours */
	};
	struct fixture *f = *state;
	int64_t rows = 0;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t id = put_envelope(f, cases[i].envelope, cases[i].client, cases[i].n);
		struct job_refill j = refill(f, f->web, id - 1, 1, 100);

		rows += !cases[i].inside;
		assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), rows);
		assert_int_equal(j.n, 1);
		assert_true(slice_eq(j.rows[0].sub->envelope, slice_of(cases[i].envelope)));
		assert_true(slice_eq(j.rows[0].sub->client, slice_of(cases[i].client)));
		job_refill_clear(&j);
	}
	assert_books_balance(f);
}

static void envelopes_are_stored_once(void **state)
{
	struct fixture *f = *state;

	put(f, f->web, "1.2", "a");
	put(f, f->web, "1.2", "b");
	put(f, f->ios, "1.2", "c"); /* another stream: another envelope */
	put(f, f->web, "1.3", "d");
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), 3);
	fixture_reopen(f); /* the hash's key is kept: they are found again */
	put(f, f->web, "1.2", "e");
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), 3);
}

static void equal_hashes_are_no_equal_envelopes(void **state)
{
	struct fixture *f = *state;
	struct err err;

	put(f, f->web, "1.2", "a");
	put(f, f->web, "1.3", "b");
	/* As if the two collided. */
	assert_int_equal(
	        db_exec(&f->st->db, "UPDATE envelope SET hash = (SELECT hash FROM envelope WHERE id = 1)", &err), 0);
	envelopes_clear(&f->st->envelopes);
	put(f, f->web, "1.2", "c");
	assert_int_equal(sql_int(f, "SELECT envelope FROM event WHERE id = 3"), 1);
	put(f, f->ios, "1.2", "d");
	assert_int_equal(sql_int(f, "SELECT envelope FROM event WHERE id = 4"), 3);
}

static void cache_stays_bounded(void **state)
{
	struct fixture *f = *state;
	static char big[100000];
	struct slice body = {big, sizeof(big)}, client = SLICE_LIT("c");
	uint64_t id;

	memset(big, 'x', sizeof(big));
	assert_int_equal(db_begin(&f->st->db), 0);
	for (int i = 0; i < 200; i++) {
		memcpy(big, &i, sizeof(i));
		assert_int_equal(envelopes_intern(&f->st->envelopes, &f->st->db, 1, body, client, &id), 0);
		assert_int_equal(id, i + 1);
		assert_true(f->st->envelopes.bytes <= ENVELOPES_CACHE_BYTES);
	}
	/* Evicted ones are found in the table. */
	memset(big, 0, sizeof(int));
	assert_int_equal(envelopes_intern(&f->st->envelopes, &f->st->db, 1, body, client, &id), 0);
	assert_int_equal(id, 1);
	struct slice got_body, got_client;
	assert_int_equal(envelopes_get(&f->st->envelopes, &f->st->db, 2, &got_body, &got_client), 0);
	assert_int_equal(got_body.n, sizeof(big));
	assert_int_equal(envelopes_get(&f->st->envelopes, &f->st->db, 999, &got_body, &got_client), -ENOENT);
	db_rollback(&f->st->db);
}

static void dedup_answers_the_first(void **state)
{
	struct fixture *f = *state;
	struct job_put a, b;

	assert_int_equal(try_put(f, f->web, "1.2", "refund", 2, "k", T0, &a), 0);
	assert_int_equal(try_put(f, f->web, "9.9", "other", 1, "k", T0 + 1, &b), 0);
	assert_true(b.duplicate);
	assert_int_equal(b.first_id, a.first_id);
	assert_int_equal(b.count, 2);
	/* Another stream's key is another key. */
	assert_int_equal(try_put(f, f->ios, "1.2", "refund", 1, "k", T0 + 1, &b), 0);
	assert_false(b.duplicate);
	/* Delivered meanwhile, restarted meanwhile: still the same. */
	settle(f, a.first_id, SETTLE_DELIVERED, DEAD_NONE);
	fixture_reopen(f);
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, "k", T0 + US_PER_DAY - 1, &b), 0);
	assert_true(b.duplicate);
	/* The window's end, exactly. */
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, "k", T0 + US_PER_DAY, &b), 0);
	assert_false(b.duplicate);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM dedup WHERE sid = 1"), 1);
	assert_books_balance(f);
}

static void dedup_within_a_group(void **state)
{
	struct fixture *f = *state;
	struct submission *s1 = make_submission(f->web, "1.2", "a", 1, "same"),
	                  *s2 = make_submission(f->web, "1.2", "b", 1, "same");
	struct job_put a, b;
	struct job *jobs[] = {&a.job, &b.job};

	job_put_init(&a, s1, T0, no_done);
	job_put_init(&b, s2, T0, no_done);
	store_group(f->st, jobs, 2);
	assert_int_equal(a.job.result, 0);
	assert_int_equal(b.job.result, 0);
	assert_false(a.duplicate);
	assert_true(b.duplicate);
	assert_int_equal(b.first_id, a.first_id);
	submission_unref(s1);
	submission_unref(s2);
}

static void dedup_keys_are_purged(void **state)
{
	struct fixture *f = *state;
	struct job_put j;
	char key[32];

	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, key, T0 + i, &j), 0);
	}
	run_maintenance(f, T0 + US_PER_DAY + 9, clock_mono_us());
	assert_int_equal(sql_int(f, "SELECT count(*) FROM dedup"), 10);
	run_maintenance(f, T0 + US_PER_DAY + 100, clock_mono_us() + US_PER_H);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM dedup"), 0);
	assert_int_equal(f->st->maintenance.keys_due_mono_us, INT64_MAX);
	assert_int_equal(try_put(f, f->web, "1.2", "refund", 1, "k1", T0, &j), 0);
	assert_int_not_equal(f->st->maintenance.keys_due_mono_us, INT64_MAX);
}

static void limits_refuse_and_let_go(void **state)
{
	struct fixture *f = *state;
	struct store_config limits = f->config;
	struct store_stats stats;
	struct job_put j;

	limits.max_events = 3;
	store_set_limits(f->st, &limits);
	assert_int_equal(try_put(f, f->web, "1.2", "a", 2, NULL, T0, &j), 0);
	assert_int_equal(try_put(f, f->web, "1.2", "a", 2, NULL, T0, &j), -EDQUOT);
	assert_non_null(strstr(j.why, "max_events"));
	assert_int_equal(try_put(f, f->web, "1.2", "a", 1, NULL, T0, &j), 0);
	store_get_stats(f->st, &stats);
	assert_true(stats.full);
	assert_int_equal(try_put(f, f->web, "1.2", "a", 1, NULL, T0, &j), -EDQUOT);
	settle(f, 1, SETTLE_DELIVERED, DEAD_NONE);
	assert_int_equal(try_put(f, f->web, "1.2", "a", 1, NULL, T0, &j), 0);

	limits.max_events = 1000;
	limits.max_bytes = 4096;
	store_set_limits(f->st, &limits);
	assert_int_equal(try_put(f, f->web, "1.2", "a", 1, NULL, T0, &j), -EDQUOT);
	assert_non_null(strstr(j.why, "max_bytes"));
	limits.max_bytes = UINT64_C(1) << 30;
	store_set_limits(f->st, &limits);
	f->st->config.min_free_disk = UINT64_C(1) << 60;
	space_check(f->st, clock_mono_us(), true);
	assert_int_equal(try_put(f, f->web, "1.2", "a", 1, NULL, T0, &j), -EDQUOT);
	assert_non_null(strstr(j.why, "min_free_disk"));
	/* Delivery goes on. */
	settle(f, 2, SETTLE_DELIVERED, DEAD_NONE);
	assert_books_balance(f);
}

static void settles_of_all_kinds(void **state)
{
	struct fixture *f = *state;
	struct job_list_rows show;
	uint64_t ids[6];

	for (int i = 0; i < 6; i++)
		ids[i] = put(f, i % 2 ? f->ios : f->web, "1.2", "refund");
	assert_int_equal(settle_at(f, ids, 2, SETTLE_FAILED, DEAD_NONE, true, T0), 0);
	assert_int_equal(settle_at(f, ids, 1, SETTLE_FAILED, DEAD_NONE, false, T0), 0);
	settle(f, ids[1], SETTLE_DELIVERED, DEAD_NONE);
	settle(f, ids[2], SETTLE_DEAD, DEAD_REFUSED);
	settle(f, ids[3], SETTLE_DEAD, DEAD_EXPIRED);
	settle(f, ids[4], SETTLE_DELIVERED, DEAD_NONE);
	/* Twice, and of none at all: nothing to say. */
	settle(f, ids[4], SETTLE_DELIVERED, DEAD_NONE);
	settle(f, ids[2], SETTLE_DEAD, DEAD_REFUSED);
	settle(f, 999, SETTLE_FAILED, DEAD_NONE);
	assert_books_balance(f);
	assert_int_equal(f->st->counters.committed[STORED_DELIVERED], 2);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	assert_int_equal(count_of(f, f->ios, STATE_QUEUED), 1);
	assert_int_equal(count_of(f, f->web, STATE_DEAD), 1);
	assert_int_equal(count_of(f, f->ios, STATE_DEAD), 1);
	job_show_init(&show, ids[0], no_done);
	assert_int_equal(run_read(f->st, &show.job), 0);
	assert_int_equal(show.rows[0].attempts, 2);
	assert_true(show.rows[0].maybe_sent);
	assert_int_equal(show.rows[0].last_status, 503);
	assert_true(slice_eq(
	        show.rows[0].tries,
	        SLICE_LIT(
	                "[{\"when_micros\":1700000000000000,\"status\":503,\"error\":\"bad \\\"day\\\"?\",\"ms\":41},"
	                "{\"when_micros\":1700000000000000,\"status\":503,\"error\":\"bad "
	                "\\\"day\\\"?\",\"ms\":41}]")));
	job_list_clear(&show);
	job_show_init(&show, ids[3], no_done);
	assert_int_equal(run_read(f->st, &show.job), 0);
	assert_int_equal(show.rows[0].reason, DEAD_EXPIRED);
	assert_int_equal(show.rows[0].attempts, 0); /* growing old is no attempt */
	job_list_clear(&show);
	fixture_reopen(f);
	assert_books_balance(f);
}

static void ten_tries_are_kept(void **state)
{
	struct fixture *f = *state;
	struct job_list_rows show;
	uint64_t id = put(f, f->web, "1.2", "refund");
	int n = 0;

	for (int i = 0; i < 14; i++)
		assert_int_equal(settle_at(f, &id, 1, SETTLE_FAILED, DEAD_NONE, false, T0 + i), 0);
	job_show_init(&show, id, no_done);
	assert_int_equal(run_read(f->st, &show.job), 0);
	assert_int_equal(show.rows[0].attempts, 14);
	for (size_t i = 0; i < show.rows[0].tries.n; i++)
		n += show.rows[0].tries.p[i] == '{';
	assert_int_equal(n, 10);
	assert_true(slice_starts(show.rows[0].tries, SLICE_LIT("[{\"when_micros\":1700000000000004,")));
	job_list_clear(&show);
}

static void delivered_are_deleted_by_runs(void **state)
{
	struct fixture *f = *state;
	struct job_settle *jobs[4];
	struct job *list[4];
	struct job_put p;

	for (int i = 0; i < 10; i++)
		assert_int_equal(try_put(f, i < 5 ? f->web : f->ios, "1.2", "a", 10, NULL, T0, &p), 0);
	/* Four batches of scattered ids: together 1 … 100 but those above 40 that are divisible by four. */
	for (int b = 0; b < 4; b++) {
		jobs[b] = calloc(1, sizeof(*jobs[b]) + 25 * sizeof(struct settle));
		job_settle_init(jobs[b], no_done);
		for (int k = 0; k < 25; k++)
			jobs[b]->events[jobs[b]->n++] =
			        (struct settle){.id = (uint64_t)(4 * k + b + 1), .kind = SETTLE_DELIVERED};
		list[3 - b] = &jobs[b]->job;
	}
	jobs[3]->n = 10;
	store_group(f->st, list, 4);
	for (int b = 0; b < 4; b++) {
		assert_int_equal(jobs[b]->job.result, 0);
		free(jobs[b]);
	}
	assert_int_equal(f->st->counters.rows, 15);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM event WHERE id > 40 AND id % 4 = 0"), 15);
	assert_books_balance(f);
}

static int drop_seven(struct store *st, void *arg UNUSED)
{
	return store_delete_run(st, 7, 7);
}

static int hold_nine(struct store *st, void *arg UNUSED)
{
	return store_set_state(st, 9, 1, STATE_QUEUED, STATE_HELD);
}

static void delivered_rows_are_counted_as_they_are(void **state)
{
	struct fixture *f = *state;
	uint64_t ids[20];
	struct job_put p;

	assert_int_equal(try_put(f, f->web, "1.2", "a", 10, NULL, T0, &p), 0);
	assert_int_equal(try_put(f, f->ios, "1.2", "a", 10, NULL, T0, &p), 0);
	/* Dropped and held by an operator while they were on their way. */
	assert_int_equal(store_transaction(f->st, drop_seven, NULL), 0);
	assert_int_equal(store_transaction(f->st, hold_nine, NULL), 0);
	for (int i = 0; i < 18; i++)
		ids[i] = (uint64_t)i + 1;
	assert_int_equal(settle_at(f, ids, 18, SETTLE_DELIVERED, DEAD_NONE, false, T0), 0);
	assert_books_balance(f);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 0);
	assert_int_equal(count_of(f, f->web, STATE_HELD), 0);
	assert_int_equal(count_of(f, f->ios, STATE_QUEUED), 2);
}

static void kept_after_delivery(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	f->st->config.keep_delivered_us = US_PER_H;
	id = put(f, f->web, "1.2", "refund");
	put(f, f->web, "1.2", "stays");
	settle(f, id, SETTLE_DELIVERED, DEAD_NONE);
	assert_int_equal(count_of(f, f->web, STATE_DELIVERED), 1);
	assert_books_balance(f);
	run_maintenance(f, T0 + US_PER_H - 1, clock_mono_us());
	assert_int_equal(count_of(f, f->web, STATE_DELIVERED), 1);
	run_maintenance(f, T0 + US_PER_H + 41000, clock_mono_us() + US_PER_H);
	assert_int_equal(count_of(f, f->web, STATE_DELIVERED), 0);
	assert_int_equal(f->st->counters.committed[STORED_DELIVERED], 1);
	assert_int_equal(f->st->maintenance.purged_dead, 0);
	assert_int_equal(f->st->maintenance.settled_due_us, INT64_MAX);
	assert_books_balance(f);
}

static void dead_letters_are_purged(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	uint64_t a = put(f, f->web, "1.2", "a"), b = put(f, f->web, "1.2", "b"), c = put(f, f->web, "1.2", "c");

	settle_at(f, &a, 1, SETTLE_DEAD, DEAD_REFUSED, false, T0);
	settle_at(f, &b, 1, SETTLE_DEAD, DEAD_REFUSED, false, T0 + US_PER_H);
	settle_at(f, &c, 1, SETTLE_FAILED, DEAD_NONE, false, T0); /* a note, but no dead letter */
	fixture_reopen(f);
	run_maintenance(f, T0 + f->config.keep_dead_us + 41000, clock_mono_us());
	store_get_stats(f->st, &stats);
	assert_int_equal(stats.purged_dead, 1);
	assert_int_equal(stats.dead[DEAD_REFUSED], 1);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	assert_books_balance(f);
	run_maintenance(f, T0 + US_PER_H + f->config.keep_dead_us + 41000, clock_mono_us() + US_PER_H);
	store_get_stats(f->st, &stats);
	assert_int_equal(stats.purged_dead, 2);
	assert_books_balance(f);
}

static void refill_in_slices(void **state)
{
	struct fixture *f = *state;
	struct job_refill j;
	uint64_t id;

	for (int i = 0; i < 20; i++)
		put(f, i % 2 ? f->ios : f->web, "1.2", "refund"); /* web: 1, 3, …, 19 */
	assert_int_equal(store_transaction(f->st, hold_nine, NULL), 0);
	id = 3;
	settle_at(f, &id, 1, SETTLE_FAILED, DEAD_NONE, true, T0);
	settle(f, 5, SETTLE_DEAD, DEAD_REFUSED);

	j = refill(f, f->web, 0, 3, 1000);
	assert_int_equal(j.n, 3);
	assert_int_equal(j.rows[0].id, 1);
	assert_false(j.rows[0].has_note);
	assert_int_equal(j.rows[1].id, 3);
	assert_true(j.rows[1].has_note && j.rows[1].maybe_sent);
	assert_int_equal(j.rows[1].attempts, 1);
	assert_int_equal(j.rows[2].id, 7);
	assert_int_equal(j.examined_to, 7);
	assert_false(j.end);
	assert_true(slice_eq(j.rows[0].sub->client, SLICE_LIT("1.2")));
	assert_true(slice_eq(j.rows[0].sub->envelope, SLICE_LIT("{\"client_id\":\"1.2\"}")));
	assert_true(slice_eq(j.rows[0].sub->events[0].name, SLICE_LIT("refund")));
	assert_int_equal(j.rows[0].sub->first_id, 1);
	assert_int_equal(j.rows[0].sub->refs, 1);
	job_refill_clear(&j);

	j = refill(f, f->web, 7, 100, 3); /* 8, 9, 10: nothing of web is queued there */
	assert_int_equal(j.n, 0);
	assert_int_equal(j.examined_to, 10);
	assert_false(j.end);
	job_refill_clear(&j);

	j = refill(f, f->web, 10, 100, 1000);
	assert_int_equal(j.n, 5);
	assert_true(j.end);
	job_refill_clear(&j);
	j = refill(f, f->web, 20, 100, 1000);
	assert_int_equal(j.n, 0);
	assert_true(j.end);
	assert_int_equal(j.examined_to, 20);
	job_refill_clear(&j);
}

static void refill_buries_corrupt_rows(void **state)
{
	struct fixture *f = *state;
	struct job_refill j;
	struct err err;

	for (int i = 0; i < 4; i++)
		put(f, f->web, "1.2", "refund");
	assert_int_equal(db_exec(&f->st->db,
	                         "UPDATE event SET body = '{\"nome\":1}' WHERE id = 1;"
	                         "UPDATE event SET envelope = 77 WHERE id = 2;"
	                         "UPDATE event SET body = '{\"name\":\"un' WHERE id = 3",
	                         &err),
	                 0);
	j = refill(f, f->web, 0, 10, 100);
	assert_int_equal(j.n, 4);
	assert_null(j.rows[0].sub);
	assert_null(j.rows[1].sub);
	assert_null(j.rows[2].sub);
	assert_non_null(j.rows[3].sub);
	job_refill_clear(&j);
	assert_int_equal(f->st->counters.committed[STORED_DEAD + DEAD_CORRUPT], 3);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 1);
	assert_int_equal(db_exec(&f->st->db, "UPDATE event SET envelope = '{' WHERE id = 2", &err), 0);
	assert_books_balance(f);
}

static size_t list(struct fixture *f, struct job_list_rows *j, uint64_t *ids, size_t max)
{
	size_t n = 0;

	j->from = 0;
	do {
		assert_int_equal(run_read(f->st, &j->job), 0);
		for (size_t i = 0; i < j->n && n < max; i++)
			ids[n++] = j->rows[i].id;
		j->from = j->next;
	} while (!j->end);
	return n;
}

static void assert_list(struct fixture *f, struct event_filter filter, bool reverse, const char *expected)
{
	struct job_list_rows j;
	uint64_t ids[64];
	char text[256] = "";
	size_t n;

	/* In slices of every small size: the same. */
	for (size_t slice = 1; slice < 5; slice++) {
		job_list_init(&j, no_done);
		j.filter = filter;
		j.reverse = reverse;
		j.max_rows = slice;
		j.max_examined = slice + 1;
		n = list(f, &j, ids, ARRAY_LEN(ids));
		job_list_clear(&j);
		text[0] = '\0';
		for (size_t i = 0; i < n; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d", i ? " " : "", (int)ids[i]);
		assert_string_equal(text, expected);
	}
}

static void lists_by_filter(void **state)
{
	struct fixture *f = *state;

	put(f, f->web, "1.1", "a");
	put(f, f->ios, "1.2", "b");
	put(f, f->web, "1.2", "c");
	put(f, f->web, "1.1", "b");
	put(f, f->ios, "1.3", "a");
	put(f, f->web, "1.2", "");
	settle(f, 3, SETTLE_DEAD, DEAD_REFUSED);
	settle(f, 5, SETTLE_DEAD, DEAD_TOO_LARGE);
	assert_list(f, (struct event_filter){.reason = -1}, false, "1 2 3 4 5 6");
	assert_list(f, (struct event_filter){.reason = -1}, true, "6 5 4 3 2 1");
	assert_list(f, (struct event_filter){.reason = -1, .sid = f->web}, false, "1 3 4 6");
	assert_list(f, (struct event_filter){.reason = -1, .client = "1.2"}, false, "2 3 6");
	assert_list(f, (struct event_filter){.reason = -1, .name = "b"}, true, "4 2");
	assert_list(f, (struct event_filter){.reason = -1, .name = ""}, false, "6");
	assert_list(f, (struct event_filter){.reason = -1, .states = 1u << STATE_DEAD}, false, "3 5");
	assert_list(f, (struct event_filter){.reason = DEAD_TOO_LARGE}, false, "5");
	assert_list(f, (struct event_filter){.reason = -1, .states = 1u << STATE_HELD}, false, "");
	assert_list(f, (struct event_filter){.reason = -1, .accepted_before_us = T0}, false, "");
	assert_list(f, (struct event_filter){.reason = -1, .accepted_before_us = T0 + 1, .client = "1.1"}, false,
	            "1 4");
}

static int act_ids(struct fixture *f, enum act_verb verb, const uint64_t *ids, size_t n, uint8_t *results,
                   struct job_act *ret)
{
	static const uint64_t in_flight[] = {4, 100};

	job_act_init(ret, verb, no_done);
	ret->ids = ids;
	ret->n_ids = n;
	ret->id_results = results;
	ret->in_flight = in_flight;
	ret->n_in_flight = ARRAY_LEN(in_flight);
	return run_write(f->st, &ret->job);
}

static void actions_by_ids(void **state)
{
	struct fixture *f = *state;
	const uint64_t ids[] = {1, 2, 3, 4, 99};
	uint8_t results[5];
	struct job_act j;
	struct job_refill r;

	for (int i = 0; i < 4; i++)
		put(f, f->web, "1.2", "refund");
	settle(f, 2, SETTLE_DEAD, DEAD_REFUSED);
	assert_int_equal(act_ids(f, ACT_HOLD, ids, 5, results, &j), 0);
	assert_memory_equal(results, ((uint8_t[]){ACT_DONE, ACT_UNCHANGED, ACT_DONE, ACT_IN_FLIGHT, ACT_UNKNOWN}), 5);
	assert_int_equal(j.changed, 2);
	assert_int_equal(j.n_changed, 2);
	assert_int_equal(j.changed_ids[1], 3);
	assert_int_equal(j.refused_in_flight, 1);
	assert_int_equal(j.lowest_queued, 0);
	assert_true(j.end);
	job_act_clear(&j);
	assert_int_equal(count_of(f, f->web, STATE_HELD), 2);

	assert_int_equal(act_ids(f, ACT_RELEASE, ids + 2, 1, results, &j), 0);
	assert_int_equal(j.lowest_queued, 3);
	job_act_clear(&j);

	assert_int_equal(act_ids(f, ACT_RETRY, ids, 5, results, &j), 0);
	assert_memory_equal(results, ((uint8_t[]){ACT_UNCHANGED, ACT_DONE, ACT_DONE, ACT_IN_FLIGHT, ACT_UNKNOWN}), 5);
	assert_int_equal(j.lowest_queued, 2);
	job_act_clear(&j);
	assert_books_balance(f);
	r = refill(f, f->web, 0, 10, 100);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.rows[0].id, 2);
	assert_true(r.rows[0].no_expiry && r.rows[0].has_note);
	assert_int_equal(r.rows[0].attempts, 0);
	job_refill_clear(&r);

	assert_int_equal(act_ids(f, ACT_DROP, ids, 5, results, &j), 0);
	assert_memory_equal(results, ((uint8_t[]){ACT_DONE, ACT_DONE, ACT_DONE, ACT_IN_FLIGHT, ACT_UNKNOWN}), 5);
	job_act_clear(&j);
	assert_int_equal(f->st->counters.committed[STORED_DROPPED], 3);
	assert_int_equal(f->st->counters.committed[STORED_DELIVERED], 0);
	assert_int_equal(f->st->counters.rows, 1);
	assert_books_balance(f);
}

static void actions_by_filter_in_slices(void **state)
{
	struct fixture *f = *state;
	uint64_t changed = 0, from = 0;
	struct job_act j;
	int slices = 0;

	for (int i = 0; i < 20; i++)
		put(f, f->web, i % 2 ? "1.2" : "1.3", "refund");
	do {
		job_act_init(&j, ACT_DROP, no_done);
		j.filter.client = "1.2";
		j.from = from;
		j.max_examined = 7;
		assert_int_equal(run_write(f->st, &j.job), 0);
		changed += j.changed;
		from = j.next;
		slices++;
		bool end = j.end;
		job_act_clear(&j);
		if (end)
			break;
	} while (slices < 100);
	assert_int_equal(changed, 10);
	assert_int_equal(slices, 3);
	assert_int_equal(f->st->counters.rows, 10);
	assert_books_balance(f);
}

static bool file_holds(const char *path, const char *text)
{
	char *all;
	off_t size = file_size(path);
	bool found;
	int fd;

	if (size <= 0)
		return false;
	all = malloc((size_t)size);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, all, (size_t)size), size);
	close(fd);
	found = memmem(all, (size_t)size, text, strlen(text)) != NULL;
	free(all);
	return found;
}

static void erased_clients_are_gone_from_the_files(void **state)
{
	struct fixture *f = *state;
	const uint64_t ids[] = {1};
	uint8_t result;
	struct job_act j;
	char wal[128];

	put(f, f->web, "forget.me", "refund");
	put(f, f->web, "1.2", "refund");
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	assert_true(file_holds(wal, "forget.me"));
	assert_int_equal(act_ids(f, ACT_DROP, ids, 1, &result, &j), 0);
	job_act_clear(&j);
	run_maintenance(f, T0, clock_mono_us()); /* at once, without waiting for quiet */
	/* (Reading the open database from here drops SQLite's locks; nothing else opens it in this test.) */
	assert_false(file_holds(wal, "forget.me"));
	assert_false(file_holds(f->path, "forget.me"));
	assert_true(file_holds(f->path, "client_id"));
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), large_envelopes ? 1 : 0);
}

static void killed_with_an_emptied_wal_it_is_no_older_file(void **state)
{
	struct fixture *f = *state;
	uint64_t id = put(f, f->web, "forget.me", "refund");
	uint8_t result;
	struct job_act j;

	assert_int_equal(act_ids(f, ACT_DROP, &id, 1, &result, &j), 0);
	job_act_clear(&j);
	run_maintenance(f, T0, clock_mono_us());
	f->st->fatal = true; /* as killed */
	fixture_reopen(f);
	assert_true(f->st->unclean_start);
	assert_false(f->st->is_older);
	assert_in_range(put(f, f->web, "1.2", "refund"), id + 1, id + 10);
}

static void unused_envelopes_are_swept(void **state)
{
	struct fixture *f = *state;
	char client[32];
	uint64_t ids[300];

	for (int i = 0; i < 300; i++) {
		snprintf(client, sizeof(client), "%d.%d", i, i);
		ids[i] = put(f, f->web, client, "refund");
	}
	/* Too few have gone: not worth the look. */
	assert_int_equal(settle_at(f, ids, 100, SETTLE_DELIVERED, DEAD_NONE, false, T0), 0);
	run_maintenance(f, T0, clock_mono_us() + US_PER_MIN);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), 300);
	assert_int_equal(settle_at(f, ids + 100, 100, SETTLE_DELIVERED, DEAD_NONE, false, T0), 0);
	/* Not while it is busy. */
	run_maintenance(f, T0, clock_mono_us());
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), 300);
	/* One that is used again while the sweep looks stays. */
	assert_int_equal(store_maintenance(f->st, T0, clock_mono_us() + US_PER_MIN, true), 0);
	assert_int_equal(f->st->maintenance.gc, GC_MARK);
	while (f->st->maintenance.gc == GC_MARK)
		assert_int_equal(store_maintenance(f->st, T0, clock_mono_us() + US_PER_MIN, true), 0);
	put(f, f->web, "7.7", "again");
	run_maintenance(f, T0, clock_mono_us() + US_PER_MIN);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), 101);
	assert_books_balance(f);
	/* All gone: all swept, and numbers go on. */
	assert_int_equal(settle_at(f, ids + 200, 100, SETTLE_DELIVERED, DEAD_NONE, false, T0), 0);
	settle(f, 301, SETTLE_DELIVERED, DEAD_NONE);
	run_maintenance(f, T0, clock_mono_us() + US_PER_MIN);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM envelope"), 0);
	put(f, f->web, "7.7", "again");
	assert_books_balance(f);
}

static void old_events_expire(void **state)
{
	struct fixture *f = *state;
	struct job_expire j;
	struct job_put p;
	const uint64_t four = 4;
	struct job_act act;

	assert_int_equal(try_put(f, f->web, "1.2", "a", 6, NULL, T0, &p), 0); /* times T0 … T0-5 */
	settle(f, 4, SETTLE_DEAD, DEAD_REFUSED);
	job_act_init(&act, ACT_RETRY, no_done);
	act.ids = &four;
	act.n_ids = 1;
	assert_int_equal(run_write(f->st, &act.job), 0);
	job_act_clear(&act);
	job_expire_init(&j, no_done);
	j.expire_before_us = T0 - 1; /* 2 … 6 are that old */
	j.skew = (struct clock_skew){.base_us = 0, .epochs = {{2, -1000}, {3, 0}}, .n = 2};
	j.in_flight = malloc(sizeof(*j.in_flight));
	assert_non_null(j.in_flight);
	j.in_flight[j.n_in_flight++] = 3;
	j.dry_run = true;
	assert_int_equal(run_write(f->st, &j.job), 0);
	assert_int_equal(j.expired, 2);
	assert_int_equal(j.queued_seen, 6);
	assert_int_equal(count_of(f, f->web, STATE_DEAD), 0);
	j.dry_run = false;
	assert_int_equal(run_write(f->st, &j.job), 0);
	assert_int_equal(j.expired, 2);
	assert_int_equal(j.expired_ids[0], 5); /* 4 is exempt once */
	assert_int_equal(j.expired_ids[1], 6);
	assert_int_equal(j.expired_sids[1], f->web);
	assert_int_equal(j.oldest_time_us, T0 - 3); /* of those that stay */
	assert_true(j.end);
	job_expire_clear(&j);
	assert_int_equal(f->st->counters.committed[STORED_DEAD + DEAD_EXPIRED], 2);
	assert_books_balance(f);
	/* Slices: two rows at a time. */
	job_expire_init(&j, no_done);
	j.max_examined = 4;
	j.expire_before_us = T0 - 100;
	assert_int_equal(run_write(f->st, &j.job), 0);
	assert_false(j.end);
	assert_int_equal(j.next, 5);
	job_expire_clear(&j);
}

static void reject(struct fixture *f, size_t n, const char *text)
{
	struct job_reject *j = calloc(1, sizeof(*j) + n * sizeof(struct rejected_line));

	job_reject_init(j, no_done);
	j->n = n;
	for (size_t i = 0; i < n; i++)
		j->lines[i] = (struct rejected_line){.line = slice_of(text),
		                                     .code = CODE_NAME_RESERVED,
		                                     .field = "name",
		                                     .message = "no",
		                                     .wall_us = T0,
		                                     .uid = 7,
		                                     .pid = 8};
	assert_int_equal(run_write(f->st, &j->job), 0);
	free(j);
}

static void rejected_lines_are_kept(void **state)
{
	struct fixture *f = *state;
	struct job_list_rows j;

	put(f, f->web, "1.2", "refund");
	reject(f, 2, "{\"bad\"");
	assert_int_equal(put(f, f->web, "1.2", "refund"), 4); /* one sequence */
	job_show_init(&j, 2, no_done);
	assert_int_equal(run_read(f->st, &j.job), 0);
	assert_true(j.rows[0].is_rejected);
	assert_int_equal(j.rows[0].code, CODE_NAME_RESERVED);
	assert_int_equal(j.rows[0].uid, 7);
	assert_int_equal(j.rows[0].pid, 8);
	assert_true(slice_eq(j.rows[0].line, SLICE_LIT("{\"bad\"")));
	assert_true(slice_eq(j.rows[0].field, SLICE_LIT("name")));
	job_list_clear(&j);
	assert_list(f, (struct event_filter){.reason = -1, .rejected = true}, true, "3 2");
	/* Only the newest ten stay. */
	reject(f, 25, "x");
	assert_int_equal(f->st->counters.committed[STORED_REJECTED], 10);
	assert_books_balance(f);
	f->st->config.keep_rejected = 0;
	reject(f, 3, "x");
	assert_int_equal(f->st->counters.committed[STORED_REJECTED], 0);
	assert_books_balance(f);
}

static void streams_by_job(void **state)
{
	struct fixture *f = *state;
	struct job_stream j;

	job_stream_init(&j, SLICE_LIT("web"), no_done);
	assert_int_equal(run_write(f->st, &j.job), 0);
	assert_int_equal(j.sid, f->web);
	job_stream_init(&j, SLICE_LIT("third"), no_done);
	assert_int_equal(run_write(f->st, &j.job), 0);
	assert_int_equal(j.sid, 3);
}

static void backup_while_writing(void **state)
{
	struct fixture *f = *state;
	struct job_backup j;
	struct fixture copy = {.config = f->config};
	struct store_check check;
	struct job_put p;
	char other[128];
	int fd, r, steps = 0;

	for (int i = 0; i < 30; i++)
		assert_int_equal(try_put(f, f->web, "1.2", "refund", 1000, NULL, T0, &p), 0);
	snprintf(copy.path, sizeof(copy.path), "%s/copy.db", f->dir);
	copy.config.path = copy.path;
	fd = open(copy.path, O_RDWR | O_CREAT | O_EXCL, 0600);
	job_backup_init(&j, fd, no_done);
	do {
		r = run_read(f->st, &j.job);
		if (r == -EAGAIN && steps++ == 1)
			put(f, f->web, "1.2", "meanwhile");
	} while (r == -EAGAIN && steps < 1000);
	assert_int_equal(r, 0);
	assert_true(steps > 2);
	job_backup_clear(&j);
	close(fd);
	assert_null(f->st->backup);
	snprintf(other, sizeof(other), "%s.backup", f->path);
	assert_int_equal(access(other, F_OK), -1);
	assert_int_equal(fixture_open(&copy), 0);
	assert_int_equal(count_of(&copy, f->web, STATE_QUEUED), 30001);
	assert_books_balance(&copy);
	store_check(copy.st, &check);
	assert_true(check.sound);
	fixture_close(&copy);
	put(f, f->web, "1.2", "refund"); /* its own locks are still there */
	assert_books_balance(f);
}

static void backup_has_its_bounds(void **state)
{
	struct fixture *f = *state;
	struct job_backup a, b;
	char path[128];
	int fd, pipe_fds[2];

	put(f, f->web, "1.2", "refund");
	assert_int_equal(pipe(pipe_fds), 0);
	job_backup_init(&a, pipe_fds[1], no_done);
	assert_int_equal(run_read(f->st, &a.job), -EINVAL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	snprintf(path, sizeof(path), "%s/copy.db", f->dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	job_backup_init(&a, fd, no_done);
	assert_int_equal(run_read(f->st, &a.job), -EAGAIN);
	job_backup_init(&b, fd, no_done);
	assert_int_equal(run_read(f->st, &b.job), -EBUSY);
	/* Whose submitter went away: given up, and told so when it comes back. */
	store_end_abandoned_backup(f->st, clock_mono_us() + US_PER_H);
	assert_null(f->st->backup);
	assert_int_equal(run_read(f->st, &a.job), -ECANCELED);
	close(fd);
}

static void body_names(void **state UNUSED)
{
	struct slice name;

	assert_true(event_body_name(SLICE_LIT("{\"name\":\"a\"}"), &name));
	assert_true(slice_eq(name, SLICE_LIT("a")));
	assert_true(event_body_name(SLICE_LIT("{\"name\":\"a\\\"b\",\"params\":{}}"), &name));
	assert_true(slice_eq(name, SLICE_LIT("a\\\"b")));
	assert_true(event_body_name((struct slice){NULL, 0}, &name));
	assert_int_equal(name.n, 0);
	assert_false(event_body_name(SLICE_LIT("{\"name\":\"a"), &name));
	assert_false(event_body_name(SLICE_LIT("{\"name\":\"a\\\"}"), &name));
	assert_false(event_body_name(SLICE_LIT("{\"name\":1}"), &name));
	assert_false(event_body_name(SLICE_LIT("x"), &name));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_LARGE(name) cmocka_unit_test_setup_teardown(name, setup_large, teardown)
	const struct CMUnitTest tests[] = {
	        T(put_stores_what_it_was_given),
	        T(small_envelopes_lie_in_their_rows),
	        T_LARGE(envelopes_are_stored_once),
	        T_LARGE(equal_hashes_are_no_equal_envelopes),
	        T(cache_stays_bounded),
	        T(dedup_answers_the_first),
	        T(dedup_within_a_group),
	        T(dedup_keys_are_purged),
	        T(limits_refuse_and_let_go),
	        T(settles_of_all_kinds),
	        T(ten_tries_are_kept),
	        T(delivered_are_deleted_by_runs),
	        T(delivered_rows_are_counted_as_they_are),
	        T(kept_after_delivery),
	        T(dead_letters_are_purged),
	        T(refill_in_slices),
	        T(refill_buries_corrupt_rows),
	        T(lists_by_filter),
	        T(actions_by_ids),
	        T(actions_by_filter_in_slices),
	        T(erased_clients_are_gone_from_the_files),
	        T_LARGE(erased_clients_are_gone_from_the_files),
	        T(killed_with_an_emptied_wal_it_is_no_older_file),
	        T_LARGE(unused_envelopes_are_swept),
	        T(old_events_expire),
	        T(rejected_lines_are_kept),
	        T(streams_by_job),
	        T(backup_while_writing),
	        T(backup_has_its_bounds),
	        cmocka_unit_test(body_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
