/* redact_line.c - removes the configured secrets from the kept text of a refused line
 *
 * The text is searched as it is, with its JSON escapes resolved, and with percent-encoding resolved after that. For
 * each byte of a resolved text, the offset in the original text is kept. */
#include "conf/redact_line.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* A shorter beginning of a secret at the end of a text reveals nothing and occurs by chance. */
enum { TELLTALE = 4 };

struct form {
	char *bytes;
	uint32_t *from; /* [n + 1]: offset in the text where each byte begins; the last entry is the end */
	size_t n;
};

static int form_init(struct form *f, size_t most)
{
	f->bytes = malloc(most + 1);
	f->from = malloc((most + 1) * sizeof(*f->from));
	f->n = 0;
	return f->bytes && f->from ? 0 : -1;
}

static void form_free(struct form *f)
{
	free(f->bytes);
	free(f->from);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the value of exactly `digits` hexadecimal digits, or -1. */
static int hex_value(const char *p, const char *end, int digits)
{
	int v = 0;

	if (end - p < digits)
		return -1;
	for (int i = 0; i < digits; i++) {
		if (hex(p[i]) < 0)
			return -1;
		v = v << 4 | hex(p[i]);
	}
	return v;
}

/* An encoded character: how many bytes of text it takes, and the bytes it stands for. */
struct piece {
	size_t taken, n;
	char bytes[4];
};

static struct piece plain_piece(const char *p)
{
	return (struct piece){.taken = 1, .n = 1, .bytes = {*p}};
}

static struct piece json_piece(const char *p, const char *end)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	int code;

	if (*p != '\\' || end - p < 2)
		return plain_piece(p);
	letter = p[1] ? strchr(letters, p[1]) : NULL;
	if (letter)
		return (struct piece){.taken = 2, .n = 1, .bytes = {meant[letter - letters]}};
	code = p[1] == 'u' ? hex_value(p + 2, end, 4) : -1;
	if (code < 0)
		return plain_piece(p);
	if (code < 0x80)
		return (struct piece){6, 1, {(char)code}};
	if (code < 0x800)
		return (struct piece){6, 2, {(char)(0xc0 | code >> 6), (char)(0x80 | (code & 0x3f))}};
	return (struct piece){
	        6, 3, {(char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3f)), (char)(0x80 | (code & 0x3f))}};
}

static struct piece percent_piece(const char *p, const char *end)
{
	int code = *p == '%' ? hex_value(p + 1, end, 2) : -1;

	return code < 0 ? plain_piece(p) : (struct piece){3, 1, {(char)code}};
}

/* Decodes from into to. to has room for from->n bytes, because decoding never makes a text longer. */
static void resolve(const struct form *from, struct form *to,
                    struct piece (*piece_at)(const char *p, const char *end))
{
	const char *end = from->bytes + from->n;

	for (size_t at = 0; at < from->n;) {
		struct piece piece = piece_at(from->bytes + at, end);

		for (size_t i = 0; i < piece.n; i++) {
			to->bytes[to->n] = piece.bytes[i];
			to->from[to->n++] = from->from[at];
		}
		at += piece.taken;
	}
	to->from[to->n] = from->from[from->n];
}

static void cover(char *text, const struct form *f, size_t at, size_t n)
{
	memset(text + f->from[at], '*', f->from[at + n] - f->from[at]);
}

static void cover_secret(char *text, const struct form *f, const char *secret)
{
	size_t n = strlen(secret), at = 0;
	const char *found;

	if (n == 0)
		return;
	while (at < f->n && (found = memmem(f->bytes + at, f->n - at, secret, n))) {
		cover(text, f, (size_t)(found - f->bytes), n);
		at = (size_t)(found - f->bytes) + n;
	}
	for (size_t k = n - 1 < f->n ? n - 1 : f->n; k >= TELLTALE; k--) {
		if (memcmp(f->bytes + f->n - k, secret, k) == 0) {
			cover(text, f, f->n - k, k);
			return;
		}
	}
}

/* Builds the three forms to search; forms[0] is the text as it is. */
static int make_forms(struct form forms[3], const char *text, size_t n)
{
	for (int i = 0; i < 3; i++)
		if (form_init(&forms[i], n) < 0)
			return -1;
	memcpy(forms[0].bytes, text, n);
	for (size_t i = 0; i <= n; i++)
		forms[0].from[i] = (uint32_t)i;
	forms[0].n = n;
	resolve(&forms[0], &forms[1], json_piece);
	resolve(&forms[1], &forms[2], percent_piece);
	return 0;
}

void redact_line(char *text, size_t n, const struct conf *conf)
{
	struct form forms[3] = {{0}};

	if (n == 0)
		return;
	if (make_forms(forms, text, n) < 0) {
		memset(text, '*', n); /* out of memory, so the text cannot be searched: hide all of it */
	} else {
		for (size_t s = 0; s < conf->n_streams; s++)
			for (int i = 0; i < 3; i++)
				if (conf->streams[s].secret)
					cover_secret(text, &forms[i], conf->streams[s].secret);
	}
	for (int i = 0; i < 3; i++) {
		if (forms[i].bytes)
			explicit_bzero(forms[i].bytes, forms[i].n);
		form_free(&forms[i]);
	}
}
