/* counters.c - the loop thread's counters: histograms and decayed rates */
#include "metrics/counters.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"

static const double request_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
static const double batch_bounds[] = {1, 2, 5, 10, 15, 20, 24, 25};

void histogram_init(struct histogram *h, const double *bounds, size_t n)
{
	*h = (struct histogram){.bounds = bounds, .n_bounds = n};
}

void histogram_add(struct histogram *h, double v)
{
	size_t i = 0;

	while (i < h->n_bounds && v > h->bounds[i])
		i++;
	h->counts[i]++;
	h->sum += v;
	h->total++;
}

/* A tick that is late by less is one of a busy relay. After FADED_S seconds nothing is left of a rate. */
enum { TICK_MAX_S = 2, FADED_S = 3600 };

void rate_add(struct rate *r, uint64_t n)
{
	r->since_tick += n;
}

/* One step of the decay by backward Euler: close to 1-exp(-t/T) for steps of one second. */
static void decay_towards(double *per_s, double now_per_s, double elapsed_s, double period_s)
{
	*per_s += (now_per_s - *per_s) * (elapsed_s / (period_s + elapsed_s));
}

static void step(struct rate *r, double per_s, double elapsed_s)
{
	decay_towards(&r->per_s_1m, per_s, elapsed_s, 60);
	decay_towards(&r->per_s_5m, per_s, elapsed_s, 300);
}

void rate_tick(struct rate *r, double elapsed_s)
{
	double last_s = elapsed_s < TICK_MAX_S ? elapsed_s : 1, empty_s = elapsed_s - last_s;

	if (elapsed_s <= 0)
		return;
	for (int i = 0; i < FADED_S && empty_s > 0; i++, empty_s--)
		step(r, 0, empty_s < 1 ? empty_s : 1);
	step(r, (double)r->since_tick / last_s, last_s);
	r->since_tick = 0;
}

void hour_add(struct hour *h, uint64_t n, int64_t mono_us)
{
	int64_t minute = mono_us / US_PER_MIN;

	if (minute - h->minute >= HOUR_MINUTES) {
		memset(h->counts, 0, sizeof(h->counts));
		h->minute = minute;
	}
	while (h->minute < minute)
		h->counts[++h->minute % HOUR_MINUTES] = 0;
	h->counts[minute % HOUR_MINUTES] += n;
}

uint64_t hour_sum(const struct hour *h, int64_t mono_us)
{
	uint64_t sum = 0;

	for (int64_t minute = mono_us / US_PER_MIN - HOUR_MINUTES + 1; minute <= h->minute; minute++)
		if (minute > h->minute - HOUR_MINUTES && minute >= 0)
			sum += h->counts[minute % HOUR_MINUTES];
	return sum;
}

void counters_init(struct counters *c)
{
	memset(c, 0, sizeof(*c));
	histogram_init(&c->request_seconds, request_bounds, ARRAY_LEN(request_bounds));
	histogram_init(&c->batch_events, batch_bounds, ARRAY_LEN(batch_bounds));
}

void counters_rates(const struct counters *c, int64_t mono_us, struct rate *ret_in, struct rate *ret_out)
{
	double elapsed_s = (double)(mono_us - c->rates_us) / (double)US_PER_S;

	*ret_in = c->in;
	*ret_out = c->out;
	rate_tick(ret_in, elapsed_s);
	rate_tick(ret_out, elapsed_s);
}

void counters_tick(struct counters *c, int64_t mono_us)
{
	counters_rates(c, mono_us, &c->in, &c->out);
	c->rates_us = mono_us;
}
