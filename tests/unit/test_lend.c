/* test_lend.c - events that another queue lends to delivery: sent like its own, settled with the lender, given back
 */
#include "delivery_fixture.h"

static struct world w;

enum { EVENTS_MAX = 64 };

struct lent {
	bool out; /* delivery has it */
	unsigned delivered, dead, failed, returned;
	struct lent_outcome last;
};
static struct lent events[EVENTS_MAX];

static struct lent *lent_of(uint64_t id)
{
	assert_true(id_is_lent(id) && id < LENT_ID_FIRST + EVENTS_MAX);
	return &events[id - LENT_ID_FIRST];
}

static void on_settle(void *arg UNUSED, uint64_t id, const struct lent_outcome *outcome)
{
	struct lent *l = lent_of(id);
	l->delivered += outcome->end == LENT_DELIVERED;
	l->dead += outcome->end == LENT_DEAD;
	l->failed += outcome->end == LENT_FAILED;
	l->last = *outcome;
}

static void on_returned(void *arg UNUSED, uint64_t id)
{
	lent_of(id)->out = false;
	lent_of(id)->returned++;
}

static const struct lender lender = {.settle = on_settle, .returned = on_returned};

static void begin(unsigned n_streams)
{
	memset(events, 0, sizeof(events));
	world_init(&w, n_streams);
	world_start(&w);
	delivery_set_lender(w.d, &lender);
	delivery_set_lent_clock(w.d, w.now.wall_us - w.now.boot_us);
	world_run(&w, US_PER_S);
}

static uint64_t lend(unsigned i, uint32_t sid, unsigned client, const struct lent_past *past)
{
	uint64_t row = world_add_row(&w, sid, client, 0, 0),
	         id = LENT_ID_FIRST + i; /* no refill comes: all was read */
	struct submission *sub = world_sub(sid, client, 0, row, 0, w.now.wall_us);

	sub->first_id = id;
	int r = delivery_lend(w.d, sub, past, &w.now);
	submission_unref(sub);
	assert_int_equal(r, 0);
	events[i].out = true;
	return id;
}

static const struct lent_past fresh;

static void they_go_in_batches_and_are_settled_with_the_lender(void **state UNUSED)
{
	begin(1);
	for (unsigned i = 0; i < 30; i++)
		(void)lend(i, 1, 1, &fresh);
	world_run(&w, US_PER_S);
	assert_int_equal(w.started, 2);
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(events[i].delivered, 1);
		assert_int_equal(events[i].last.attempts, 1);
		assert_int_equal(events[i].last.status, 204);
		assert_int_equal(events[i].returned, 0);
	}
	/* until the lender has recorded it, the id is taken */
	assert_true(delivery_is_in_flight(w.d, LENT_ID_FIRST));
	delivery_lent_settled(w.d, LENT_ID_FIRST);
	assert_false(delivery_is_in_flight(w.d, LENT_ID_FIRST));
	delivery_lent_settled(w.d, LENT_ID_FIRST); /* twice does no harm */
	world_end(&w);
}

static void own_and_lent_ones_share_a_request(void **state UNUSED)
{
	begin(1);
	(void)world_put(&w, 1, 1, 0, 0);
	(void)lend(0, 1, 1, &fresh);
	world_run(&w, US_PER_S);
	assert_int_equal(w.started, 1);
	assert_int_equal(world_row(&w, 1)->state, STATE_DELIVERED);
	assert_int_equal(events[0].delivered, 1);
	world_end(&w);
}

static void refuse(struct world *world_ UNUSED, struct http_request *r)
{
	r->attempt.status = 503;
}

static void failures_are_noted_and_what_is_forgotten_is_given_back(void **state UNUSED)
{
	static const struct lent_past old = {.attempts = 4, .maybe_sent = true};
	begin(1);
	w.answer = refuse;
	uint64_t id = lend(0, 1, 1, &old);
	world_run(&w, 100 * US_PER_MS);
	assert_true(events[0].failed >= 1 && events[0].last.attempts >= 5 && events[0].last.maybe_sent);
	delivery_forget(w.d, &id, 1);
	world_run(&w, US_PER_MIN);
	assert_int_equal(events[0].returned, 1);
	unsigned failed = events[0].failed;
	w.answer = NULL;
	(void)world_put(&w, 1, 2, 0, 0);
	world_run(&w, 10 * US_PER_MIN);
	assert_int_equal(world_row(&w, 2)->state, STATE_DELIVERED);
	assert_int_equal(events[0].failed, failed);
	assert_int_equal(events[0].delivered, 0);
	world_end(&w);
}

static void slowly(struct world *world_, struct http_request *r)
{
	r->done_us = world_->now.mono_us + US_PER_S;
}

static void what_is_forgotten_in_flight_is_still_settled_when_taken(void **state UNUSED)
{
	begin(1);
	w.answer = slowly;
	uint64_t id = lend(0, 1, 1, &fresh);
	world_run(&w, 100 * US_PER_MS);
	delivery_forget(w.d, &id, 1);
	assert_int_equal(events[0].returned, 0);
	world_run(&w, 2 * US_PER_S);
	assert_int_equal(events[0].delivered, 1);
	assert_int_equal(events[0].returned, 0);
	world_end(&w);
}

static void a_removed_stream_gives_them_back(void **state UNUSED)
{
	struct err err = {""};
	begin(2);
	delivery_pause(w.d, 2, true);
	(void)lend(0, 2, 1, &fresh);
	assert_int_equal(delivery_stream_sid(w.d, slice_of("two")), 2);
	w.conf.n_streams = 1;
	assert_int_equal(delivery_set_streams(w.d, &w.conf, w.rules, &err), 0);
	assert_int_equal(events[0].returned, 1);
	assert_int_equal(delivery_stream_sid(w.d, slice_of("two")), 0);
	struct submission *sub = world_sub(2, 1, 0, 1, 0, w.now.wall_us);
	sub->first_id = LENT_ID_FIRST + 1;
	assert_int_equal(delivery_lend(w.d, sub, &fresh, &w.now), -ENOENT);
	submission_unref(sub);
	world_end(&w);
}

static void too_old_ones_die_unless_exempt(void **state UNUSED)
{
	static const struct lent_past exempt = {.no_expiry = true};
	begin(1);
	delivery_pause(w.d, 1, true);
	(void)lend(0, 1, 1, &fresh);
	(void)lend(1, 1, 2, &exempt);
	world_run(&w, 73 * US_PER_H);
	delivery_pause(w.d, 1, false);
	world_run(&w, US_PER_MIN);
	assert_int_equal(events[0].dead, 1);
	assert_int_equal(events[0].last.reason, DEAD_EXPIRED);
	assert_int_equal(events[1].delivered, 1);
	world_end(&w);
}

/* By the lender's clock, which is the engine's: this host's may be set meanwhile. */
static void a_stepped_clock_expires_none(void **state UNUSED)
{
	begin(1);
	w.now.wall_us += 400 * US_PER_H;
	delivery_pump(w.d, &w.now);
	struct submission *sub = world_sub(1, 1, 0, world_add_row(&w, 1, 1, 0, 0), 0, w.now.wall_us - 400 * US_PER_H);
	sub->first_id = LENT_ID_FIRST;
	assert_int_equal(delivery_lend(w.d, sub, &fresh, &w.now), 0);
	submission_unref(sub);
	world_run(&w, US_PER_S);
	assert_int_equal(events[0].delivered, 1);
	assert_int_equal(events[0].dead, 0);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(they_go_in_batches_and_are_settled_with_the_lender),
	        cmocka_unit_test(own_and_lent_ones_share_a_request),
	        cmocka_unit_test(failures_are_noted_and_what_is_forgotten_is_given_back),
	        cmocka_unit_test(what_is_forgotten_in_flight_is_still_settled_when_taken),
	        cmocka_unit_test(a_removed_stream_gives_them_back),
	        cmocka_unit_test(too_old_ones_die_unless_exempt),
	        cmocka_unit_test(a_stepped_clock_expires_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
