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

static const struct destination_recent alone = {.batch_events = 1};
static const struct destination_recent many = {.batch_events = 25};

static void every_2xx_is_delivered(void **state UNUSED)
{
	for (int status = 200; status <= 299; status++)
		for (int t = TRANSPORT_OK; t <= TRANSPORT_LOCAL; t++) {
			struct attempt a = answered(status);
			a.transport = (enum transport)t; /* also when the stream is reset afterwards */
			assert_int_equal(decide(a, many), OUTCOME_DELIVERED);
		}
}

static void what_is_no_answer_backs_the_destination_off(void **state UNUSED)
{
	static const int statuses[] = {0, 100, 103, 199, 600, 999, -1};
	static const enum transport transports[] = {TRANSPORT_OK,   TRANSPORT_DNS,   TRANSPORT_CONNECT,
	                                            TRANSPORT_TLS,  TRANSPORT_LOCAL, TRANSPORT_TIMEOUT,
	                                            TRANSPORT_RESET};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		for (size_t j = 0; j < ARRAY_LEN(transports); j++)
			for (int sent = 0; sent < 2; sent++) {
				struct attempt a = unanswered(transports[j], sent);
				a.status = statuses[i];
				assert_int_equal(decide(a, many), OUTCOME_RETRY_DESTINATION);
			}
}

static void others_that_pass_make_it_the_batchs_own(void **state UNUSED)
{
	struct destination_recent r = {.batch_events = 25, .others_succeed = true};
	assert_int_equal(decide(unanswered(TRANSPORT_TIMEOUT, true), r), OUTCOME_RETRY_BATCH);
	assert_int_equal(decide(unanswered(TRANSPORT_RESET, false), r), OUTCOME_RETRY_BATCH);
	assert_int_equal(decide(answered(500), r), OUTCOME_RETRY_BATCH);
	/* what never reached the endpoint says nothing about the batch */
	assert_int_equal(decide(unanswered(TRANSPORT_DNS, false), r), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(unanswered(TRANSPORT_CONNECT, false), r), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(unanswered(TRANSPORT_TLS, false), r), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(unanswered(TRANSPORT_LOCAL, false), r), OUTCOME_RETRY_DESTINATION);
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
	struct destination_recent again = {.batch_events = 25, .others_succeed = true, .failed_before = true};
	struct attempt a = answered(408);
	a.reused_connection = true;
	assert_int_equal(decide(a, many), OUTCOME_RETRY_NOW);
	assert_int_equal(decide(a, again), OUTCOME_RETRY_NOW);
	a.status = 429; /* means what it says on any connection */
	assert_int_equal(decide(a, many), OUTCOME_RETRY_DESTINATION);
}

static void ambiguous_ones_are_parked_where_asked_for(void **state UNUSED)
{
	struct destination_recent park = {.batch_events = 25, .park_ambiguous = true};
	assert_int_equal(decide(unanswered(TRANSPORT_TIMEOUT, true), park), OUTCOME_DEAD_AMBIGUOUS);
	assert_int_equal(decide(unanswered(TRANSPORT_RESET, true), park), OUTCOME_DEAD_AMBIGUOUS);
	assert_int_equal(decide(unanswered(TRANSPORT_TIMEOUT, false), park), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(unanswered(TRANSPORT_CONNECT, false), park), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(answered(503), park), OUTCOME_RETRY_DESTINATION); /* an answer is not ambiguous */
}

static void busy_and_broken_back_off(void **state UNUSED)
{
	static const int busy[] = {408, 425, 429};
	struct destination_recent first = {.batch_events = 25, .others_succeed = true};
	struct destination_recent again = {.batch_events = 25, .others_succeed = true, .failed_before = true};
	struct destination_recent failing = {.batch_events = 25, .failed_before = true};
	for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
		assert_int_equal(decide(answered(busy[i]), many), OUTCOME_RETRY_DESTINATION);
		assert_int_equal(decide(answered(busy[i]), first), OUTCOME_RETRY_DESTINATION);
		assert_int_equal(decide(answered(busy[i]), again), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(answered(busy[i]), failing), OUTCOME_RETRY_DESTINATION);
	}
	for (int status = 500; status <= 599; status++)
		assert_int_equal(decide(answered(status), many), OUTCOME_RETRY_DESTINATION);
	struct attempt a = answered(503); /* with Retry-After it is meant for everybody */
	a.retry_after_us = 5000000;
	assert_int_equal(decide(a, first), OUTCOME_RETRY_DESTINATION);
	assert_int_equal(decide(a, again), OUTCOME_RETRY_BATCH);
}

static void too_large_is_split_down_to_one(void **state UNUSED)
{
	struct destination_recent two = {.batch_events = 2};
	assert_int_equal(decide(answered(413), many), OUTCOME_SPLIT);
	assert_int_equal(decide(answered(413), two), OUTCOME_SPLIT);
	assert_int_equal(decide(answered(413), alone), OUTCOME_DEAD_TOO_LARGE);
}

static bool is_about_content(int status)
{
	static const int others[] = {401, 403, 404, 405, 407, 408, 413, 425, 429};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (status == others[i])
			return false;
	return true;
}

static void refusals_are_cut_and_kill_only_when_others_pass(void **state UNUSED)
{
	struct destination_recent first = {.batch_events = 1, .success_since_first_refusal = true};
	struct destination_recent busy = {.batch_events = 1, .others_succeed = true};
	struct destination_recent last = first;
	last.success_since_last_refusal = true;
	struct destination_recent last_many = last;
	last_many.batch_events = 2;
	for (int status = 400; status <= 499; status++) {
		assert_int_equal(outcome_status_refuses(status), is_about_content(status));
		if (!is_about_content(status))
			continue;
		assert_int_equal(decide(answered(status), many), OUTCOME_BISECT);
		assert_int_equal(decide(answered(status), last_many), OUTCOME_BISECT);
		assert_int_equal(decide(answered(status), alone), OUTCOME_DESTINATION_WRONG); /* the safeguard */
		assert_int_equal(decide(answered(status), first), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(answered(status), busy), OUTCOME_RETRY_BATCH);
		assert_int_equal(decide(answered(status), last), OUTCOME_DEAD_REFUSED);
	}
}

static void a_wrong_destination_kills_nothing(void **state UNUSED)
{
	static const int statuses[] = {401, 403, 404, 405, 407, 300, 301, 302, 303, 304, 307, 308, 399};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct destination_recent r = {.batch_events = 1, .own_denials = 100, .failed_before = true};
		assert_true(outcome_status_denies(statuses[i]));
		assert_int_equal(decide(answered(statuses[i]), alone), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(answered(statuses[i]), many), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(answered(statuses[i]), r), OUTCOME_DESTINATION_WRONG);
		r.others_succeed = true;
		r.own_denials = OUTCOME_OWN_DENIALS_MAX - 1;
		assert_int_equal(decide(answered(statuses[i]), r), OUTCOME_RETRY_BATCH);
		r.own_denials = OUTCOME_OWN_DENIALS_MAX;
		assert_int_equal(decide(answered(statuses[i]), r), OUTCOME_DEAD_REFUSED);
		r.batch_events = 2;
		assert_int_equal(decide(answered(statuses[i]), r), OUTCOME_BISECT);
	}
}

/* A proxy's refusal concerns no batch, whatever others get. */
static void a_proxy_that_refuses_kills_nothing(void **state UNUSED)
{
	static const int wrong[] = {302, 401, 403, 404, 405, 407}, busy[] = {400, 413, 429, 500, 502, 503, 504};
	struct destination_recent r = {.batch_events = 1,
	                               .others_succeed = true,
	                               .failed_before = true,
	                               .own_denials = OUTCOME_OWN_DENIALS_MAX,
	                               .success_since_last_refusal = true};
	struct attempt a = unanswered(TRANSPORT_CONNECT, false);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		a.proxy_status = wrong[i];
		assert_int_equal(decide(a, r), OUTCOME_DESTINATION_WRONG);
		assert_int_equal(decide(a, many), OUTCOME_DESTINATION_WRONG);
	}
	for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
		a.proxy_status = busy[i];
		assert_int_equal(decide(a, r), OUTCOME_RETRY_DESTINATION);
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
	        cmocka_unit_test(what_is_no_answer_backs_the_destination_off),
	        cmocka_unit_test(others_that_pass_make_it_the_batchs_own),
	        cmocka_unit_test(a_dead_kept_connection_is_tried_again_at_once),
	        cmocka_unit_test(a_408_on_a_kept_connection_is_its_end),
	        cmocka_unit_test(ambiguous_ones_are_parked_where_asked_for),
	        cmocka_unit_test(busy_and_broken_back_off),
	        cmocka_unit_test(too_large_is_split_down_to_one),
	        cmocka_unit_test(refusals_are_cut_and_kill_only_when_others_pass),
	        cmocka_unit_test(a_wrong_destination_kills_nothing),
	        cmocka_unit_test(a_proxy_that_refuses_kills_nothing),
	        cmocka_unit_test(everything_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
