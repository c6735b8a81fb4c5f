/* test_intake.c - from a client's line to the outbox and back, with a writer that works when it is told to */
#include "listener_fixture.h"

#include "conf/conf.h"
#include "intake/intake.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/store.h"
#include "outbox/writer.h"

/* What every event should have: without it there are warnings. */
#define PARAMS "\"params\":{\"session_id\":\"1\",\"engagement_time_msec\":1}"
#define GOOD "{\"client_id\":\"1.2\",\"name\":\"a\"," PARAMS "}\n"
#define KEYED "{\"client_id\":\"1.2\",\"name\":\"x\",\"dedup_key\":\"k\"," PARAMS "}\n"
#define TWO "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\"," PARAMS "},{\"name\":\"b\"," PARAMS "}]}\n"
#define WARNED "{\"client_id\":\"1.2\",\"name\":\"a\"}\n"

static const char conf_text[] =
        "streams = ( { name = \"web\"; measurement_id = \"G-ABC1234567\"; api_secret = \"s\"; } );\n"
        "default_stream = \"web\";\n";

struct intake_fixture {
	struct fixture f; /* its listener is the intake's own */
	struct conf *conf;
	struct streams streams;
	struct store_config store;
	struct writer *writer;
	struct counters counters;
	struct tap tap;
	struct tap_follower follower;
	enum phase phase;
	struct intake *in;
	uint64_t keep_rejected;
	bool writer_works, submits;
	size_t committed, tapped, done_calls;
	enum code done_code;
	uint64_t done_id;
	char db[128], remarks[512];
};

static void intake_tail(void *arg)
{
	struct intake_fixture *x = arg;
	struct now now;

	clock_now(&now);
	if (!x->in)
		return;
	if (x->submits)
		intake_submit(x->in, &now);
	if (x->writer_works)
		writer_run_inline(x->writer);
	writer_reap(x->writer, INT64_MAX);
	intake_flush(x->in);
}

static void on_committed(void *arg, struct submission *sub)
{
	struct intake_fixture *x = arg;

	assert_true(sub->first_id > 0);
	x->committed += sub->n_events;
}

static void on_tapped(void *arg, const struct tap_event *e)
{
	struct intake_fixture *x = arg;

	assert_int_equal(e->what, TAP_ACCEPTED);
	assert_int_equal(e->id, e->sub->first_id + e->index);
	x->tapped++;
}

static void on_tapped_line(void *arg, const struct tap_line *l)
{
	struct intake_fixture *x = arg;
	size_t n = strlen(x->remarks);

	assert_int_equal(l->sub == NULL, l->refusal != NULL);
	snprintf(x->remarks + n, sizeof(x->remarks) - n, "%.30s %.*s %.*s;",
	         l->refusal        ? code_name(l->refusal->code)
	         : l->is_duplicate ? "duplicate"
	                           : "ok",
	         SLICE_ARG(l->line), l->warnings_json.n ? 12 : 0, l->warnings_json.n ? l->warnings_json.p : "");
}

static void follow(struct intake_fixture *x, bool events, bool lines)
{
	x->follower = (struct tap_follower){
	        .on_event = events ? on_tapped : NULL, .on_line = lines ? on_tapped_line : NULL, .arg = x};
	tap_follow(&x->tap, &x->follower);
	tap_follow(&x->tap, &x->follower);
}

static void open_ingest(struct intake_fixture *x)
{
	struct store *st;
	struct err err = {""};
	uint32_t sid;

	if (store_open(&st, &x->store, clock_wall_us(), &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_stream_id(st, SLICE_LIT("web"), &sid, &err), 0);
	assert_int_equal(writer_start(&x->writer, st, true, &err), 0);
	assert_int_equal(streams_init(&x->streams, x->conf, &sid), 0);
	const struct intake_context context = {.loop = x->f.loop,
	                                       .writer = x->writer,
	                                       .counters = &x->counters,
	                                       .tap = &x->tap,
	                                       .phase = &x->phase,
	                                       .on_committed = on_committed,
	                                       .arg = x};
	if (intake_new(&x->in, &context, &x->f.config, &x->streams, x->keep_rejected, &err) < 0)
		fail_msg("%s", err.text);
}

static int setup_ingest(void **state)
{
	struct intake_fixture *x = calloc(1, sizeof(*x));
	struct fixture *f;
	struct err err = {""};
	void *made;

	assert_int_equal(setup(&made), 0);
	f = made;
	x->f = *f;
	x->f.config.path = x->f.path;
	free(f);
	loop_set_tail(x->f.loop, intake_tail, x);
	if (conf_parse(&x->conf, conf_text, "test.conf", &err) < 0)
		fail_msg("%s", err.text);
	snprintf(x->db, sizeof(x->db), "%s/outbox.db", x->f.dir);
	x->store = (struct store_config){.path = x->db,
	                                 .sync_full = true,
	                                 .max_events = 1000000,
	                                 .max_bytes = UINT64_C(1) << 32,
	                                 .dedup_window_us = US_PER_DAY,
	                                 .keep_dead_us = US_PER_DAY,
	                                 .keep_rejected = 1000};
	x->keep_rejected = 1000;
	x->writer_works = x->submits = true;
	counters_init(&x->counters);
	*state = x;
	return 0;
}

static int setup_running(void **state)
{
	setup_ingest(state);
	open_ingest(*state);
	return 0;
}

static int teardown_ingest(void **state)
{
	struct intake_fixture *x = *state;
	char command[160];

	writer_stop(x->writer);
	intake_free(x->in);
	streams_free(&x->streams);
	conf_free(x->conf);
	loop_free(x->f.loop);
	snprintf(command, sizeof(command), "rm -rf %s", x->f.dir);
	assert_int_equal(system(command), 0);
	free(x);
	return 0;
}

/* Turns until so many lines have come; they are NUL-terminated in text. */
static void read_lines(struct intake_fixture *x, int fd, size_t lines, char *text, size_t size)
{
	size_t n = 0, have = 0;
	int64_t end_us = real_us() + 10 * US_PER_S;

	while (have < lines) {
		ssize_t r = get(fd, text + n, size - 1 - n);
		assert_true(r >= 0);
		for (ssize_t i = 0; i < r; i++)
			have += text[n + (size_t)i] == '\n';
		n += (size_t)r;
		assert_true(real_us() < end_us);
		turn(&x->f);
	}
	text[n] = '\0';
}

static uint64_t rejected_kept(struct intake_fixture *x)
{
	struct writer_stats stats;

	writer_get_stats(x->writer, &stats);
	return stats.store.rejected;
}

static void ok_comes_after_the_commit(void **state)
{
	struct intake_fixture *x = *state;
	char text[256];
	int fd = client(&x->f);

	x->writer_works = false;
	puts_to(&x->f, fd, GOOD);
	settle(&x->f);
	assert_int_equal(get(fd, text, sizeof(text)), 0);
	assert_int_equal(x->committed, 0);
	x->writer_works = true;
	read_lines(x, fd, 1, text, sizeof(text));
	assert_string_equal(text, "{\"ok\":true,\"id\":1,\"count\":1}\n");
	assert_int_equal(x->committed, 1);
	assert_int_equal(x->counters.by_sid[x->streams.rules[0].sid].accepted, 1);
	close(fd);
}

static const char *nth_line(const char *text, size_t i)
{
	while (i-- > 0)
		text = strchr(text, '\n') + 1;
	return text;
}

static void expect_reply(const char *text, size_t i, const char *begins)
{
	const char *line = nth_line(text, i);

	if (strncmp(line, begins, strlen(begins)) != 0)
		fail_msg("reply %zu is %.120s, not %s", i, line, begins);
}

static void replies_keep_the_order_of_the_lines(void **state)
{
	struct intake_fixture *x = *state;
	static char long_line[70001], text[8192];
	int fd = client(&x->f);

	memset(long_line, 'x', sizeof(long_line) - 1);
	x->writer_works = false;
	puts_to(&x->f, fd, "bad\n" GOOD "bad\n\n" TWO);
	puts_to(&x->f, fd, long_line);
	puts_to(&x->f, fd, "\nbad\n" GOOD);
	settle(&x->f);
	read_lines(x, fd, 1, text, sizeof(text)); /* before the first put nothing needs to wait */
	expect_reply(text, 0, "{\"ok\":false,\"code\":\"JSON_INVALID\"");
	settle(&x->f);
	assert_int_equal(get(fd, text, sizeof(text)), 0);
	x->writer_works = true;
	read_lines(x, fd, 6, text, sizeof(text));
	expect_reply(text, 0, "{\"ok\":true,\"id\":1,\"count\":1}");
	expect_reply(text, 1, "{\"ok\":false,\"code\":\"JSON_INVALID\"");
	expect_reply(text, 2, "{\"ok\":true,\"id\":2,\"count\":2}");
	expect_reply(text, 3, "{\"ok\":false,\"code\":\"LINE_TOO_LONG\"");
	expect_reply(text, 4, "{\"ok\":false,\"code\":\"JSON_INVALID\"");
	expect_reply(text, 5, "{\"ok\":true,\"id\":"); /* what is kept of refused lines has ids, too */
	assert_int_equal(x->counters.rejected[CODE_JSON_INVALID], 3);
	assert_int_equal(x->counters.rejected[CODE_LINE_TOO_LONG], 1);
	UNTIL(&x->f, rejected_kept(x) == 4);
	close(fd);
}

static void connections_do_not_wait_for_each_other(void **state)
{
	struct intake_fixture *x = *state;
	char text[2048];
	int a = client(&x->f), b = client(&x->f);

	x->writer_works = false;
	puts_to(&x->f, a, GOOD);
	settle(&x->f);
	puts_to(&x->f, b, "bad\n");
	read_lines(x, b, 1, text, sizeof(text));
	expect_reply(text, 0, "{\"ok\":false");
	x->writer_works = true;
	read_lines(x, a, 1, text, sizeof(text));
	close(a);
	close(b);
}

static void warnings_come_with_the_ok(void **state)
{
	struct intake_fixture *x = *state;
	char text[4096];
	int fd = client(&x->f);

	puts_to(&x->f, fd, WARNED GOOD);
	read_lines(x, fd, 2, text, sizeof(text));
	expect_reply(text, 0, "{\"ok\":true,\"id\":1,\"count\":1,\"warnings\":[{\"code\":\"VALUE_REQUIRED\"");
	expect_reply(text, 1, "{\"ok\":true,\"id\":2,\"count\":1}\n");
	assert_true(x->counters.warnings[CODE_VALUE_REQUIRED] > 0);
	close(fd);
}

static void a_duplicate_gets_the_first_ones_id(void **state)
{
	struct intake_fixture *x = *state;
	char text[2048];
	int fd = client(&x->f);

	puts_to(&x->f, fd, KEYED KEYED);
	read_lines(x, fd, 2, text, sizeof(text));
	assert_non_null(strstr(text, "{\"ok\":true,\"id\":1,\"count\":1"));
	expect_reply(text, 1, "{\"ok\":true,\"id\":1,\"count\":1,\"duplicate\":true");
	assert_int_equal(x->committed, 1);
	assert_int_equal(x->counters.duplicates, 1);
	close(fd);
}

static void a_full_outbox_is_a_reply(void **state)
{
	struct intake_fixture *x = *state;
	char text[4096];
	int fd;

	x->store.max_events = 1;
	open_ingest(x);
	fd = client(&x->f);
	puts_to(&x->f, fd, GOOD);
	read_lines(x, fd, 1, text, sizeof(text));
	puts_to(&x->f, fd, GOOD "bad\n");
	read_lines(x, fd, 2, text, sizeof(text));
	expect_reply(text, 0, "{\"ok\":false,\"code\":\"QUEUE_FULL\"");
	assert_non_null(strstr(text, "\"retry\":true"));
	expect_reply(text, 1, "{\"ok\":false,\"code\":\"JSON_INVALID\"");
	assert_int_equal(x->counters.rejected[CODE_QUEUE_FULL], 1);
	assert_int_equal(x->committed, 1);
	close(fd);
}

static void pressure_stops_reading(void **state)
{
	struct intake_fixture *x = *state;
	enum { CLIENTS = 8, LINES = 3000 };
	static char text[LINES * sizeof(GOOD)], replies[LINES * 64];
	struct intake_stats stats;
	int fds[CLIENTS], clients = 0;
	int64_t give_up_us;
	size_t n = 0;

	for (int i = 0; i < LINES; i++)
		n += (size_t)sprintf(text + n, "%s", GOOD);
	x->writer_works = false;
	give_up_us = real_us() + 60 * US_PER_S;
	for (stats.paused = false; clients < CLIENTS && !stats.paused; clients++) {
		fds[clients] = client(&x->f);
		for (size_t done = 0; done < n && !stats.paused && real_us() < give_up_us;) {
			ssize_t r = send(fds[clients], text + done, n - done, MSG_NOSIGNAL);

			done += r > 0 ? (size_t)r : 0;
			settle(&x->f);
			intake_get_stats(x->in, &stats);
		}
	}
	UNTIL(&x->f, (intake_get_stats(x->in, &stats), stats.paused));
	assert_in_range(writer_pending(x->writer), 16384, 16384 + 2048);
	x->writer_works = true;
	UNTIL(&x->f, (intake_get_stats(x->in, &stats), !stats.paused));
	read_lines(x, fds[0], LINES, replies, sizeof(replies));
	assert_null(strstr(replies, "false"));
	for (int i = 0; i < clients; i++)
		close(fds[i]);
}

static void a_refusal_that_nobody_reads_is_counted_and_kept(void **state)
{
	struct intake_fixture *x = *state;
	int fd = client(&x->f);

	puts_to(&x->f, fd, GOOD "bad\n");
	close(fd);
	UNTIL(&x->f, x->committed == 1 && rejected_kept(x) == 1);
	settle(&x->f);
	assert_int_equal(x->counters.rejected_unseen, 1);
	assert_int_equal(x->counters.replies_unsent, 2);
}

struct kept {
	bool done;
	size_t n;
	char last[64];
	enum code code;
	uint32_t uid;
	size_t bytes;
};
static struct kept kept;

static void on_list(struct job *job)
{
	struct job_list_rows *j = CONTAINER_OF(job, struct job_list_rows, job);

	assert_int_equal(job->result, 0);
	kept.n = j->n;
	for (size_t i = 0; i < j->n; i++) {
		const struct event_row *row = &j->rows[i];
		snprintf(kept.last, sizeof(kept.last), "%.*s", row->line.n > 40 ? 40 : (int)row->line.n, row->line.p);
		kept.code = row->code;
		kept.uid = row->uid;
		kept.bytes = row->line.n;
	}
	kept.done = true;
	job_list_clear(j);
}

static void the_newest_refused_lines_are_kept(void **state)
{
	struct intake_fixture *x = *state;
	static char text[64 * 1024];
	static struct job_list_rows list;
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
	size_t n = 0;
	int fd;

	x->keep_rejected = x->store.keep_rejected = 5;
	open_ingest(x);
	fd = client(&x->f);
	for (int i = 0; i < 1000; i++)
		n += (size_t)sprintf(text + n, "bad %d\n", i);
	put(&x->f, fd, text, n);
	memset(text, 'y', 20000);
	text[20000] = '\n';
	put(&x->f, fd, text, 20001);
	UNTIL(&x->f, x->counters.rejected[CODE_JSON_INVALID] == 1001);
	x->phase = PHASE_DRAINING;
	intake_drain(x->in);
	close(fd);
	UNTIL(&x->f, intake_drained(x->in));
	assert_int_equal(rejected_kept(x), 5);
	job_list_init(&list, on_list);
	list.filter.rejected = list.want_body = true;
	list.max_rows = list.max_examined = 100;
	STAILQ_INSERT_TAIL(&jobs, &list.job, link);
	kept = (struct kept){0};
	writer_submit(x->writer, &jobs);
	UNTIL(&x->f, kept.done);
	assert_int_equal(kept.n, 5);
	assert_memory_equal(kept.last, "yyyy", 4);
	assert_int_equal(kept.bytes, 8192);
	assert_int_equal(kept.code, CODE_JSON_INVALID);
	assert_int_equal(kept.uid, getuid());
}

static void on_done(void *arg, const struct finding *refusal, uint64_t id, uint32_t count)
{
	struct intake_fixture *x = arg;

	x->done_calls++;
	x->done_code = refusal ? refusal->code : CODE_NONE;
	x->done_id = refusal ? 0 : id + count;
}

static const struct peer web = {.uid = (uid_t)-1, .gid = (gid_t)-1, .address = "127.0.0.1"};

static void payloads_from_elsewhere(void **state)
{
	struct intake_fixture *x = *state;
	struct slice two = {TWO, sizeof(TWO) - 2};

	x->writer_works = false;
	assert_int_equal(intake_payload(x->in, two, 0, &web, on_done, x), 0);
	settle(&x->f);
	assert_int_equal(x->done_calls, 0);
	x->writer_works = true;
	UNTIL(&x->f, x->done_calls == 1);
	assert_int_equal(x->done_code, CODE_NONE);
	assert_int_equal(x->done_id, 1 + 2);
	assert_int_equal(intake_payload(x->in, SLICE_LIT("bad"), 0, &web, on_done, x), 0);
	assert_int_equal(x->done_calls, 2);
	assert_int_equal(x->done_code, CODE_JSON_INVALID);
	x->phase = PHASE_DRAINING;
	intake_drain(x->in);
	assert_int_equal(intake_payload(x->in, two, 0, &web, on_done, x), 0);
	assert_int_equal(x->done_code, CODE_SHUTTING_DOWN);
}

static void judging_stores_nothing(void **state)
{
	struct intake_fixture *x = *state;
	struct line_result result;

	assert_int_equal(intake_judge(x->in, (struct slice){TWO, sizeof(TWO) - 2}, &result), 0);
	assert_non_null(result.sub);
	assert_int_equal(result.sub->n_events, 2);
	assert_int_equal(intake_judge(x->in, SLICE_LIT("bad"), &result), 0);
	assert_null(result.sub);
	settle(&x->f);
	assert_int_equal(x->committed, 0);
	assert_int_equal(x->counters.rejected[CODE_JSON_INVALID], 0);
}

static void drain_stores_and_answers_everything(void **state)
{
	struct intake_fixture *x = *state;
	char text[4096];
	int gone = client(&x->f), cut = client(&x->f), last = client(&x->f);

	puts_to(&x->f, gone, GOOD GOOD);
	close(gone);
	puts_to(&x->f, cut, GOOD "{\"client_id\":\"1.2\",\"na");
	put(&x->f, last, GOOD, sizeof(GOOD) - 2); /* whole but for its LF */
	x->writer_works = false;
	x->phase = PHASE_DRAINING;
	intake_drain(x->in);
	settle(&x->f);
	assert_false(intake_drained(x->in));
	x->writer_works = true;
	read_lines(x, cut, 2, text, sizeof(text));
	expect_reply(text, 0, "{\"ok\":true");
	expect_reply(text, 1, "{\"ok\":false,\"code\":\"SHUTTING_DOWN\"");
	assert_non_null(strstr(text, "\"retry\":true"));
	UNTIL(&x->f, intake_drained(x->in));
	assert_int_equal(x->committed, 4);
	read_lines(x, last, 1, text, sizeof(text));
	expect_reply(text, 0, "{\"ok\":true");
	close(cut);
	close(last);
}

static void stopping_at_once_says_so(void **state)
{
	struct intake_fixture *x = *state;
	char text[1024];
	int fd = client(&x->f);

	x->submits = false;
	puts_to(&x->f, fd, GOOD);
	settle(&x->f);
	x->writer = writer_stop(x->writer);
	x->in = intake_free(x->in);
	read_lines(x, fd, 1, text, sizeof(text));
	expect_reply(text, 0, "{\"ok\":false,\"code\":\"SHUTTING_DOWN\"");
	close(fd);
}

static void who_taps_sees_each_event(void **state)
{
	struct intake_fixture *x = *state;
	char text[256];
	int fd = client(&x->f);

	follow(x, true, false);
	puts_to(&x->f, fd, GOOD TWO);
	read_lines(x, fd, 2, text, sizeof(text));
	assert_int_equal(x->tapped, 3);
	tap_unfollow(&x->tap, &x->follower);
	tap_unfollow(&x->tap, &x->follower);
	assert_false(tap_wanted(&x->tap));
	puts_to(&x->f, fd, GOOD);
	read_lines(x, fd, 1, text, sizeof(text));
	assert_int_equal(x->tapped, 3);
	close(fd);
}

static void who_taps_lines_sees_what_became_of_each(void **state)
{
	struct intake_fixture *x = *state;
	char text[2048];
	int fd = client(&x->f);

	follow(x, false, true);
	puts_to(&x->f, fd, WARNED);
	read_lines(x, fd, 1, text, sizeof(text));
	puts_to(&x->f, fd, "[1]\n");
	read_lines(x, fd, 1, text, sizeof(text));
	assert_string_equal(x->remarks,
	                    "ok {\"client_id\":\"1.2\",\"name\":\"a\"} ,\"warnings\":;JSON_INVALID [1] ;");
	x->remarks[0] = '\0';
	puts_to(&x->f, fd, KEYED KEYED);
	read_lines(x, fd, 2, text, sizeof(text));
	assert_int_equal(strncmp(x->remarks, "ok {\"client_id\":\"1.2\",\"name\":\"x\",\"dedup_key\"", 44), 0);
	assert_non_null(strstr(x->remarks, ";duplicate {\"client_id\":\"1.2\",\"name\":\"x\",\"dedup_key\""));
	close(fd);
}

static void a_constant_client_is_noticed(void **state)
{
	struct intake_fixture *x = *state;
	struct intake_stats stats;
	static char text[400 * 128], replies[400 * 128];
	size_t n = 0;
	int fd = client(&x->f);

	for (int i = 0; i < 400; i++)
		n += (size_t)sprintf(text + n, "{\"client_id\":\"%d.2\",\"name\":\"x\"," PARAMS "}\n", i % 4 ? 7 : i);
	put(&x->f, fd, text, n);
	read_lines(x, fd, 400, replies, sizeof(replies));
	intake_get_stats(x->in, &stats);
	assert_in_range(stats.top_client_share[0], 300, 310); /* the sketch may err upwards, a little */
	assert_int_equal(stats.top_client_share[1], 400);
	close(fd);
}

int main(void)
{
#define RUNNING(test) cmocka_unit_test_setup_teardown(test, setup_running, teardown_ingest)
	const struct CMUnitTest tests[] = {
	        RUNNING(ok_comes_after_the_commit),
	        RUNNING(replies_keep_the_order_of_the_lines),
	        RUNNING(connections_do_not_wait_for_each_other),
	        RUNNING(warnings_come_with_the_ok),
	        RUNNING(a_duplicate_gets_the_first_ones_id),
	        cmocka_unit_test_setup_teardown(a_full_outbox_is_a_reply, setup_ingest, teardown_ingest),
	        RUNNING(pressure_stops_reading),
	        RUNNING(a_refusal_that_nobody_reads_is_counted_and_kept),
	        cmocka_unit_test_setup_teardown(the_newest_refused_lines_are_kept, setup_ingest, teardown_ingest),
	        RUNNING(payloads_from_elsewhere),
	        RUNNING(judging_stores_nothing),
	        RUNNING(drain_stores_and_answers_everything),
	        RUNNING(stopping_at_once_says_so),
	        RUNNING(who_taps_sees_each_event),
	        RUNNING(who_taps_lines_sees_what_became_of_each),
	        RUNNING(a_constant_client_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
