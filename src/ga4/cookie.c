/* cookie.c - the ids inside Google's cookies, and times as GA4 writes them */
#include "ga4/cookie.h"

#include <errno.h>

#include "base/parse.h"

enum { SESSION_ID_DIGITS = 19 }; /* what int64_t holds */

/* Takes a run of digits from the front. */
static bool take_digits(struct slice *s, struct slice *ret)
{
	size_t n = 0;

	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
		n++;
	if (ret)
		*ret = (struct slice){s->p, n};
	s->p += n;
	s->n -= n;
	return n > 0;
}

static bool take(struct slice *s, struct slice literal)
{
	if (!slice_starts(*s, literal))
		return false;
	s->p += literal.n;
	s->n -= literal.n;
	return true;
}

/* "<letters><version>.<domain level>[-<path level>]." */
static bool take_prefix(struct slice *s, struct slice letters, struct slice *ret_version)
{
	if (!take(s, letters) || !take_digits(s, ret_version) || !take(s, SLICE_LIT(".")) || !take_digits(s, NULL))
		return false;
	if (take(s, SLICE_LIT("-")) && !take_digits(s, NULL))
		return false;
	return take(s, SLICE_LIT("."));
}

bool cookie_client_id(struct slice value, struct slice *ret)
{
	struct slice rest = value, id;

	if (!take_prefix(&rest, SLICE_LIT("GA"), NULL))
		return false;
	id = rest;
	if (!take_digits(&rest, NULL) || !take(&rest, SLICE_LIT(".")) || !take_digits(&rest, NULL) || rest.n > 0)
		return false;
	*ret = id;
	return true;
}

static bool is_session_id(struct slice digits)
{
	size_t zeros = 0;

	while (zeros < digits.n && digits.p[zeros] == '0')
		zeros++;
	return digits.n > zeros && digits.n <= SESSION_ID_DIGITS;
}

/* GS2: "s1700000000$o1$g0$t…", fields of a letter and a value. */
static bool find_session_field(struct slice fields, struct slice *ret)
{
	while (fields.n > 0) {
		const char *end = memchr(fields.p, '$', fields.n);
		size_t n = end ? (size_t)(end - fields.p) : fields.n;
		struct slice field = {fields.p, n};

		if (take(&field, SLICE_LIT("s")) && take_digits(&field, ret) && field.n == 0)
			return true;
		fields.p += n + (end != NULL);
		fields.n -= n + (end != NULL);
	}
	return false;
}

bool cookie_session_id(struct slice value, struct slice *ret)
{
	struct slice rest = value, version, id;

	if (!take_prefix(&rest, SLICE_LIT("GS"), &version))
		return false;
	if (slice_eq(version, SLICE_LIT("1"))) {
		if (!take_digits(&rest, &id) || (rest.n > 0 && rest.p[0] != '.'))
			return false;
	} else if (!find_session_field(rest, &id)) {
		return false;
	}
	if (!is_session_id(id))
		return false;
	*ret = id;
	return true;
}

/* -EINVAL only where something is no digit, or nothing is there. */
static int micros_from_digits(struct slice digits, bool negative, int64_t *ret)
{
	uint64_t v;
	int r = parse_u64(digits, &v);

	if (r == -EINVAL)
		return r;
	if (r < 0 || v > INT64_MAX)
		*ret = negative ? INT64_MIN : INT64_MAX;
	else
		*ret = negative ? -(int64_t)v : (int64_t)v;
	return 0;
}

static int micros_from_double(struct slice text, int64_t *ret)
{
	double v;
	int r = parse_json_double(text, &v);

	if (r < 0)
		return -EINVAL;
	/* beyond 2^63 every double is whole, and far out of any window */
	if (v >= 9223372036854775808.0)
		*ret = INT64_MAX;
	else if (v < -9223372036854775808.0)
		*ret = INT64_MIN;
	else if (v != (double)(int64_t)v)
		return -EINVAL;
	else
		*ret = (int64_t)v;
	return 0;
}

int micros_read(const struct json_doc *d, const struct json_node *node, int64_t *ret)
{
	struct slice text = json_value(d, node), digits = text;
	bool negative;

	if (node->type == JSON_STRING)
		return micros_from_digits(text, false, ret);
	if (node->type != JSON_NUMBER)
		return -EINVAL;
	negative = take(&digits, SLICE_LIT("-"));
	if (micros_from_digits(digits, negative, ret) == 0)
		return 0;
	return micros_from_double(text, ret); /* 1.7e15 is whole too */
}

/* "1700000000000000.25": the digits before the point are the time. Whether any behind it counts: *ret_rest. */
static bool split_fraction(struct slice text, struct slice *ret_whole, bool *ret_rest)
{
	struct slice rest = text, fraction;

	if (!take_digits(&rest, ret_whole) || !take(&rest, SLICE_LIT(".")) || !take_digits(&rest, &fraction) ||
	    rest.n)
		return false;
	*ret_rest = false;
	for (size_t i = 0; i < fraction.n; i++)
		*ret_rest |= fraction.p[i] != '0';
	return true;
}

/* With a sign or an exponent only a double says what it is. One that has a fraction fits an int64_t. */
static int floor_of_double(struct slice text, int64_t *ret)
{
	double v;

	if (parse_json_double(text, &v) < 0)
		return -EINVAL;
	*ret = (int64_t)v - (v < (double)(int64_t)v);
	return 1;
}

/* By its text first: to the nearest double 1700000000000000.9 would be whole, and a microsecond later. */
int micros_read_time(const struct json_doc *d, const struct json_node *node, int64_t *ret)
{
	struct slice text = json_value(d, node), whole;
	bool rest, is_number = node->type == JSON_NUMBER;
	int r;

	if ((is_number || node->type == JSON_STRING) && split_fraction(text, &whole, &rest)) {
		(void)micros_from_digits(whole, false, ret); /* they are digits */
		return rest;
	}
	r = micros_read(d, node, ret);
	return r == 0 || !is_number ? r : floor_of_double(text, ret);
}
