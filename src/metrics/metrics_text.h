/* metrics_text.h - writes Prometheus' text exposition format, version 0.0.4; independent of which metrics there
 * are */
#ifndef METRICS_METRICS_TEXT_H
#define METRICS_METRICS_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "metrics/counters.h"

/* The first error (negative errno) is kept in error. Names are prefixed with "ga4relay_". */
struct metrics_text {
	struct buf *out;
	const char *name; /* name of the current metric */
	int error;
};

/* Writes HELP and TYPE. The samples that follow belong to this metric. */
void metric_head(struct metrics_text *m, const char *name, const char *type, const char *help);
/* label may be NULL: no label. */
void metric_u64(struct metrics_text *m, const char *label, const char *value, uint64_t v);
void metric_u64_2(struct metrics_text *m, const char *label1, const char *value1, const char *label2,
                  const char *value2, uint64_t v);
void metric_double(struct metrics_text *m, const char *label, const char *value, double v);
/* Wall clock in microseconds, written as seconds. */
void metric_time(struct metrics_text *m, const char *label, const char *value, int64_t wall_us);
/* Writes cumulative buckets, sum and count. */
void metric_histogram(struct metrics_text *m, const struct histogram *h);

#endif
