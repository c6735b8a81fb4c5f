/* scan.c - reads a configuration's tokens for what libconfig lets pass and must not
 *
 * libconfig 1.5 takes 4294967301 for 5 and 0xFFFFFFFF for -1, makes one value of two strings between which a comma is
 * missing, lets a string that was not closed run on to the next quote, and recurses as deep as it is told to. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/parse.h"
#include "conf/reader.h"

enum { DEPTH_MAX = 16, LINES_MAX = USHRT_MAX /* libconfig counts in an unsigned short */ };

struct scan {
	const struct reader *rd;
	const char *at, *end;
	unsigned line, depth;
	bool after_string;
};

static int fail(const struct scan *s, const char *sentence)
{
	return reader_fail(s->rd, s->line, NULL, "%s", sentence);
}

static void skip_to_line_end(struct scan *s)
{
	while (s->at < s->end && *s->at != '\n')
		s->at++;
}

static int skip_comment(struct scan *s)
{
	unsigned began = s->line;

	for (s->at += 2; s->end - s->at >= 2; s->at++) {
		if (s->at[0] == '*' && s->at[1] == '/') {
			s->at += 2;
			return 0;
		}
		s->line += s->at[0] == '\n';
	}
	return reader_fail(s->rd, began, NULL, "a comment that begins here is not closed");
}

static int skip_string(struct scan *s)
{
	if (s->after_string)
		return fail(s, "two strings follow each other: a comma or a semicolon is missing before this one");
	for (s->at++; s->at < s->end && *s->at != '\n'; s->at++) {
		if (*s->at == '"') {
			s->at++;
			s->after_string = true;
			return 0;
		}
		if (*s->at == '\\' && s->end - s->at > 1 && s->at[1] != '\n')
			s->at++;
	}
	return fail(s, "a string that begins on this line is not closed on it");
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '*' || c == '-' || c == '.' || c == '+';
}

static struct slice take_word(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && is_word(*s->at))
		s->at++;
	return (struct slice){from, (size_t)(s->at - from)};
}

static int read_hex(struct slice digits, uint64_t *ret)
{
	uint64_t v = 0;

	if (digits.n == 0 || digits.n > 16)
		return -ERANGE;
	for (size_t i = 0; i < digits.n; i++) {
		int c = tolower((unsigned char)digits.p[i]);

		if (!isxdigit(c))
			return -EINVAL;
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	return 0;
}

/* Whether libconfig would keep the value; what is no integer at all is left to it. */
static bool integer_fits(struct slice word)
{
	bool hex, wide = false;
	uint64_t v;
	int r;

	if (word.p[0] == '-' || word.p[0] == '+')
		word = (struct slice){word.p + 1, word.n - 1};
	for (; word.n && (word.p[word.n - 1] == 'L'); word.n--)
		wide = true;
	hex = word.n > 2 && word.p[0] == '0' && (word.p[1] == 'x' || word.p[1] == 'X');
	if (hex)
		r = read_hex((struct slice){word.p + 2, word.n - 2}, &v);
	else
		r = parse_u64(word, &v);
	if (r < 0)
		return r != -ERANGE;
	return v <= (uint64_t)(wide ? INT64_MAX : INT32_MAX);
}

static int check_word(struct scan *s)
{
	struct slice word = take_word(s);

	if (!isalpha((unsigned char)word.p[0]) && word.p[0] != '*' && !integer_fits(word))
		return reader_fail(s->rd, s->line, NULL,
		                   "the integer %.*s is out of range (a size or a duration is a string: \"8G\")",
		                   (int)(word.n > 40 ? 40 : word.n), word.p);
	return 0;
}

static int open_bracket(struct scan *s)
{
	s->at++;
	return ++s->depth > DEPTH_MAX ? fail(s, "groups and lists are nested more than 16 deep") : 0;
}

static int scan_token(struct scan *s)
{
	char c = *s->at;

	if (c == '"')
		return skip_string(s);
	if (c == '#' || (c == '/' && s->end - s->at > 1 && s->at[1] == '/')) {
		skip_to_line_end(s);
		return 0;
	}
	if (c == '/' && s->end - s->at > 1 && s->at[1] == '*')
		return skip_comment(s);
	if (c == '\n') {
		s->at++;
		return ++s->line > LINES_MAX ? fail(s, "the file has more than 65535 lines") : 0;
	}
	if (isspace((unsigned char)c)) {
		s->at++;
		return 0;
	}
	s->after_string = false;
	if (c == '@')
		return fail(s, "@include is not supported: a configuration is one file, and secrets have files of "
		               "their own");
	if (c == '(' || c == '[' || c == '{')
		return open_bracket(s);
	if (c == ')' || c == ']' || c == '}')
		s->depth -= s->depth > 0;
	if (is_word(c))
		return check_word(s);
	s->at++;
	return 0;
}

int scan_text(const struct reader *rd, const char *text, size_t n)
{
	struct scan s = {.rd = rd, .at = text, .end = text + n, .line = 1};

	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return fail(&s, "the file begins with a byte order mark: save it as plain UTF-8");
	if (memchr(text, '\0', n))
		return reader_fail(rd, 0, NULL, "the file holds a NUL byte: it is no configuration");
	while (s.at < s.end) {
		int r = scan_token(&s);

		if (r < 0)
			return r;
	}
	return 0;
}
