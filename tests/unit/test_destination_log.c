/* test_destination_log.c - what the log says of a destination: outages of hours, rate limits, failures by chance */
#include "delivery_fixture.h"

#include <unistd.h>

static struct world w;
static FILE *out;
static int stderr_fd;
static char text[1 << 20];

static void begin_streams(unsigned n, void (*answer)(struct world *, struct http_request *))
{
	world_init(&w, n);
	w.answer = answer;
	world_start(&w);
	out = tmpfile();
	stderr_fd = dup(STDERR_FILENO);
	assert_non_null(out);
	log_init(LOG_LEVEL_INFO, false);
	assert_true(dup2(fileno(out), STDERR_FILENO) >= 0);
}

static void begin(void (*answer)(struct world *, struct http_request *))
{
	begin_streams(1, answer);
}

static void end(void)
{
	assert_true(dup2(stderr_fd, STDERR_FILENO) >= 0);
	close(stderr_fd);
	rewind(out);
	text[fread(text, 1, sizeof(text) - 1, out)] = '\0';
	fclose(out);
	world_end(&w);
}

static unsigned lines(const char *part)
{
	unsigned n = 0;
	for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
		n++;
	return n;
}

static void says(struct world *world_ UNUSED, struct http_request *r)
{
	r->attempt.status = w.rows[0].kind;
}

static void an_outage_of_hours_is_recalled_every_ten_minutes(void **state UNUSED)
{
	begin(says);
	for (unsigned i = 0; i < 100; i++)
		world_put(&w, 1, i, 0, 0);
	w.rows[0].kind = 503;
	world_run(&w, 3 * US_PER_H + US_PER_MIN);
	w.rows[0].kind = 204;
	world_run(&w, 20 * US_PER_MIN);
	end();
	assert_int_equal(lines("destination one: status 503, next try in"), 1);
	assert_int_equal(lines("warning: destination one: down for "), 18);
	assert_int_equal(lines("down for 1h, status 503, next try in "), 1);
	assert_int_equal(lines("100 waiting, the oldest event is 1h old, the first expires in 71h"), 1);
	assert_int_equal(lines("back after 18"), 1); /* minutes */
	assert_int_equal(lines("\n"), 20);
}

static void a_wrong_destination_is_recalled_as_an_error(void **state UNUSED)
{
	begin(says);
	world_put(&w, 1, 1, 0, 0);
	w.rows[0].kind = 404;
	world_run(&w, 21 * US_PER_MIN);
	end();
	assert_int_equal(lines("error: destination one: status 404, the endpoint, the credentials"), 1);
	assert_int_equal(lines("error: destination one: down for "), 2);
}

static void the_last_call_comes_an_hour_before_the_first_expiry(void **state UNUSED)
{
	begin(says);
	world_put(&w, 1, 1, 0, 0);
	w.rows[0].kind = 503;
	world_run(&w, 71 * US_PER_H - 3 * US_PER_MIN);
	unsigned before = 6 * 71 - 1;
	world_run(&w, 4 * US_PER_MIN);
	end();
	assert_in_range(lines("down for "), before, before + 1);
	assert_int_equal(lines("the first expires in 1h"), 1);
}

/* The other stream's events are older; its operator knows. */
static void each_stream_is_recalled_with_its_own_expiry(void **state UNUSED)
{
	begin_streams(2, says);
	delivery_pause(w.d, 2, true);
	world_put(&w, 2, 1, 0, 0);
	w.rows[0].kind = 503;
	world_run(&w, 10 * US_PER_H);
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, 11 * US_PER_MIN);
	end();
	assert_int_equal(lines("destination one: down for 10m, status 503, next try in "), 1);
	assert_int_equal(lines("1 waiting, the oldest event is 10m old, the first expires in 3d"), 1);
}

/* More of it is in the outbox than in memory: another stream's may be named, but never a later time. */
static void an_expiry_that_is_not_in_memory_is_not_told_too_late(void **state UNUSED)
{
	begin_streams(2, says);
	delivery_pause(w.d, 2, true);
	world_put(&w, 2, 1, 0, 0);
	w.rows[0].kind = 503;
	world_run(&w, 10 * US_PER_H);
	world_put(&w, 1, 1, 0, 0);
	w.queued[1] += 5;
	world_run(&w, 11 * US_PER_MIN);
	w.queued[1] -= 5;
	end();
	assert_int_equal(lines("the oldest event is 10m old, the first expires in 62h"), 1);
}

static void a_paused_stream_is_not_recalled(void **state UNUSED)
{
	begin(says);
	world_put(&w, 1, 1, 0, 0);
	w.rows[0].kind = 503;
	world_run(&w, US_PER_MIN);
	delivery_pause(w.d, 1, true);
	world_run(&w, US_PER_H);
	end();
	assert_int_equal(lines("down for "), 0);
}

/* Every second of it is one of waiting; what is in flight meanwhile succeeds. */
static void limits_the_rate(struct world *world_, struct http_request *r)
{
	r->done_us = world_->now.mono_us + 200 * US_PER_MS;
	if (r->order % 2)
		return;
	r->done_us = world_->now.mono_us + 50 * US_PER_MS;
	r->attempt.status = 429;
	r->attempt.retry_after_us = US_PER_S;
}

static void a_rate_limit_is_not_logged_each_second(void **state UNUSED)
{
	begin(limits_the_rate);
	for (unsigned i = 0; i < 400; i++)
		world_put(&w, 1, i, 0, 0);
	world_run(&w, 400 * US_PER_MS);
	struct delivery_status st;
	delivery_get_status(w.d, &w.now, &st);
	assert_int_equal(st.streams[0].state, DESTINATION_BACKING_OFF);
	assert_string_equal(st.streams[0].last_error, "status 429"); /* though a 204 came since */
	assert_true(w.rows[0].counted == 1 && st.streams[0].down_since_wall_us > 0);
	world_run(&w, 10 * US_PER_MIN);
	end();
	assert_in_range(lines("next try in"), 10, 5 * 11);
	assert_in_range(lines("shorter times were not logged"), 1, 11);
	assert_in_range(lines("\n"), 10, 2 * 5 * 11 + 11);
}

static void one_of_ten_fails(struct world *world_, struct http_request *r)
{
	r->done_us = world_->now.mono_us + 50 * US_PER_MS;
	if (r->order % 8 == 7)
		r->attempt.status = 502;
}

static void failures_among_successes_are_one_line_a_minute(void **state UNUSED)
{
	begin(one_of_ten_fails);
	for (unsigned i = 0; i < 10 * 60 * 5; i++) {
		world_put(&w, 1, i, 0, 0);
		world_run(&w, 200 * US_PER_MS);
	}
	world_run(&w, 2 * US_PER_MIN);
	end();
	assert_in_range(lines("requests failed in the last minute while others succeeded"), 9, 11);
	assert_int_equal(lines("\n"), lines("requests failed in"));
	assert_true(lines("warning: destination one: ") > 5); /* more than a tenth */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_outage_of_hours_is_recalled_every_ten_minutes),
	        cmocka_unit_test(a_wrong_destination_is_recalled_as_an_error),
	        cmocka_unit_test(the_last_call_comes_an_hour_before_the_first_expiry),
	        cmocka_unit_test(each_stream_is_recalled_with_its_own_expiry),
	        cmocka_unit_test(an_expiry_that_is_not_in_memory_is_not_told_too_late),
	        cmocka_unit_test(a_paused_stream_is_not_recalled),
	        cmocka_unit_test(a_rate_limit_is_not_logged_each_second),
	        cmocka_unit_test(failures_among_successes_are_one_line_a_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
