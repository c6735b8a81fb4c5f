/* metrics_text.h - the exposition format of Prometheus, version 0.0.4; knows no figure of ours */
#ifndef METRICS_METRICS_TEXT_H
#define METRICS_METRICS_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "metrics/counters.h"

/* The first error sticks. Names get "ga4relay_" before them. */
struct metrics_text {
	struct buf *out;
	const char *name; /* of the last head */
	int error;
};

/* HELP and TYPE; the samples that follow are of this name. */
void metric_head(struct metrics_text *m, const char *name, const char *type, const char *help);
/* label NULL: none. */
void metric_u64(struct metrics_text *m, const char *label, const char *value, uint64_t v);
void metric_u64_2(struct metrics_text *m, const char *label1, const char *value1, const char *label2,
                  const char *value2, uint64_t v);
void metric_double(struct metrics_text *m, const char *label, const char *value, double v);
/* Cumulative buckets, sum and count. */
void metric_histogram(struct metrics_text *m, const struct histogram *h);

#endif
