/* histogram.h - how long things took, in buckets as HdrHistogram has them: 64 steps an octave of microseconds
 *
 * What is told of a quantile is the most that its bucket holds: never less than it was, and at most a 64th more. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_BITS = 6,
	HISTOGRAM_STEPS = 1 << HISTOGRAM_BITS,
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS) * HISTOGRAM_STEPS
};

struct histogram {
	uint64_t n, buckets[HISTOGRAM_BUCKETS];
	int64_t longest;
};

/* Below 64 each microsecond has a bucket of its own; from there on the highest seven bits say which. */
static inline unsigned histogram_bucket(int64_t us)
{
	uint64_t v = us < 0 ? 0 : (uint64_t)us;

	if (v < HISTOGRAM_STEPS)
		return (unsigned)v;
	unsigned octave = 63 - (unsigned)__builtin_clzll(v) - HISTOGRAM_BITS;
	return octave * HISTOGRAM_STEPS + (unsigned)(v >> octave);
}

/* The most that the bucket holds. */
static inline int64_t histogram_top(unsigned bucket)
{
	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	unsigned octave = bucket / HISTOGRAM_STEPS - 1;
	return (int64_t)(((uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS + 1) << octave) - 1);
}

static inline void histogram_add(struct histogram *h, int64_t us)
{
	h->buckets[histogram_bucket(us)]++;
	h->n++;
	if (us > h->longest)
		h->longest = us;
}

/* What so many thousandths of them did not exceed; 1000: the longest. */
static inline int64_t histogram_quantile(const struct histogram *h, unsigned thousandths)
{
	uint64_t rank = (h->n * thousandths + 999) / 1000, seen = 0;

	for (unsigned b = 0; b < HISTOGRAM_BUCKETS && rank > 0; b++) {
		seen += h->buckets[b];
		if (seen >= rank)
			return histogram_top(b) < h->longest ? histogram_top(b) : h->longest;
	}
	return 0;
}

#endif
