/* json_problem.c - why a text is not JSON, in words for whoever wrote it
 *
 * The parser's own messages say what it expected in its own terms. What people do write is known: single quotes, NaN,
 * a comma too many, Python's None, two objects on a line. Used only once a text was refused, so a second, slower
 * reader costs good lines nothing. */
#include "json/json_problem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"

enum { DEPTH_MAX = 64 };

enum expected {
	THE_OBJECT, /* the text's own */
	A_VALUE,
	AN_ELEMENT, /* or the end of a list */
	A_NAME,     /* behind a comma */
	A_MEMBER,   /* or the end of an object */
	A_COLON,
	A_COMMA, /* or the end of an object or a list */
	THE_END
};

struct scan {
	const char *start, *p, *end;
	char *why;
	enum expected expected;
	unsigned depth;
	char open[DEPTH_MAX]; /* the brackets that are open */
};

static bool problem(struct scan *s, const char *at, const char *why)
{
	s->p = at;
	snprintf(s->why, JSON_PROBLEM_MAX, "%s", why);
	return false;
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '$';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static struct slice word_at(const struct scan *s, const char *p)
{
	const char *end = p;

	while (end < s->end && is_word(*end))
		end++;
	return (struct slice){p, (size_t)(end - p)};
}

static bool is_one_of(struct slice word, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (word.n == strlen(words[i]) && strncasecmp(word.p, words[i], word.n) == 0)
			return true;
	return false;
}

/* ---- strings ---- */

static bool skip_escape(struct scan *s)
{
	if (s->p + 1 < s->end && s->p[1] == 'u') {
		for (int i = 2; i < 6; i++)
			if (s->p + i < s->end && !memchr("0123456789abcdefABCDEF", s->p[i], 22))
				return problem(s, s->p, "\\u needs four hexadecimal digits");
		s->p += 6;
		return true;
	}
	if (s->p + 1 < s->end && !memchr("\"\\/bfnrt", s->p[1], 8))
		return problem(s, s->p, "a backslash that begins no escape: write \\\\ for a backslash");
	s->p += 2;
	return true;
}

static bool skip_string(struct scan *s)
{
	const char *start = s->p;

	for (s->p++; s->p < s->end && *s->p != '"';) {
		if ((unsigned char)*s->p < 0x20)
			return problem(s, s->p,
			               "a control character in a string: write \\n for a line's end, \\t for a tab");
		if (*s->p != '\\')
			s->p++;
		else if (!skip_escape(s))
			return false;
	}
	if (s->p >= s->end)
		return problem(s, start,
		               "this string has no closing quote: an object stands on one line, ended by \\n");
	s->p++;
	return true;
}

/* ---- numbers and words ---- */

static const char not_finite[] = "JSON has no NaN and no Infinity: leave the member out";

static bool skip_digits(struct scan *s, const char *why)
{
	if (s->p >= s->end || !is_digit(*s->p))
		return problem(s, s->p, why);
	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return true;
}

static bool skip_number(struct scan *s)
{
	static const char *const infinities[] = {"Infinity", "inf", "nan"};
	const char *start = s->p;

	if (*s->p == '-' && is_one_of(word_at(s, s->p + 1), infinities, ARRAY_LEN(infinities)))
		return problem(s, start, not_finite);
	s->p += *s->p == '-';
	if (s->p + 1 < s->end && *s->p == '0' && is_word(s->p[1]) && s->p[1] != 'e' && s->p[1] != 'E')
		return problem(s, start, "a number does not begin with 0: put quotes around it if it is an id");
	if (!skip_digits(s, "a number needs a digit behind its sign"))
		return false;
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!skip_digits(s, "a number needs a digit behind its decimal point"))
			return false;
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		s->p += s->p < s->end && (*s->p == '+' || *s->p == '-');
		if (!skip_digits(s, "a number needs a digit behind its e"))
			return false;
	}
	return true;
}

static bool skip_word(struct scan *s)
{
	static const char *const numbers[] = {"NaN", "Infinity", "inf"};
	static const char *const nothing[] = {"null", "None", "nil", "undefined"};
	static const char *const truths[] = {"true", "false"};
	struct slice word = word_at(s, s->p);

	if (slice_eq(word, SLICE_LIT("null")) || slice_eq(word, SLICE_LIT("true")) ||
	    slice_eq(word, SLICE_LIT("false"))) {
		s->p += word.n;
		return true;
	}
	if (is_one_of(word, numbers, ARRAY_LEN(numbers)))
		return problem(s, s->p, not_finite);
	if (is_one_of(word, nothing, ARRAY_LEN(nothing)))
		return problem(s, s->p, "this is not JSON: write null in lower case, or leave the member out");
	if (is_one_of(word, truths, ARRAY_LEN(truths)))
		return problem(s, s->p, "true and false are written in lower case");
	return problem(s, s->p, "text stands in double quotes");
}

/* ---- what stands where something else should ---- */

static const char *what_else(const struct scan *s)
{
	switch (s->expected) {
	case THE_OBJECT:
		return "a line is one JSON object, from { to }";
	case A_VALUE:
	case AN_ELEMENT:
		return "a value is missing here";
	case A_NAME:
	case A_MEMBER:
		return "a member's name is missing here, in double quotes";
	case A_COLON:
		return "a colon is missing between a name and its value";
	case A_COMMA:
		return "a comma is missing here, or a closing bracket";
	case THE_END:
		break;
	}
	return "something follows the object: one object a line, ended by \\n";
}

/* True for what is wrong wherever it stands. */
static const char *wrong_anywhere(const struct scan *s)
{
	static const char space[] = "a space that JSON does not know (a non-breaking one)";
	unsigned char c = (unsigned char)*s->p;

	if (c == '\'')
		return "strings and names stand in double quotes, not in single ones";
	if (c == '/' || c == '#')
		return "JSON has no comments";
	if (c == '\0')
		return "a NUL byte: is this UTF-16? Lines are UTF-8";
	if (c < 0x20)
		return "a control character";
	if (s->end - s->p >= 2 && c == 0xc2 && (unsigned char)s->p[1] == 0xa0)
		return space;
	if (s->end - s->p >= 3 && c == 0xe2 && (unsigned char)s->p[1] == 0x80)
		return (unsigned char)s->p[2] >= 0x98 && (unsigned char)s->p[2] <= 0x9f
		               ? "strings and names stand in plain double quotes, not in typographic ones"
		               : space;
	if (s->end - s->p >= 3 && c == 0xef && (unsigned char)s->p[1] == 0xbb)
		return "a byte order mark, which belongs to the start of a connection or file if anywhere";
	return NULL;
}

static bool wrong(struct scan *s)
{
	const char *why = wrong_anywhere(s);
	char c = *s->p;

	if (s->expected == THE_OBJECT && (c == '[' || c == '"' || is_digit(c)))
		return problem(
		        s, s->p,
		        c == '[' ? "a line is one JSON object, not a list: write each object on a line of its own"
		                 : "a line is one JSON object, from { to }");
	if (s->expected == THE_END || s->expected == THE_OBJECT)
		return problem(s, s->p, why && s->expected == THE_OBJECT ? why : what_else(s));
	if (why)
		return problem(s, s->p, why);
	if (c == '}' || c == ']' || c == ',') {
		bool behind_comma = s->expected == A_NAME || (s->expected == A_VALUE && s->open[s->depth - 1] == '[');
		if (behind_comma || (c == ',' && (s->expected == A_MEMBER || s->expected == AN_ELEMENT)))
			return problem(s, s->p, "there is a comma too many before this");
		if (c != ',' && s->expected == A_COMMA)
			return problem(s, s->p,
			               c == '}' ? "} does not close the list that [ opened"
			                        : "] does not close the object that { opened");
	}
	if ((s->expected == A_VALUE || s->expected == AN_ELEMENT) && (c == '+' || c == '.'))
		return problem(s, s->p, "a number begins with a digit or with -");
	if ((s->expected == A_NAME || s->expected == A_MEMBER) && is_word(c))
		return problem(s, s->p, "a member's name stands in double quotes");
	return problem(s, s->p, what_else(s));
}

/* ---- the grammar ---- */

static bool open_bracket(struct scan *s)
{
	if (s->depth == DEPTH_MAX)
		return problem(s, s->p, "nested too deeply");
	s->open[s->depth++] = *s->p;
	s->expected = *s->p == '{' ? A_MEMBER : AN_ELEMENT;
	s->p++;
	return true;
}

static void close_bracket(struct scan *s)
{
	s->depth--;
	s->expected = s->depth ? A_COMMA : THE_END;
	s->p++;
}

static bool step_value(struct scan *s)
{
	char c = *s->p;
	bool good;

	if (c == '{' || c == '[')
		return open_bracket(s);
	if (c == '"')
		good = skip_string(s);
	else if (c == '-' || is_digit(c))
		good = skip_number(s);
	else if (is_word(c))
		good = skip_word(s);
	else
		return wrong(s);
	s->expected = A_COMMA;
	return good;
}

static bool step_name(struct scan *s)
{
	if (*s->p != '"')
		return wrong(s);
	s->expected = A_COLON;
	return skip_string(s);
}

static bool step(struct scan *s)
{
	char c = *s->p, top = s->depth ? s->open[s->depth - 1] : '\0';

	switch (s->expected) {
	case THE_OBJECT:
		return c == '{' ? open_bracket(s) : wrong(s);
	case A_VALUE:
		return step_value(s);
	case AN_ELEMENT:
		if (c != ']')
			return step_value(s);
		close_bracket(s);
		return true;
	case A_NAME:
		return step_name(s);
	case A_MEMBER:
		if (c != '}')
			return step_name(s);
		close_bracket(s);
		return true;
	case A_COLON:
		if (c != ':')
			return wrong(s);
		s->expected = A_VALUE;
		break;
	case A_COMMA:
		if (c == (top == '{' ? '}' : ']')) {
			close_bracket(s);
			return true;
		}
		if (c != ',')
			return wrong(s);
		s->expected = top == '{' ? A_NAME : A_VALUE;
		break;
	case THE_END:
		return wrong(s);
	}
	s->p++;
	return true;
}

size_t json_problem_find(struct slice text, char why[JSON_PROBLEM_MAX])
{
	struct scan s = {.start = text.p, .p = text.p, .end = text.p + text.n, .why = why};

	for (;;) {
		while (s.p < s.end && memchr(" \t\r\n", *s.p, 4))
			s.p++;
		if (s.p >= s.end)
			break;
		if (!step(&s))
			return (size_t)(s.p - s.start);
	}
	if (s.expected == THE_END)
		return SIZE_MAX;
	snprintf(why, JSON_PROBLEM_MAX, "%s",
	         s.depth ? "the object is not closed: it stands on one line, ended by \\n" : "there is no object");
	return text.n;
}
