/* counters.h - the loop thread's counters, read by the metrics and by status
 *
 * Plain data, owned by the daemon. Loop thread only. */
#ifndef METRICS_COUNTERS_H
#define METRICS_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "event/event_state.h"
#include "ga4/verdict.h"
#include "policy/outcome.h"

/* A histogram with fixed upper bounds; counts are cumulative only when printed. */
enum { HISTOGRAM_MAX = 16 };
struct histogram {
	const double *bounds; /* ascending; borrowed, static; the last bucket is +Inf and not listed */
	size_t n_bounds;      /* < HISTOGRAM_MAX */
	uint64_t counts[HISTOGRAM_MAX];
	double sum;
	uint64_t total;
};
void histogram_init(struct histogram *h, const double *bounds, size_t n);
void histogram_add(struct histogram *h, double v);

/* Exponentially decayed rates over 1 and 5 minutes, in events per second. rate_tick() is called once a second while
 * there are events; of a longer time, all but the last second counts as empty. */
struct rate {
	double per_s_1m, per_s_5m;
	uint64_t since_tick;
};
void rate_add(struct rate *r, uint64_t n);
void rate_tick(struct rate *r, double elapsed_s);

/* Counts of the last hour, by minute. Times are monotonic; hours that were slept through count as empty. */
enum { HOUR_MINUTES = 60 };
struct hour {
	uint64_t counts[HOUR_MINUTES];
	int64_t minute; /* of the newest count */
};
void hour_add(struct hour *h, uint64_t n, int64_t mono_us);
uint64_t hour_sum(const struct hour *h, int64_t mono_us);

struct stream_counters {
	uint64_t accepted, delivered, forwarded;
	int64_t last_delivered_us; /* wall clock; 0: none since start */
	uint64_t dead[DEAD_COUNT];
	uint64_t requests[OUTCOME_COUNT];
};

struct counters {
	struct stream_counters by_sid[256];
	uint64_t rejected[CODE_COUNT], warnings[CODE_COUNT];
	uint64_t duplicates;
	uint64_t dead[DEAD_COUNT];
	uint64_t replies_unsent, rejected_unseen;
	struct histogram request_seconds, batch_events;
	struct rate in, out;
	int64_t rates_us; /* monotonic: of their last tick */
	struct hour delivered_lately;
};
void counters_init(struct counters *c);
void counters_tick(struct counters *c, int64_t mono_us);
/* The rates as a tick now would leave them: a relay without events takes none. */
void counters_rates(const struct counters *c, int64_t mono_us, struct rate *ret_in, struct rate *ret_out);

#endif
