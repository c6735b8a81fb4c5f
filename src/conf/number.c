/* number.c - checks that every version of libconfig reads a number alike
 *
 * 1.5 reads 4294967301 as 5 and 0xFFFFFFFF as -1, where later versions keep the value or refuse it. 010 is 10 in 1.5,
 * 8 in 1.7 and 10 in 1.8; 08 is an error in 1.7 only; 0b10 and 0q10 are numbers from 1.8 on. */
#include "conf/number.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>

#include "base/parse.h"

static int read_hex(struct slice digits, uint64_t *ret)
{
	uint64_t v = 0;

	if (digits.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < digits.n; i++)
		if (!isxdigit((unsigned char)digits.p[i]))
			return -EINVAL;
	if (digits.n > 16)
		return -ERANGE;
	for (size_t i = 0; i < digits.n; i++) {
		int c = tolower((unsigned char)digits.p[i]);

		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	return 0;
}

static size_t skip_digits(struct slice s, size_t at)
{
	while (at < s.n && isdigit((unsigned char)s.p[at]))
		at++;
	return at;
}

/* Whether s, without a sign, is a float. No option takes a float; the check of the option's type reports it. */
static bool is_float(struct slice s)
{
	size_t at = skip_digits(s, 0), exponent;

	if (at < s.n && s.p[at] == '.')
		at = skip_digits(s, at + 1);
	if (at == 0 || at == s.n)
		return at > 0;
	if (s.p[at] != 'e' && s.p[at] != 'E')
		return false;
	at++;
	if (at < s.n && (s.p[at] == '-' || s.p[at] == '+'))
		at++;
	exponent = at;
	at = skip_digits(s, at);
	return at > exponent && at == s.n;
}

static bool is_hex(struct slice s)
{
	return s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'X');
}

const char *number_problem(struct slice word)
{
	struct slice digits = word;
	unsigned suffix = 0;
	uint64_t v;
	int r;

	if (word.p[0] == '-' || word.p[0] == '+')
		digits = (struct slice){word.p + 1, word.n - 1};
	if (digits.n > 1 && digits.p[0] == '0' && isdigit((unsigned char)digits.p[1]))
		return "has a leading zero, which some versions of libconfig take for octal: write it without";
	if (is_float(digits) && skip_digits(digits, 0) < digits.n)
		return NULL;
	for (; digits.n && digits.p[digits.n - 1] == 'L'; digits.n--)
		suffix++;
	r = is_hex(word) ? read_hex((struct slice){digits.p + 2, digits.n - 2}, &v) : parse_u64(digits, &v);
	if (r == -EINVAL || suffix > 2)
		return "is not a decimal or hexadecimal number";
	if (r < 0 || v > (uint64_t)(suffix ? INT64_MAX : INT32_MAX))
		return "is out of range (a size or a duration is a string: \"8G\")";
	return NULL;
}
