/* redact.c - removes a stream's secret from the text of an endpoint's answer */
#include "conf/redact.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* A shorter beginning of a secret at the end of a text reveals nothing and occurs by chance. */
enum { TELLTALE = 4, SECRET_MAX = 512 };

static void cover(char *text, const char *secret)
{
	size_t n = strlen(secret), length = strlen(text);

	if (n == 0)
		return;
	for (char *at = strstr(text, secret); at; at = strstr(at + n, secret))
		memset(at, '*', n);
	for (size_t k = n - 1 < length ? n - 1 : length; k >= TELLTALE; k--) {
		if (memcmp(text + length - k, secret, k) == 0) {
			memset(text + length - k, '*', k);
			return;
		}
	}
}

static int hex_digit(char c)
{
	const char *digits = "0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static void decode(const char *from, char to[SECRET_MAX + 1])
{
	size_t n = 0;

	for (; *from && n < SECRET_MAX; from++) {
		if (*from == '%' && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0) {
			to[n++] = (char)(hex_digit(from[1]) << 4 | hex_digit(from[2]));
			from += 2;
		} else {
			to[n++] = *from;
		}
	}
	to[n] = '\0';
}

void redact_answer(char *text, const char *url)
{
	static const char name[] = "api_secret=";
	char secret[SECRET_MAX + 1];
	const char *encoded = strstr(url, name);

	if (!encoded || text[0] == '\0')
		return;
	encoded += strlen(name);
	decode(encoded, secret);
	cover(text, secret);
	cover(text, encoded);
	explicit_bzero(secret, sizeof(secret));
}
