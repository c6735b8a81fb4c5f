/* parse.c - strict parsers for numbers, durations and sizes */
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: the formatters use the first unit that divides the value. */
static const struct unit durations[] = {
        {"d", (uint64_t)US_PER_DAY}, {"h", (uint64_t)US_PER_H},   {"m", (uint64_t)US_PER_MIN},
        {"s", (uint64_t)US_PER_S},   {"ms", (uint64_t)US_PER_MS},
};
static const struct unit sizes[] = {
        {"G", UINT64_C(1) << 30},
        {"M", UINT64_C(1) << 20},
        {"K", UINT64_C(1) << 10},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int parse_u64(struct slice s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]))
			return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return -ERANGE;
	*ret = v;
	return 0;
}

static int parse_with_unit(struct slice s, const struct unit *units, size_t n, uint64_t max, uint64_t *ret)
{
	size_t digits = 0;
	struct slice unit;
	uint64_t v;
	int r;

	while (digits < s.n && is_digit(s.p[digits]))
		digits++;
	if (digits == 0)
		return -EINVAL;
	unit = (struct slice){s.p + digits, s.n - digits};
	r = parse_u64((struct slice){s.p, digits}, &v);
	if (unit.n == 0) {
		if (r < 0 || v != 0 || digits != 1)
			return -EINVAL;
		*ret = 0;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (!slice_eq(unit, slice_of(units[i].name)))
			continue;
		if (r < 0 || __builtin_mul_overflow(v, units[i].factor, &v) || v > max)
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int parse_duration_us(struct slice s, int64_t *ret)
{
	uint64_t v;
	int r = parse_with_unit(s, durations, ARRAY_LEN(durations), INT64_MAX, &v);

	if (r < 0)
		return r;
	*ret = (int64_t)v;
	return 0;
}

int parse_size(struct slice s, uint64_t *ret)
{
	return parse_with_unit(s, sizes, ARRAY_LEN(sizes), UINT64_MAX, ret);
}

/* The parts of a JSON number (RFC 8259, section 6). */
struct number {
	uint64_t mantissa; /* all digits; valid while n_digits <= 19 */
	size_t n_digits, n_fraction;
	bool negative, has_exponent;
};

static size_t scan_digits(struct slice s, size_t at, struct number *n)
{
	for (; at < s.n && is_digit(s.p[at]); at++, n->n_digits++)
		n->mantissa = n->mantissa * 10 + (uint64_t)(s.p[at] - '0');
	return at;
}

static int scan_exponent(struct slice s, size_t at)
{
	struct number ignored = {0};

	at++;
	if (at < s.n && (s.p[at] == '+' || s.p[at] == '-'))
		at++;
	return at < s.n && scan_digits(s, at, &ignored) == s.n ? 0 : -EINVAL;
}

static int scan_number(struct slice s, struct number *n)
{
	size_t at = 0, before;

	n->negative = s.n > 0 && s.p[0] == '-';
	at += n->negative;
	before = at;
	at = scan_digits(s, at, n);
	if (at == before || (s.p[before] == '0' && at - before > 1))
		return -EINVAL;
	if (at < s.n && s.p[at] == '.') {
		before = ++at;
		at = scan_digits(s, at, n);
		n->n_fraction = at - before;
		if (n->n_fraction == 0)
			return -EINVAL;
	}
	if (at == s.n)
		return 0;
	n->has_exponent = true;
	return s.p[at] == 'e' || s.p[at] == 'E' ? scan_exponent(s, at) : -EINVAL;
}

static int parse_by_strtod(struct slice s, double *ret)
{
	char small[64], *text = s.n < sizeof(small) ? small : malloc(s.n + 1);
	double v;

	if (!text)
		return -ENOMEM;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	/* This program never calls setlocale(), so the decimal point is "." */
	v = strtod(text, NULL);
	if (text != small)
		free(text);
	if (!isfinite(v))
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_json_double(struct slice s, double *ret)
{
	/* The quotient of two integers that a double holds exactly is rounded once, so it is
	 * correct without strtod() (Clinger 1990). */
	static const double tens[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
	                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	struct number n = {0};
	int r = scan_number(s, &n);
	double v;

	if (r < 0)
		return r;
	if (n.has_exponent || n.n_digits > 15)
		return parse_by_strtod(s, ret);
	v = (double)n.mantissa / tens[n.n_fraction];
	*ret = n.negative ? -v : v;
	return 0;
}

static const char *format_with_unit(uint64_t v, const struct unit *units, size_t n, char buf[32])
{
	for (size_t i = 0; v && i < n; i++) {
		if (v % units[i].factor == 0) {
			snprintf(buf, 32, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
			return buf;
		}
	}
	snprintf(buf, 32, "%" PRIu64, v);
	return buf;
}

const char *format_duration(int64_t us, char buf[32])
{
	/* The smallest unit is a millisecond; the rest is truncated. */
	uint64_t v = us < 0 ? 0 : (uint64_t)us;

	return format_with_unit(v - v % (uint64_t)US_PER_MS, durations, ARRAY_LEN(durations), buf);
}

const char *format_size(uint64_t bytes, char buf[32])
{
	return format_with_unit(bytes, sizes, ARRAY_LEN(sizes), buf);
}
