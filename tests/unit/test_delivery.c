/* test_delivery.c - delivery as a whole against a pretended outbox, endpoint and clock */
#include "delivery_fixture.h"

static struct world w;

static size_t count_state(enum event_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < w.n_rows; i++)
		n += w.rows[i].state == state;
	return n;
}

static void one_event_lingers_then_goes(void **state UNUSED)
{
	world_init(&w, 1);
	world_start(&w);
	world_run(&w, US_PER_S);
	int64_t t0 = w.now.mono_us;
	world_put(&w, 1, 1, 0, 0);
	world_run(&w, 199 * US_PER_MS);
	assert_int_equal(w.started, 0);
	world_run(&w, US_PER_S);
	assert_int_equal(w.started, 1);
	assert_int_equal(w.rows[0].state, STATE_DELIVERED);
	assert_true(w.rows[0].out_us >= t0 + 200 * US_PER_MS && w.rows[0].out_us <= t0 + 215 * US_PER_MS);
	world_end(&w);
}

static void a_full_batch_does_not_linger(void **state UNUSED)
{
	world_init(&w, 1);
	world_start(&w);
	world_run(&w, US_PER_S);
	for (int i = 0; i < 26; i++)
		world_put(&w, 1, 1, 0, 0);
	world_run(&w, 50 * US_PER_MS);
	assert_int_equal(count_state(STATE_DELIVERED), 25);
	world_run(&w, US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 26);
	assert_int_equal(w.started, 2);
	world_end(&w);
}

static void a_backlog_drains(void **state UNUSED)
{
	world_init(&w, 2);
	for (int i = 0; i < 200000; i++)
		world_stored(&w, 1 + (unsigned)i % 2, (unsigned)(world_random(&w) % 1000), 0, 50);
	world_start(&w);
	world_run(&w, 60 * US_PER_S);
	assert_int_equal(count_state(STATE_DELIVERED), 200000);
	assert_true(w.most_in_flight <= 128);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_event_lingers_then_goes),
	        cmocka_unit_test(a_full_batch_does_not_linger),
	        cmocka_unit_test(a_backlog_drains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
