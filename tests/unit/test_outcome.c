/* test_outcome.c - the whole table of ga4relay(8), Outcomes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/macros.h"
#include "policy/outcome.h"

static struct attempt answered(int status)
{
	return (struct attempt){.status = status, .retry_after_us = -1, .body_sent = true};
}

static struct attempt unanswered(enum transport t, bool body_sent)
{
	return (struct attempt){.transport = t, .retry_after_us = -1, .body_sent = body_sent};
}

static enum outcome decide(struct attempt a, struct destination_recent recent)
{
	return outcome_decide(&a, &recent);
}

/* What nothing else is known of: other requests succeed. */
static const struct destination_recent alone = {.batch_events = 1};
static const struct destination_recent many = {.batch_events = 25};
static const struct destination_recent alone_down = {.batch_events = 1, .nothing_passes = true};
static const struct destination_recent many_down = {.batch_events = 25, .nothing_passes = true};

static struct destination_recent again(struct destination_recent r, unsigned failures)
{
	r.failures = failures;
	return r;
}

static void every_2xx_is_delivered(void **state UNUSED)
{
	for (int status = 200; status <= 299; status++)
		for (int t = TRANSPORT_OK; t <= TRANSPORT_LOCAL; t++) {
			struct attempt a = answered(status);
			a.transport = (enum transport)t; /* also when the stream is reset afterwards */
			assert_int_equal(decide(a, many), OUTCOME_DELIVERED);
			assert_int_equal(decide(a, alone_down), OUTCOME_DELIVERED);
		}
}

static void what_is_no_status_is_no_answer(void **state UNUSED)
{
	static const int statuses[] = {0, 100, 103, 199, 600, 999, -1};
	static const struct {
		enum transport transport;
		enum meaning meaning;
	} transports[] = {
	        {TRANSPORT_OK, MEANS_NO_ANSWER},          {TRANSPORT_TIMEOUT, MEANS_NO_ANSWER},
	        {TRANSPORT_RESET, MEANS_NO_ANSWER},       {TRANSPORT_DNS, MEANS_NO_CONNECTION},
	        {TRANSPORT_CONNECT, MEANS_NO_CONNECTION}, {TRANSPORT_TLS, MEANS_NO_CONNECTION},
	        {TRANSPORT_LOCAL, MEANS_NO_CONNECTION},   {TRANSPORT_STALE, MEANS_STALE},
	};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		for (size_t j = 0; j < ARRAY_LEN(transports); j++) {
			struct attempt a = unanswered(transports[j].transport, true);
			a.status = statuses[i];
			assert_int_equal(outcome_meaning(&a), transports[j].meaning);
			assert_false(outcome_status_decides(statuses[i]));
			assert_false(outcome_blames_events(&a));
			if (transports[j].meaning == MEANS_STALE)
				continue;
			assert_int_equal(decide(a, many_down), OUTCOME_RETRY_DESTINATION);
			assert_int_equal(decide(a, many), OUTCOME_RETRY_BATCH);
		}
}

static void a_dead_kept_connection_is_tried_again_at_once(void **state UNUSED)
{
	struct destination_recent park = {.batch_events = 25, .park_ambiguous = true};
	assert_int_equal(decide(unanswered(TRANSPORT_STALE, false), many), OUTCOME_RETRY_NOW);
	assert_int_equal(decide(unanswered(TRANSPORT_STALE, true), many), OUTCOME_RETRY_NOW);
	assert_int_equal(decide(unanswered(TRANSPORT_STALE, false), park), OUTCOME_RETRY_NOW);
	assert_int_equal(decide(unanswered(TRANSPORT_STALE, true), park), OUTCOME_DEAD_AMBIGUOUS);
}

static void a_408_on_a_kept_connection_is_its_end(void **state UNUSED)
{
	struct destination_recent park = {.batch_events = 25, .park_ambiguous = true};
	struct attempt a = answered(408);
	assert_int_equal(decide(a, many), OUTCOME_RETRY_BATCH);
	a.reused_connection = true;
	assert_int_equal(decide(a, many), OUTCOME_RETRY_NOW);
	assert_int_equal(decide(a, many_down), OUTCOME_RETRY_NOW);
	assert_int_equal(decide(a, park), OUTCOME_RETRY_NOW); /* it was answered */
	a.status = 429;                                       /* means what it says on any connection */
	assert_int_equal(decide(a, many_down), OUTCOME_RETRY_DESTINATION);
}

static void ambiguous_ones_are_parked_where_asked_for(void **state UNUSED)
{
	struct destination_recent park = many_down;
	park.park_ambiguous = true;
	assert_int_equal(decide(unanswered(TRANSPORT_TIMEOUT, true), park), OUTCOME_DEAD_AMBIGUOUS);
	assert_int_equal(decide(unanswered(TRANSPORT_RESET, true), park), OUTCOME_DEAD_AMBIGUOUS);
	assert_int_equal(decide(unanswered(TRANSPORT_TIMEOUT, false), park), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(unanswered(TRANSPORT_CONNECT, false), park), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(answered(503), park), OUTCOME_RETRY_DESTINATION); /* an answer is not ambiguous */
}

static void busy_and_broken_wait(void **state UNUSED)
{
	static const int busy[] = {408, 425, 429};
	for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
		struct attempt a = answered(busy[i]);
		assert_int_equal(outcome_meaning(&a), MEANS_BUSY);
		assert_int_equal(decide(a, many_down), OUTCOME_RETRY_DESTINATION);
		assert_int_equal(decide(a, again(many, 9)), OUTCOME_RETRY_BATCH); /* never about the content */
	}
	for (int status = 500; status <= 599; status++) {
		assert_int_equal(decide(answered(status), many_down), OUTCOME_RETRY_DESTINATION);
		assert_int_equal(decide(answered(status), many), OUTCOME_RETRY_BATCH);
	}
}

/* Of any kind: its neighbours wait for three attempts at most, and a 5xx buries nobody. */
static void the_third_failure_cuts_a_batch(void **state UNUSED)
{
	const struct attempt kinds[] = {answered(500), answered(503), unanswered(TRANSPORT_TIMEOUT, true),
	                                unanswered(TRANSPORT_RESET, true)};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		assert_int_equal(decide(kinds[i], again(many, 1)), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(kinds[i], again(many, 2)), OUTCOME_BISECT);
		assert_int_equal(decide(kinds[i], again(many_down, 1)), OUTCOME_RETRY_DESTINATION);
		assert_int_equal(decide(kinds[i], again(many_down, 2)), OUTCOME_BISECT);
		assert_int_equal(decide(kinds[i], again(alone, 99)), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(kinds[i], again(alone_down, 99)), OUTCOME_RETRY_DESTINATION);
	}
	assert_int_equal(decide(unanswered(TRANSPORT_CONNECT, false), again(many, 99)), OUTCOME_RETRY_BATCH);
	assert_int_equal(decide(answered(403), again(many, 1)), OUTCOME_RETRY_BATCH);
	assert_int_equal(decide(answered(403), again(many, 2)), OUTCOME_BISECT);
	assert_int_equal(decide(answered(403), again(many_down, 2)), OUTCOME_DESTINATION_WRONG);
	struct destination_recent takes = {.batch_events = 25, .takes_refused = true};
	assert_int_equal(decide(answered(403), again(takes, 9)), OUTCOME_RETRY_BATCH); /* a rate limit */
}

static void retry_after_is_the_destinations_or_the_proxys(void **state UNUSED)
{
	static const int statuses[] = {200, 400, 403, 407, 408, 413, 425, 429, 500, 502, 503, 504};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct attempt a = answered(statuses[i]);
		bool asks = statuses[i] == 407 || statuses[i] == 429 || statuses[i] == 503;
		assert_int_equal(outcome_asked_wait_us(&a), 0);
		a.retry_after_us = 5000000;
		assert_int_equal(outcome_asked_wait_us(&a), asks ? 5000000 : 0);
	}
}

static void too_large_is_split_down_to_one(void **state UNUSED)
{
	struct destination_recent enough = {.batch_events = 1, .refused_enough = true};
	struct destination_recent fits = {.batch_events = 1, .refused_enough = true, .takes_its_size = true};
	struct destination_recent many_fit = {.batch_events = 25, .takes_its_size = true};
	assert_int_equal(decide(answered(413), many), OUTCOME_SPLIT);
	assert_int_equal(decide(answered(413), many_down), OUTCOME_SPLIT);
	assert_int_equal(decide(answered(413), many_fit), OUTCOME_RETRY_BATCH); /* larger ones pass */
	assert_int_equal(decide(answered(413), again(many_fit, 2)), OUTCOME_SPLIT);
	assert_int_equal(decide(answered(413), alone), OUTCOME_RETRY_BATCH);
	assert_int_equal(decide(answered(413), alone_down), OUTCOME_DESTINATION_WRONG); /* the safeguard */
	assert_int_equal(decide(answered(413), enough), OUTCOME_DEAD_TOO_LARGE);
	assert_int_equal(decide(answered(413), fits), OUTCOME_RETRY_BATCH);
}

static bool is_about_content(int status)
{
	static const int others[] = {401, 403, 404, 405, 407, 408, 413, 425, 429};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (status == others[i])
			return false;
	return true;
}

static void refusals_are_cut_and_kill_only_after_repetition(void **state UNUSED)
{
	struct destination_recent enough = {.batch_events = 1, .refused_enough = true};
	struct destination_recent enough_down = {.batch_events = 1, .refused_enough = true, .nothing_passes = true};
	struct destination_recent many_enough = {.batch_events = 2, .refused_enough = true};
	struct destination_recent takes = {.batch_events = 25, .takes_refused = true};
	for (int status = 400; status <= 499; status++) {
		struct attempt a = answered(status);
		if (!is_about_content(status))
			continue;
		assert_int_equal(outcome_meaning(&a), MEANS_REFUSED);
		assert_true(outcome_blames_events(&a));
		assert_int_equal(decide(a, many), OUTCOME_BISECT);
		assert_int_equal(decide(a, many_down), OUTCOME_BISECT);
		assert_int_equal(decide(a, many_enough), OUTCOME_BISECT);
		assert_int_equal(decide(a, takes), OUTCOME_RETRY_BATCH); /* it may be the server's */
		assert_int_equal(decide(a, again(takes, 2)), OUTCOME_BISECT);
		assert_int_equal(decide(a, alone_down), OUTCOME_DESTINATION_WRONG); /* the safeguard */
		assert_int_equal(decide(a, enough_down), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(a, alone), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(a, enough), OUTCOME_DEAD_REFUSED);
	}
}

/* Another relay's door tells by its code that an event is too old for it. */
static void what_a_relays_door_finds_too_old_is_expired(void **state UNUSED)
{
	static const struct destination_recent enough = {
	        .meaning = MEANS_REFUSED, .batch_events = 1, .refused_enough = true};
	struct attempt a = answered(400);

	strcpy(a.answer, "{\"ok\":false,\"code\":\"TIMESTAMP_EXPIRED\",\"field\":\"timestamp_micros\"}");
	assert_int_equal(outcome_decide(&a, &enough), OUTCOME_DEAD_EXPIRED);
	a.status = 410;
	assert_int_equal(outcome_decide(&a, &enough), OUTCOME_DEAD_REFUSED);
	a = answered(400);
	strcpy(a.answer, "{\"ok\":false,\"code\":\"VALUE_INVALID\"}");
	assert_int_equal(outcome_decide(&a, &enough), OUTCOME_DEAD_REFUSED);
}

static void a_wrong_destination_kills_nothing(void **state UNUSED)
{
	static const int statuses[] = {401, 403, 404, 405, 407, 300, 301, 302, 303, 304, 307, 308, 399};
	struct destination_recent enough = {.batch_events = 1, .denied_enough = true};
	struct destination_recent enough_down = {.batch_events = 1, .denied_enough = true, .nothing_passes = true};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct attempt a = answered(statuses[i]);
		bool may_be_the_event = statuses[i] == 403 || statuses[i] == 404;
		assert_int_equal(outcome_meaning(&a), MEANS_DENIED);
		assert_int_equal(outcome_blames_events(&a), may_be_the_event);
		assert_int_equal(decide(a, alone_down), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(a, many_down), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(a, enough_down), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(a, alone), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(a, enough), may_be_the_event ? OUTCOME_DEAD_REFUSED : OUTCOME_RETRY_BATCH);
	}
}

/* A proxy's refusal concerns no batch, whatever others get. */
static void a_proxy_that_refuses_kills_nothing(void **state UNUSED)
{
	static const int wrong[] = {302, 401, 403, 404, 405, 407}, busy[] = {400, 413, 429, 500, 502, 503, 504};
	struct destination_recent enough = {.batch_events = 1, .refused_enough = true, .denied_enough = true};
	struct attempt a = unanswered(TRANSPORT_CONNECT, false);
	a.retry_after_us = 5000000;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		a.proxy_status = wrong[i];
		assert_int_equal(decide(a, alone_down), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(a, again(many_down, 9)), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(a, enough), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(a, again(many, 9)), OUTCOME_RETRY_BATCH);
		assert_int_equal(outcome_asked_wait_us(&a), 5000000);
	}
	for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
		a.proxy_status = busy[i];
		assert_int_equal(decide(a, many_down), OUTCOME_RETRY_DESTINATION);
		assert_int_equal(decide(a, enough), OUTCOME_RETRY_BATCH);
	}
}

static void everything_has_a_name(void **state UNUSED)
{
	for (int i = 0; i < OUTCOME_COUNT; i++)
		assert_true(outcome_name((enum outcome)i)[0] != '\0');
	for (int i = TRANSPORT_OK; i <= TRANSPORT_LOCAL; i++)
		assert_true(transport_name((enum transport)i)[0] != '\0');
	assert_string_equal(outcome_name(OUTCOME_DELIVERED), "delivered");
	assert_string_equal(outcome_name(OUTCOME_COUNT), "");
	assert_string_equal(transport_name((enum transport)99), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_2xx_is_delivered),
	        cmocka_unit_test(what_a_relays_door_finds_too_old_is_expired),
	        cmocka_unit_test(what_is_no_status_is_no_answer),
	        cmocka_unit_test(a_dead_kept_connection_is_tried_again_at_once),
	        cmocka_unit_test(a_408_on_a_kept_connection_is_its_end),
	        cmocka_unit_test(ambiguous_ones_are_parked_where_asked_for),
	        cmocka_unit_test(busy_and_broken_wait),
	        cmocka_unit_test(the_third_failure_cuts_a_batch),
	        cmocka_unit_test(retry_after_is_the_destinations_or_the_proxys),
	        cmocka_unit_test(too_large_is_split_down_to_one),
	        cmocka_unit_test(refusals_are_cut_and_kill_only_after_repetition),
	        cmocka_unit_test(a_wrong_destination_kills_nothing),
	        cmocka_unit_test(a_proxy_that_refuses_kills_nothing),
	        cmocka_unit_test(everything_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
