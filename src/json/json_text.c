/* json_text.c - JSON text written and scanned without a library, where one would allocate */
#include "json/json_text.h"

#include <stdint.h>

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

/* True if any of eight bytes is below bound, which is at most 0x80: then the subtraction sets
 * the high bit of a byte whose high bit was clear. */
static uint64_t any_below(uint64_t w, unsigned char bound)
{
	return (w - EACH_BYTE(bound)) & ~w & EACH_BYTE(0x80);
}

/* Returns the number of bytes at p that need no escape; checks eight bytes at a time, then
 * single bytes. */
static size_t plain_length(const char *p, size_t n)
{
	size_t at = 0;
	uint64_t w;

	for (; n - at >= sizeof(w); at += sizeof(w)) {
		memcpy(&w, p + at, sizeof(w));
		if (any_below(w, 0x20) | any_below(w ^ EACH_BYTE('"'), 1) | any_below(w ^ EACH_BYTE('\\'), 1))
			break;
	}
	while (at < n && is_plain((unsigned char)p[at]))
		at++;
	return at;
}

static int append_escape(struct buf *out, unsigned char c)
{
	static const char shorts[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

	if (c < 0x20 && !shorts[c])
		return buf_printf(out, "\\u%04x", c);
	return buf_append(out, (char[]){'\\', c < 0x20 ? shorts[c] : (char)c}, 2);
}

int json_text_append_string(struct buf *out, struct slice s)
{
	size_t at = 0;
	int r = buf_append_char(out, '"');

	while (r == 0 && at < s.n) {
		size_t plain = plain_length(s.p + at, s.n - at);

		r = buf_append(out, s.p + at, plain);
		at += plain;
		if (r == 0 && at < s.n)
			r = append_escape(out, (unsigned char)s.p[at++]);
	}
	return r < 0 ? r : buf_append_char(out, '"');
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* p points at the opening quote. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

static const char *skip_value(const char *p, const char *end)
{
	unsigned depth = 0;

	while (p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			if (depth == 0)
				return p;
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']') {
			if (depth == 0)
				return p; /* a number or literal that the end of its container terminates */
			if (--depth == 0)
				return p + 1;
		} else if (depth == 0 && (*p == ',' || *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
			return p;
		}
		p++;
	}
	return end;
}

/* p points at a member's name, or at the end of the object. */
static bool read_member(const char *p, const char *end, struct json_text_member *ret)
{
	const char *key = skip_space(p, end), *key_end, *value;

	if (key >= end || *key != '"')
		return false;
	key_end = skip_string(key, end);
	value = skip_space(key_end, end);
	if (value >= end || *value != ':')
		return false;
	value = skip_space(value + 1, end);
	ret->key = (struct slice){key, (size_t)(key_end - key)};
	ret->value = (struct slice){value, (size_t)(skip_value(value, end) - value)};
	ret->end = end;
	return true;
}

bool json_text_first(struct slice object, struct json_text_member *ret)
{
	const char *end = object.p + object.n, *p;

	if (object.n == 0)
		return false;
	p = skip_space(object.p, end);
	return p < end && *p == '{' && read_member(p + 1, end, ret);
}

bool json_text_next(struct json_text_member *m)
{
	const char *p = skip_space(m->value.p + m->value.n, m->end);

	return p < m->end && *p == ',' && read_member(p + 1, m->end, m);
}
