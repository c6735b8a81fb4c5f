/* test_insert_batch.c - the rows of a group written by one statement: all of them, in order, in time, or none */
#include <sqlite3.h>

#include "store_fixture.h"

/* A group of puts, and among them what else a test puts into jobs. */
enum { PUTS = 8 };
struct group {
	struct submission *subs[PUTS];
	struct job_put puts[PUTS];
	struct job *jobs[PUTS + 1];
	size_t n_puts, n;
};

static void add_put(struct fixture *f, struct group *g, const char *client, const char *name, uint32_t events)
{
	struct job_put *j = &g->puts[g->n_puts];

	assert_true(g->n_puts < PUTS);
	g->subs[g->n_puts] = make_submission(f->web, client, name, events, NULL);
	job_put_init(j, g->subs[g->n_puts++], T0, no_done);
	g->jobs[g->n++] = &j->job;
}

static void run_group(struct fixture *f, struct group *g)
{
	store_group(f->st, g->jobs, g->n);
	for (size_t i = 0; i < g->n_puts; i++)
		submission_unref(g->subs[i]);
	assert_int_equal(f->st->db.batch.rows, 0); /* nothing points at them any more */
	assert_int_equal(f->st->db.batch.n, 0);
}

static void assert_results(const struct group *g, int result)
{
	for (size_t i = 0; i < g->n; i++)
		assert_int_equal(g->jobs[i]->result, result);
}

static void assert_rows(struct fixture *f, const char *expected)
{
	static const char sql[] =
	        "SELECT ifnull(group_concat(line, ' '), '') FROM (SELECT id || ':' || json_extract(envelope, "
	        "'$.client_id') ||"
	        " ifnull(json_extract(nullif(event.body, ''), '$.name'), '') || (time - 1700000000000000) AS line"
	        " FROM event"
	        " WHERE sid = 1 AND state = 0 AND props = 0 AND accepted = 1700000000000000 ORDER BY event.id)";
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(f->st->db.conn, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(f->st->db.conn));
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), expected);
	sqlite3_finalize(stmt);
}

static void rows_of_a_group_are_in_order(void **state)
{
	struct fixture *f = *state;
	struct group g = {.n = 0};

	add_put(f, &g, "a", "x", 1);
	add_put(f, &g, "b", "y", 3);
	add_put(f, &g, "a", "", 1);
	g.subs[2]->events[0].body.p = NULL;
	add_put(f, &g, "c", "z", 2);
	run_group(f, &g);
	assert_results(&g, 0);
	assert_int_equal(g.puts[1].first_id, 2);
	assert_int_equal(g.puts[3].first_id, 6);
	assert_rows(f, "1:ax0 2:by0 3:by-1 4:by-2 5:a0 6:cz0 7:cz-1");
	assert_books_balance(f);
}

static void every_size_is_written_whole(void **state)
{
	struct fixture *f = *state;

	/* One row is another statement; 25 events are a line's most. */
	for (uint32_t events = 1; events <= 25; events += 8) {
		struct group g = {.n = 0};

		for (size_t i = 0; i < PUTS; i++)
			add_put(f, &g, "a", "x", events);
		run_group(f, &g);
		assert_results(&g, 0);
	}
	assert_int_equal(f->st->counters.rows, PUTS * (1 + 9 + 17 + 25));
	assert_int_equal(sql_int(f, "SELECT max(id) FROM event"), f->st->counters.rows);
	assert_books_balance(f);
}

static void drop_by_filter_sees_what_was_put_before(void **state)
{
	struct fixture *f = *state;
	struct group g = {.n = 0};
	struct job_act drop;

	job_act_init(&drop, ACT_DROP, no_done);
	drop.filter.client = "a";
	drop.max_examined = 100;
	add_put(f, &g, "a", "x", 2);
	add_put(f, &g, "b", "y", 1);
	g.jobs[g.n++] = &drop.job;
	add_put(f, &g, "a", "z", 2);
	run_group(f, &g);
	assert_results(&g, 0);
	assert_int_equal(drop.changed, 2);
	job_act_clear(&drop);
	assert_rows(f, "3:by0 4:az0 5:az-1");
	assert_books_balance(f);
}

static int settle_after_put(struct fixture *f, enum settle_kind kind)
{
	struct group g = {.n = 0};
	struct job_settle *settle = calloc(1, sizeof(*settle) + 2 * sizeof(struct settle));
	int r;

	assert_non_null(settle);
	add_put(f, &g, "a", "x", 3);
	job_settle_init(settle, no_done);
	settle->n = 2;
	for (uint64_t i = 0; i < 2; i++)
		settle->events[i] = (struct settle){.id = (uint64_t)f->st->counters.now[STORED_NEXT_ID] + i,
		                                    .kind = kind,
		                                    .reason = kind == SETTLE_DEAD ? DEAD_EXPIRED : DEAD_NONE};
	g.jobs[g.n++] = &settle->job;
	run_group(f, &g);
	assert_int_equal(g.puts[0].job.result, 0);
	r = settle->job.result;
	free(settle);
	return r;
}

static void outcomes_find_what_was_put_before(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(settle_after_put(f, SETTLE_DELIVERED), 0);
	assert_rows(f, "3:ax-2");
	assert_int_equal(settle_after_put(f, SETTLE_DEAD), 0);
	assert_rows(f, "3:ax-2 6:ax-2");
	assert_int_equal(count_of(f, f->web, STATE_DEAD), 2);
	assert_int_equal(settle_after_put(f, SETTLE_FAILED), 0);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM note WHERE id IN (7, 8) AND attempts = 1"), 2);
	assert_books_balance(f);
}

/* The next ids are 1 to 4, which are free, and 5, which is not. */
static void make_fifth_id_taken(struct fixture *f)
{
	struct job_put j;

	assert_int_equal(try_put(f, f->web, "a", "old", 5, NULL, T0, &j), 0);
	for (uint64_t id = 1; id <= 4; id++)
		settle(f, id, SETTLE_DELIVERED, DEAD_NONE);
	f->st->counters.now[STORED_NEXT_ID] = 1;
}

/* drop_at: after so many puts. */
static void fail_with_a_drop_at(struct fixture *f, size_t drop_at)
{
	struct group g = {.n = 0};
	struct job_put next;
	struct job_act drop;

	make_fifth_id_taken(f);
	job_act_init(&drop, ACT_DROP, no_done);
	drop.filter.client = "b";
	drop.max_examined = 100;
	for (size_t i = 0; i < 3; i++) {
		if (i == drop_at)
			g.jobs[g.n++] = &drop.job;
		add_put(f, &g, "b", "new", 3);
	}
	run_group(f, &g);
	assert_results(&g, -EIO);
	assert_int_equal(f->st->db.trouble, TROUBLE_FAILED);
	assert_false(f->st->fatal);
	job_act_clear(&drop);
	assert_rows(f, "5:aold-4");
	assert_books_balance(f);
	/* And the next one goes on as if nothing had been. */
	assert_int_equal(try_put(f, f->web, "c", "next", 3, NULL, T0, &next), 0);
	assert_true(next.first_id > 5);
	assert_int_equal(f->st->counters.rows, 4);
	assert_books_balance(f);
}

static void row_that_fails_before_another_job_fails_all(void **state)
{
	fail_with_a_drop_at(*state, 2);
}

static void row_that_fails_at_the_end_fails_all(void **state)
{
	fail_with_a_drop_at(*state, 1);
}

static int run_without_memory(struct store *st, struct job *job UNUSED)
{
	return db_fail(&st->db, "out of memory");
}

static void what_was_gathered_goes_with_the_group(void **state)
{
	static const struct job_class class = {
	        .name = "failing", .kind = JOB_WRITE, .blind = true, .run = run_without_memory};
	struct fixture *f = *state;
	struct group g = {.n = 0};
	struct job failing = {.class = &class};

	add_put(f, &g, "a", "x", 2);
	g.jobs[g.n++] = &failing;
	run_group(f, &g);
	assert_results(&g, -EIO);
	put(f, f->web, "b", "next");
	assert_int_equal(f->st->counters.rows, 1);
	assert_books_balance(f);
}

/* A real table of that name goes before ours: what is answered ok would not be there. */
static void table_of_that_name_is_no_ok(void **state)
{
	struct fixture *f = *state;
	struct group g = {.n = 0};
	struct err err;

	assert_int_equal(db_exec(&f->st->db,
	                         "CREATE TABLE insert_batch(id, sid, envelope, accepted, time, props, body)", &err),
	                 0);
	add_put(f, &g, "a", "x", 1);
	add_put(f, &g, "b", "y", 1);
	run_group(f, &g);
	assert_results(&g, -EIO);
	assert_int_equal(f->st->counters.rows, 0);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM event"), 0);
}

static void list_is_kept_from_group_to_group(void **state)
{
	struct fixture *f = *state;
	const struct insert_batch_entry *entries;

	for (int i = 0; i < 2; i++) {
		struct group g = {.n = 0};

		entries = f->st->db.batch.entries;
		for (size_t k = 0; k < PUTS; k++)
			add_put(f, &g, "a", "x", 25);
		run_group(f, &g);
		assert_results(&g, 0);
	}
	assert_non_null(entries);
	assert_ptr_equal(f->st->db.batch.entries, entries);
}

/* The list grows as a group does; the table can be read again, and its rows are called by their ids. */
static void table_is_what_was_added(void **state)
{
	struct fixture *f = *state;
	struct submission *sub = make_submission(f->web, "a", "x", 2, NULL);

	assert_int_equal(sql_int(f, "SELECT count(*) FROM insert_batch"), 0);
	sub->first_id = 7;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(insert_batch_add(&f->st->db.batch, sub, i + 1), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sql_int(f, "SELECT sum(envelope) FROM insert_batch WHERE id = 8 AND rowid = 8"),
		                 1000 * 1001 / 2);
	insert_batch_clear(&f->st->db.batch);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM insert_batch"), 0);
	submission_unref(sub);
}

/* Rows go from the list to their pages: through no table of SQLite's own, and without its keeping what the pages were
 * (as it does when the statement alone could be undone: action 2, OE_Abort). */
static void statement_gathers_nothing_itself(void **state)
{
	struct fixture *f = *state;
	char sql[512];
	sqlite3_stmt *stmt = NULL;
	int inserts = 0;

	snprintf(sql, sizeof(sql), "EXPLAIN %s", sqlite3_sql(f->st->db.stmts[SQL_PUT_EVENTS]));
	assert_int_equal(sqlite3_prepare_v2(f->st->db.conn, sql, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		const char *op = (const char *)sqlite3_column_text(stmt, 1);

		assert_null(strstr(op, "Ephemeral"));
		assert_null(strstr(op, "Sorter"));
		assert_null(strstr(op, "Autoindex"));
		if (strcmp(op, "HaltIfNull") == 0 || (strcmp(op, "Halt") == 0 && sqlite3_column_int(stmt, 2) != 0))
			assert_int_not_equal(sqlite3_column_int(stmt, 3), 2);
		inserts += strcmp(op, "Insert") == 0;
	}
	sqlite3_finalize(stmt);
	assert_int_equal(inserts, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(rows_of_a_group_are_in_order),
	        T(every_size_is_written_whole),
	        T(drop_by_filter_sees_what_was_put_before),
	        T(outcomes_find_what_was_put_before),
	        T(row_that_fails_before_another_job_fails_all),
	        T(row_that_fails_at_the_end_fails_all),
	        T(what_was_gathered_goes_with_the_group),
	        T(table_of_that_name_is_no_ok),
	        T(list_is_kept_from_group_to_group),
	        T(table_is_what_was_added),
	        T(statement_gathers_nothing_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
