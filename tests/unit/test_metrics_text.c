/* test_metrics_text.c - the exposition format: heads, escaped labels, cumulative buckets */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/metrics_text.h"

static void check(const struct buf *b, const char *expected)
{
	assert_int_equal(b->len, strlen(expected));
	assert_memory_equal(b->data, expected, b->len);
}

static void heads_and_samples(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	struct metrics_text m = {.out = &b};

	metric_head(&m, "x_total", "counter", "What it is.");
	metric_u64(&m, NULL, NULL, UINT64_MAX);
	metric_u64(&m, "stream", "web", 1);
	metric_u64_2(&m, "stream", "web", "outcome", "retry", 2);
	metric_double(&m, NULL, NULL, 0.5);
	assert_int_equal(m.error, 0);
	check(&b, "# HELP ga4relay_x_total What it is.\n"
	          "# TYPE ga4relay_x_total counter\n"
	          "ga4relay_x_total 18446744073709551615\n"
	          "ga4relay_x_total{stream=\"web\"} 1\n"
	          "ga4relay_x_total{stream=\"web\",outcome=\"retry\"} 2\n"
	          "ga4relay_x_total 0.5\n");
}

static void labels_are_escaped(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	struct metrics_text m = {.out = &b, .name = "x"};

	metric_u64(&m, "stream", "a\"b\\c\nd", 1);
	check(&b, "ga4relay_x{stream=\"a\\\"b\\\\c\\nd\"} 1\n");
}

static void buckets_are_cumulative(void **state UNUSED)
{
	static const double bounds[] = {0.1, 1};
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	struct metrics_text m = {.out = &b, .name = "h"};
	struct histogram h;

	histogram_init(&h, bounds, 2);
	histogram_add(&h, 0.1); /* a bound belongs to its bucket */
	histogram_add(&h, 0.5);
	histogram_add(&h, 3);
	metric_histogram(&m, &h);
	check(&b, "ga4relay_h_bucket{le=\"0.1\"} 1\n"
	          "ga4relay_h_bucket{le=\"1\"} 2\n"
	          "ga4relay_h_bucket{le=\"+Inf\"} 3\n"
	          "ga4relay_h_sum 3.6\n"
	          "ga4relay_h_count 3\n");
}

static void errors_stick(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(20);
	struct metrics_text m = {.out = &b};

	metric_head(&m, "x", "gauge", "Too long for that buffer.");
	metric_u64(&m, NULL, NULL, 1);
	assert_int_equal(m.error, -ENOBUFS);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(heads_and_samples),
	        cmocka_unit_test(labels_are_escaped),
	        cmocka_unit_test(buckets_are_cumulative),
	        cmocka_unit_test(errors_stick),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
