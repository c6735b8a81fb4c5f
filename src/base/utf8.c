/* utf8.c - strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

static inline uint64_t load_word(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static size_t skip_ascii(const char *p, size_t at, size_t n)
{
	for (; n - at >= 16; at += 16)
		if ((load_word(p + at) | load_word(p + at + 8)) & HIGH_BITS)
			break;
	while (at < n && !((unsigned char)p[at] & 0x80))
		at++;
	return at;
}

/* Returns the length of the valid sequence at p, of which `left` bytes are available, or 0 if it
 * is invalid (Unicode 15, table 3-7). */
static size_t sequence_length(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (left < n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* below: overlong */
	else if (p[0] == 0xed)
		high = 0x9f; /* above: surrogates */
	else if (p[0] == 0xf0)
		low = 0x90; /* below: overlong */
	else if (p[0] == 0xf4)
		high = 0x8f; /* above: past U+10FFFF */
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

size_t utf8_check(const char *p, size_t n)
{
	size_t at = 0;

	for (;;) {
		size_t len;

		at = skip_ascii(p, at, n);
		if (at == n)
			return n;
		len = sequence_length((const unsigned char *)p + at, n - at);
		if (len == 0)
			return at;
		at += len;
	}
}

size_t utf8_count(const char *p, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)p[i] & 0xc0) != 0x80;
	return count;
}

size_t utf8_whole(const char *p, size_t n)
{
	for (size_t tail = 1; tail <= 3 && tail <= n; tail++) {
		unsigned char c = (unsigned char)p[n - tail];

		if (c >= 0xc0) /* a lead byte: check whether the whole character is present */
			return utf8_check(p + n - tail, tail) == tail ? n : n - tail;
		if (c < 0x80)
			break;
	}
	return n;
}

size_t utf8_truncate(const char *p, size_t n, size_t max)
{
	size_t cut = max;

	if (n <= max)
		return n;
	for (int i = 0; i < 3 && cut > 0 && ((unsigned char)p[cut] & 0xc0) == 0x80; i++)
		cut--;
	/* Four continuation bytes in a row are not part of a character, so the text can be cut
	 * anywhere. */
	return ((unsigned char)p[cut] & 0xc0) == 0x80 ? max : cut;
}
