/* metrics_text.c - writes Prometheus' text exposition format, version 0.0.4 */
#include "metrics/metrics_text.h"

#include <stdio.h>

/* After an error, further calls have no effect; the caller checks once, at the end. */
#define TRY(m, call)                                                                                                 \
	do {                                                                                                         \
		if ((m)->error == 0)                                                                                 \
			(m)->error = (call);                                                                         \
	} while (0)

void metric_head(struct metrics_text *m, const char *name, const char *type, const char *help)
{
	m->name = name;
	TRY(m, buf_printf(m->out, "# HELP ga4relay_%s %s\n# TYPE ga4relay_%s %s\n", name, help, name, type));
}

/* In label values, backslash, quote and line feed are escaped. */
static void add_label(struct metrics_text *m, const char *label, const char *value)
{
	TRY(m, buf_printf(m->out, "%s=\"", label));
	for (const char *p = value; *p; p++) {
		switch (*p) {
		case '\\':
		case '"':
			TRY(m, buf_append_char(m->out, '\\'));
			TRY(m, buf_append_char(m->out, *p));
			break;
		case '\n':
			TRY(m, buf_append_slice(m->out, SLICE_LIT("\\n")));
			break;
		default:
			TRY(m, buf_append_char(m->out, *p));
		}
	}
	TRY(m, buf_append_char(m->out, '"'));
}

static void begin(struct metrics_text *m, const char *suffix, const char *label, const char *value)
{
	TRY(m, buf_printf(m->out, "ga4relay_%s%s", m->name, suffix));
	if (!label)
		return;
	TRY(m, buf_append_char(m->out, '{'));
	add_label(m, label, value);
	TRY(m, buf_append_char(m->out, '}'));
}

void metric_u64(struct metrics_text *m, const char *label, const char *value, uint64_t v)
{
	begin(m, "", label, value);
	TRY(m, buf_printf(m->out, " %llu\n", (unsigned long long)v));
}

void metric_u64_2(struct metrics_text *m, const char *label1, const char *value1, const char *label2,
                  const char *value2, uint64_t v)
{
	TRY(m, buf_printf(m->out, "ga4relay_%s{", m->name));
	add_label(m, label1, value1);
	TRY(m, buf_append_char(m->out, ','));
	add_label(m, label2, value2);
	TRY(m, buf_printf(m->out, "} %llu\n", (unsigned long long)v));
}

void metric_double(struct metrics_text *m, const char *label, const char *value, double v)
{
	begin(m, "", label, value);
	TRY(m, buf_printf(m->out, " %.9g\n", v));
}

void metric_time(struct metrics_text *m, const char *label, const char *value, int64_t wall_us)
{
	begin(m, "", label, value);
	TRY(m, buf_printf(m->out, " %.3f\n", (double)wall_us / 1e6));
}

void metric_histogram(struct metrics_text *m, const struct histogram *h)
{
	uint64_t below = 0;
	char bound[32];

	for (size_t i = 0; i < h->n_bounds; i++) {
		below += h->counts[i];
		snprintf(bound, sizeof(bound), "%.9g", h->bounds[i]);
		begin(m, "_bucket", "le", bound);
		TRY(m, buf_printf(m->out, " %llu\n", (unsigned long long)below));
	}
	begin(m, "_bucket", "le", "+Inf");
	TRY(m, buf_printf(m->out, " %llu\n", (unsigned long long)h->total));
	TRY(m, buf_printf(m->out, "ga4relay_%s_sum %.9g\n", m->name, h->sum));
	TRY(m, buf_printf(m->out, "ga4relay_%s_count %llu\n", m->name, (unsigned long long)h->total));
}
