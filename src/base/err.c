/* err.c - an error value: a negative errno plus the message for the user */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The text may quote a file or an input line. Make it a single line that is safe on a terminal,
 * ending on a whole character. */
static void make_one_line(char *text, size_t size, size_t wanted)
{
	size_t n = wanted < size ? wanted : utf8_whole(text, size - 1);

	text[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
}

const char *err_text(int code)
{
	return code == -E_DAMAGED ? "the file is damaged" : strerror(-code);
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!err)
		return code;
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	make_one_line(err->text, sizeof(err->text), n < 0 ? 0 : (size_t)n);
	return code;
}

int err_prefix(struct err *err, int code, const char *fmt, ...)
{
	char whole[sizeof(err->text)];
	va_list ap;
	int n, m;

	if (!err)
		return code;
	va_start(ap, fmt);
	n = vsnprintf(whole, sizeof(whole), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(whole))
		return code; /* if the prefix leaves no room for the text, keep the text alone */
	m = snprintf(whole + n, sizeof(whole) - (size_t)n, ": %s", err->text);
	memcpy(err->text, whole, sizeof(whole));
	make_one_line(err->text, sizeof(err->text), (size_t)n + (size_t)(m < 0 ? 0 : m));
	return code;
}
