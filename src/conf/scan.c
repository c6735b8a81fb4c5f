/* scan.c - refuses libconfig syntax that its versions read differently or wrongly
 *
 * All versions join two strings that lack a comma between them, let an unterminated string run on to the next quote,
 * and recurse as deep as the file nests. (1,) and (1,,2) are errors in 1.5 only; "\x00" is left out in 1.5 and ends
 * the string in 1.7; "\a" is two characters before 1.7.4 and one since. For numbers see number.c. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "conf/number.h"
#include "conf/reader.h"

enum { NAMES_MAX = 256 /* settings of the open groups; a right file has fewer */ };
enum { DEPTH_MAX = 16, LINES_MAX = USHRT_MAX /* libconfig counts in an unsigned short */ };

struct scan {
	const struct reader *rd;
	const char *at, *end;
	unsigned line, depth;
	unsigned comma_line; /* line of a comma that no value has followed yet; 0: none */
	bool after_string;
	struct slice name; /* of a setting, if '=' or ':' follows; empty: the last token was no name */
	struct setting {
		struct slice name;
		unsigned line, depth;
	} settings[NAMES_MAX]; /* of the groups that are open */
	size_t n_settings;
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

/* Moves s->at from a backslash to the character that it escapes, so that an escaped quote does not end the string. */
static int skip_escape(struct scan *s)
{
	size_t left = (size_t)(s->end - s->at);

	if (left < 2 || s->at[1] == '\n')
		return 0;
	s->at++;
	if (strchr("abv", *s->at))
		return fail(
		        s,
		        "the escapes \\a, \\b and \\v are not supported: libconfig's versions read them differently");
	if (left >= 4 && memcmp(s->at + 1, "00", 2) == 0 && (*s->at == 'x' || *s->at == 'X'))
		return fail(s, "a string must not contain the escape \\x00");
	return 0;
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
		if (*s->at == '\\' && skip_escape(s) < 0)
			return -EINVAL;
	}
	return fail(s, "a string that begins on this line is not closed on it");
}

/* ---- numbers ---- */

static bool is_number_start(char c)
{
	return isdigit((unsigned char)c) || c == '-' || c == '+' || c == '.';
}

/* Takes all characters adjacent to the number: libconfig would begin a setting's name in the middle of "5x". */
static struct slice take_number(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && (is_number_start(*s->at) || isalpha((unsigned char)*s->at) || *s->at == '_'))
		s->at++;
	return (struct slice){from, (size_t)(s->at - from)};
}

static void take_name(struct scan *s)
{
	s->name.p = s->at;
	while (s->at < s->end && (isalnum((unsigned char)*s->at) || *s->at == '_' || *s->at == '-' || *s->at == '*'))
		s->at++;
	s->name.n = (size_t)(s->at - s->name.p);
}

/* libconfig finds a setting that is given twice too, but does not say which. */
static int note_setting(struct scan *s, struct slice name)
{
	for (size_t i = 0; i < s->n_settings; i++) {
		const struct setting *earlier = &s->settings[i];

		if (earlier->depth == s->depth && slice_eq(earlier->name, name))
			return reader_fail(s->rd, s->line, NULL, "%.*s is given twice: here and on line %u",
			                   (int)(name.n > 40 ? 40 : name.n), name.p, earlier->line);
	}
	if (s->n_settings < NAMES_MAX)
		s->settings[s->n_settings++] = (struct setting){name, s->line, s->depth};
	return 0;
}

static void close_bracket(struct scan *s)
{
	while (s->n_settings > 0 && s->settings[s->n_settings - 1].depth >= s->depth)
		s->n_settings--;
	s->depth -= s->depth > 0;
}

static int check_number(struct scan *s)
{
	struct slice word = take_number(s);
	const char *problem = number_problem(word);

	if (!problem)
		return 0;
	return reader_fail(s->rd, s->line, NULL, "the number %.*s %s", (int)(word.n > 40 ? 40 : word.n), word.p,
	                   problem);
}

static int open_bracket(struct scan *s)
{
	s->at++;
	return ++s->depth > DEPTH_MAX ? fail(s, "groups and lists are nested more than 16 deep") : 0;
}

/* A comma must be followed by a value or a setting, not by a bracket, another separator or the end. */
static int check_comma(struct scan *s, char next)
{
	unsigned line = s->comma_line;

	s->comma_line = 0;
	if (line && strchr(")]},;", next))
		return reader_fail(s->rd, line, NULL, "nothing follows this comma: take it out");
	if (next == ',')
		s->comma_line = s->line;
	return 0;
}

/* Skips blanks and comments; *ret is whether there were any. */
static int skip_blank(struct scan *s, bool *ret)
{
	char c = *s->at;

	*ret = true;
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
	*ret = c == ' ' || c == '\t' || c == '\r' || c == '\f';
	s->at += *ret;
	return 0;
}

static int scan_token(struct scan *s)
{
	struct slice name = s->name;
	char c = *s->at;

	s->name = (struct slice){NULL, 0};

	if (c == '"')
		return skip_string(s);
	s->after_string = false;
	if (c == '@')
		return fail(s, "@include is not supported: a configuration is one file, and secrets have files of "
		               "their own");
	if (iscntrl((unsigned char)c))
		return fail(s, "a control character stands here");
	if (c == '(' || c == '[' || c == '{')
		return open_bracket(s);
	if (c == ')' || c == ']' || c == '}')
		close_bracket(s);
	if (is_number_start(c))
		return check_number(s);
	if (isalpha((unsigned char)c) || c == '*')
		take_name(s);
	else
		s->at++;
	return name.n && (c == '=' || c == ':') ? note_setting(s, name) : 0;
}

static int scan_next(struct scan *s)
{
	bool blank;
	int r = skip_blank(s, &blank);

	if (r < 0 || blank)
		return r;
	r = check_comma(s, *s->at);
	return r < 0 ? r : scan_token(s);
}

int scan_text(const struct reader *rd, const char *text, size_t n)
{
	struct scan s = {.rd = rd, .at = text, .end = text + n, .line = 1};

	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return fail(&s, "the file begins with a byte order mark: save it as plain UTF-8");
	if (memchr(text, '\0', n))
		return reader_fail(rd, 0, NULL, "the file holds a NUL byte: it is no configuration");
	while (s.at < s.end) {
		int r = scan_next(&s);

		if (r < 0)
			return r;
	}
	return check_comma(&s, '}');
}
