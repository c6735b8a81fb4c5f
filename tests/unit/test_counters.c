/* test_counters.c - buckets at their edges, rates that settle and decay; the words for states and codes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "event/event.h"
#include "metrics/counters.h"

static void histogram_edges(void **state)
{
	static const double bounds[] = {1, 10};
	struct histogram h;

	(void)state;
	histogram_init(&h, bounds, ARRAY_LEN(bounds));
	histogram_add(&h, 0);
	histogram_add(&h, 1);
	histogram_add(&h, 1.5);
	histogram_add(&h, 10);
	histogram_add(&h, 10.5);
	assert_int_equal(h.counts[0], 2);
	assert_int_equal(h.counts[1], 2);
	assert_int_equal(h.counts[2], 1);
	assert_int_equal(h.total, 5);
	assert_true(h.sum == 23);
}

static void rate_settles_and_decays(void **state)
{
	struct rate r = {0};

	(void)state;
	for (int s = 0; s < 1800; s++) {
		rate_add(&r, 60);
		rate_add(&r, 40);
		rate_tick(&r, 1);
	}
	assert_true(r.per_s_1m > 99.9 && r.per_s_1m < 100.1);
	assert_true(r.per_s_5m > 99 && r.per_s_5m < 100.1);
	for (int s = 0; s < 60; s++)
		rate_tick(&r, 1);
	assert_true(r.per_s_1m > 34 && r.per_s_1m < 40); /* 100/e = 36.8 */
	assert_true(r.per_s_5m > 79 && r.per_s_5m < 84); /* 81.9 */
	rate_add(&r, 300);
	rate_tick(&r, 300.5); /* what came now, after five minutes without a tick, counts in full; what was before has
	                         faded */
	assert_true(r.per_s_1m > 4.9 && r.per_s_1m < 5.6);   /* 300/61 + 36.8/e^5 */
	assert_true(r.per_s_5m > 29.5 && r.per_s_5m < 31.5); /* 300/301 + 81.9/e */
	rate_tick(&r, 100000);                               /* a suspended machine */
	assert_true(r.per_s_1m >= 0 && r.per_s_1m < 0.001 && r.per_s_5m < 0.001);
	rate_add(&r, 5);
	rate_tick(&r, 0); /* no time: nothing to divide by, nothing lost */
	assert_int_equal(r.since_tick, 5);
}

/* A host that has just started has no hour behind it. */
static void an_hour_begins_with_the_host(void **state)
{
	struct hour h = {.minute = 0};

	(void)state;
	hour_add(&h, 3, 30 * US_PER_S);
	assert_int_equal(hour_sum(&h, 30 * US_PER_S), 3);
	hour_add(&h, 4, 5 * US_PER_MIN);
	assert_int_equal(hour_sum(&h, 59 * US_PER_MIN), 7);
	assert_int_equal(hour_sum(&h, 60 * US_PER_MIN), 4);
	/* Asked with the time of a moment ago: the newest minute has the place of one sixty minutes before it. */
	hour_add(&h, 5, 300 * US_PER_MIN);
	assert_int_equal(hour_sum(&h, 299 * US_PER_MIN), 5);
}

static void an_hour_is_sixty_minutes(void **state)
{
	const int64_t start = 5 * US_PER_MIN;
	struct hour h = {.minute = 0};

	(void)state;
	assert_int_equal(hour_sum(&h, start), 0);
	for (int minute = 0; minute < 120; minute++) {
		hour_add(&h, 1, start + minute * US_PER_MIN);
		hour_add(&h, 1, start + minute * US_PER_MIN + 59 * US_PER_S);
		assert_int_equal(hour_sum(&h, start + minute * US_PER_MIN), minute < 60 ? 2 * minute + 2 : 120);
	}
	/* quiet since then */
	assert_int_equal(hour_sum(&h, start + 149 * US_PER_MIN), 60);
	assert_int_equal(hour_sum(&h, start + 178 * US_PER_MIN), 2);
	assert_int_equal(hour_sum(&h, start + 179 * US_PER_MIN), 0);
	assert_int_equal(hour_sum(&h, start + 5000 * US_PER_MIN), 0);
	hour_add(&h, 7, start + 5000 * US_PER_MIN);
	assert_int_equal(hour_sum(&h, start + 5000 * US_PER_MIN), 7);
}

static void counters_start_at_zero(void **state)
{
	struct counters *c = malloc(sizeof(*c));

	(void)state;
	assert_non_null(c);
	memset(c, 0xff, sizeof(*c));
	counters_init(c);
	assert_int_equal(c->by_sid[255].delivered, 0);
	assert_int_equal(c->rejected[CODE_COUNT - 1], 0);
	histogram_add(&c->batch_events, 25);
	histogram_add(&c->request_seconds, 1e9);
	assert_int_equal(c->batch_events.total, 1);
	assert_true(c->request_seconds.n_bounds < HISTOGRAM_MAX && c->batch_events.n_bounds < HISTOGRAM_MAX);
	free(c);
}

static void names_of_states_and_reasons(void **state)
{
	(void)state;
	assert_string_equal(event_state_name(STATE_QUEUED), "queued");
	assert_string_equal(event_state_name(STATE_HELD), "held");
	assert_string_equal(event_state_name(STATE_DEAD), "dead");
	assert_string_equal(event_state_name(STATE_DELIVERED), "delivered");
	assert_string_equal(dead_reason_name(DEAD_NONE), "");
	assert_string_equal(dead_reason_name(DEAD_REFUSED), "refused");
	assert_string_equal(dead_reason_name(DEAD_TOO_LARGE), "too-large");
	assert_string_equal(dead_reason_name(DEAD_EXPIRED), "expired");
	assert_string_equal(dead_reason_name(DEAD_AMBIGUOUS), "ambiguous");
	assert_string_equal(dead_reason_name(DEAD_CORRUPT), "corrupt");
	assert_string_equal(event_state_name(STATE_COUNT), "unknown");
	assert_string_equal(dead_reason_name(DEAD_COUNT), "unknown");
	/* a number from a file that somebody edited */
	assert_string_equal(event_state_name((enum event_state)99), "unknown");
	assert_string_equal(dead_reason_name((enum dead_reason)99), "unknown");
}

static void codes(void **state)
{
	unsigned retryable = 0;

	(void)state;
	for (int c = 0; c < CODE_COUNT; c++) {
		assert_non_null(code_name((enum code)c));
		for (int other = 0; other < c; other++)
			assert_string_not_equal(code_name((enum code)c), code_name((enum code)other));
		retryable += code_is_retryable((enum code)c);
	}
	assert_int_equal(retryable, 3);
	assert_true(code_is_retryable(CODE_QUEUE_FULL));
	assert_true(code_is_retryable(CODE_STORAGE_ERROR));
	assert_true(code_is_retryable(CODE_SHUTTING_DOWN));
	assert_string_equal(code_name(CODE_COUNT), "UNKNOWN");
	assert_false(code_is_retryable(CODE_COUNT));
	assert_string_equal(code_name(CODE_EXCEEDED_MAX_ENTITIES), "EXCEEDED_MAX_ENTITIES");
	assert_string_equal(code_name(CODE_SHUTTING_DOWN), "SHUTTING_DOWN");
}

static void last_reference_frees(void **state)
{
	struct submission *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	s->block = s;
	s->refs = 1;
	assert_ptr_equal(submission_ref(s), s);
	assert_null(submission_unref(s));
	assert_int_equal(s->refs, 1); /* still there: a sanitizer would say otherwise */
	assert_null(submission_unref(s));
	assert_null(submission_unref(NULL));
}

static void a_tick_is_of_the_time_since_the_last_one(void **state UNUSED)
{
	struct counters c;

	counters_init(&c);
	counters_tick(&c, 7 * US_PER_S);
	rate_add(&c.in, 61);
	rate_add(&c.out, 122);
	counters_tick(&c, 8 * US_PER_S);
	assert_true(c.in.per_s_1m > 0.99 && c.in.per_s_1m < 1.01); /* 61/61 */
	assert_true(c.out.per_s_1m > 1.99 && c.out.per_s_1m < 2.01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(histogram_edges),
	        cmocka_unit_test(rate_settles_and_decays),
	        cmocka_unit_test(an_hour_begins_with_the_host),
	        cmocka_unit_test(an_hour_is_sixty_minutes),
	        cmocka_unit_test(counters_start_at_zero),
	        cmocka_unit_test(names_of_states_and_reasons),
	        cmocka_unit_test(codes),
	        cmocka_unit_test(last_reference_frees),
	        cmocka_unit_test(a_tick_is_of_the_time_since_the_last_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
