/* test_json_read.c - strict JSON: what yajl lets pass is refused, and what is accepted keeps its bytes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "sanitized.h"
#include "json/json_read.h"
#include "json/json_text.h"
#include "json/json_write.h"

static int up(void **state)
{
	*state = json_in_new(32);
	return *state ? 0 : -1;
}

static int down(void **state)
{
	json_in_free(*state);
	return 0;
}

static UNUSED int read_slice_quietly(struct json_in *in, struct slice text)
{
	const struct json_doc *doc;

	return json_in_read(in, text, &doc, NULL);
}

static int read_slice(struct json_in *in, struct slice text, const struct json_doc **ret)
{
	const struct json_doc *doc = NULL;
	struct err err = {""};
	int r = json_in_read(in, text, &doc, &err);

	assert_true(r == 0 ? doc != NULL : err.text[0] != '\0');
	if (ret)
		*ret = doc;
	return r;
}

static int read_text(struct json_in *in, const char *text)
{
	return read_slice(in, slice_of(text), NULL);
}

struct bytes_case {
	struct slice text;
	bool good;
};
#define GOOD(s)                                                                                                      \
	{                                                                                                            \
		SLICE_LIT(s), true                                                                                   \
	}
#define BAD(s)                                                                                                       \
	{                                                                                                            \
		SLICE_LIT(s), false                                                                                  \
	}

static void run(void **state, const struct bytes_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = read_slice(*state, cases[i].text, NULL);

		if (r != (cases[i].good ? 0 : -EBADMSG))
			fail_msg("%zu: %.*s: %d", i, SLICE_ARG(cases[i].text), r);
		/* Whatever went wrong, the next line is read. */
		assert_int_equal(read_text(*state, "{\"a\":1}"), 0);
	}
}

/* Trap 19: overlong forms, raw surrogates, past U+10FFFF; surrogate escapes. */
static void trap_19_utf8_and_surrogates(void **state)
{
	static const struct bytes_case cases[] = {
	        GOOD("{\"a\":\"\xc3\xa9\"}"),
	        BAD("{\"a\":\"\xc0\x80\"}"),
	        BAD("{\"a\":\"\xe0\x80\xaf\"}"),
	        BAD("{\"a\":\"\xf0\x80\x80\xaf\"}"),
	        BAD("{\"a\":\"\xed\xa0\x80\"}"),
	        BAD("{\"a\":\"\xed\xbf\xbf\"}"),
	        GOOD("{\"a\":\"\xf4\x8f\xbf\xbf\"}"),
	        BAD("{\"a\":\"\xf4\x90\x80\x80\"}"),
	        BAD("{\"a\":\"\xf5\x80\x80\x80\"}"),
	        BAD("{\"a\":\"\xff\"}"),
	        BAD("{\"a\":\"\xc3\"}"),
	        BAD("{\"\xc3\":1}"),
	        BAD("\xef\xbb\xbf{\"a\":1}"),
	        GOOD("{\"a\":\"\\ud83d\\ude00\"}"),
	        BAD("{\"a\":\"\\ud800\"}"),
	        BAD("{\"a\":\"\\udc00\"}"),
	        BAD("{\"a\":\"\\ud800\\u0041\"}"),
	        BAD("{\"a\":\"\\ud800x\"}"),
	        BAD("{\"a\":\"\\ud800\\ud800\"}"),
	        BAD("{\"a\":\"\\udc00\\ud800\"}"),
	        BAD("{\"a\":\"\\ud800\\n\"}"),
	        BAD("{\"\\udfff\":1}"),
	        BAD("{\"a\":\"\\udc00\\udc00\"}"),
	        GOOD("{\"a\":\"\\ud7ff\\ue000\"}"),
	        GOOD("{\"a\":\"\\\\ud800\"}"),
	        BAD("{\"a\":\"\\\\\\ud800\"}"),
	        GOOD("{\"a\":\"\\u0000\"}"),
	        GOOD("{\"a\":\"\\uDBFF\\uDFFF\"}"),
	        BAD("{\"a\":\"\\ud83d\\ude00\\ud83d\"}"),
	};

	run(state, cases, ARRAY_LEN(cases));
}

/* Trap 20: form feed and vertical tab as white space; depth; duplicates. */
static void trap_20_white_space(void **state)
{
	static const struct bytes_case cases[] = {
	        GOOD(" \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \r"),
	        BAD("{\f\"a\":1}"),
	        BAD("{\"a\"\f:1}"),
	        BAD("{\"a\":\v1}"),
	        BAD("{\"a\":1\v}"),
	        BAD("\f{\"a\":1}"),
	        BAD("{\"a\":1}\f"),
	        BAD("{\"a\":[\f]}"),
	        BAD("{\"a\":\"\f\"}"),
	        BAD("{\"a\":\xc2\xa0 1}"),
	        BAD("{\"a\":\"\t\"}"),
	        BAD("{\"a\":\"\x01\"}"),
	        BAD("{\"a\":\"\x1f\"}"),
	        GOOD("{\"a\":\"\x7f\"}"),
	        BAD("{\"a\":\"x\0y\"}"),
	        BAD("{\"a\":1\0}"),
	        BAD("{\"a\t\":1}"),
	};

	run(state, cases, ARRAY_LEN(cases));
}

static void trap_20_depth(void **state)
{
	char text[256];

	for (int depth = 30; depth <= 40; depth++) {
		/* The root is one level, each bracket another. */
		int n = snprintf(text, sizeof(text), "{\"a\":%.*s%.*s}", depth - 1,
		                 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", depth - 1,
		                 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");

		assert_int_equal(read_slice(*state, (struct slice){text, (size_t)n}, NULL),
		                 depth <= 32 ? 0 : -EBADMSG);
	}
}

static void trap_20_duplicates(void **state)
{
	static const struct bytes_case cases[] = {
	        BAD("{\"a\":1,\"a\":1}"),
	        GOOD("{\"a\":{\"a\":{\"a\":1}}}"),
	        BAD("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}"),
	        BAD("{\"a\":1,\"\\u0061\":2}"),
	        GOOD("{\"a\":1,\"A\":2}"),
	        BAD("{\"\":1,\"\":2}"),
	        GOOD("{\"x\":[{\"a\":1},{\"a\":1}]}"),
	        BAD("{\"a\":{\"b\":1},\"a\":{}}"),
	};

	run(state, cases, ARRAY_LEN(cases));
}

static void a_duplicate_is_named(void **state)
{
	const struct json_doc *doc;
	struct err err;

	assert_int_equal(json_in_read(*state, SLICE_LIT("{\"ab\":1,\"\\u0061b\":2}"), &doc, &err), -EBADMSG);
	assert_string_equal(err.text, "not valid JSON at byte 9: a member of that name is already there: 'ab'");
	assert_int_equal(json_in_read(*state, SLICE_LIT("{\"ab\":\"\x01\"}"), &doc, &err), -EBADMSG);
	assert_null(strstr(err.text, "'ab'"));
}

static void many_members(struct buf *b, int n, int again)
{
	buf_clear(b);
	assert_int_equal(buf_append_char(b, '{'), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(buf_printf(b, "\"m%d\":{\"m%d\":0},", i, i), 0);
	assert_int_equal(buf_printf(b, "\"m%d\":1}", again), 0);
}

/* Around the size where comparing ends and the table begins, and far beyond. */
static void duplicates_among_many(void **state)
{
	static const int sizes[] = {1, 31, 32, 33, 34, 64, 127, 128, 129, 1000, 100000};
	_cleanup_(buf_free) struct buf b = BUF_INIT(16 * 1024 * 1024);

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int n = sizes[i];

		many_members(&b, n, n);
		assert_int_equal(read_slice(*state, buf_slice(&b), NULL), 0);
		many_members(&b, n, 0);
		assert_int_equal(read_slice(*state, buf_slice(&b), NULL), -EBADMSG);
		many_members(&b, n, n - 1);
		assert_int_equal(read_slice(*state, buf_slice(&b), NULL), -EBADMSG);
	}
}

/* What is not one object. */
static void one_object(void **state)
{
	static const struct bytes_case cases[] = {
	        BAD(""),
	        BAD(" "),
	        BAD("[]"),
	        BAD("1"),
	        BAD("\"a\""),
	        BAD("null"),
	        BAD("{"),
	        BAD("{\"a\""),
	        BAD("{\"a\":"),
	        BAD("{\"a\":1"),
	        BAD("{\"a\":\"x"),
	        BAD("{\"a\":[1}"),
	        BAD("{}{}"),
	        BAD("{} 1"),
	        BAD("{} x"),
	        BAD("{}}"),
	        BAD("{},"),
	        BAD("{} \""),
	        BAD("{\"a\":1,}"),
	        BAD("{,}"),
	        BAD("{\"a\":1 \"b\":2}"),
	        BAD("{a:1}"),
	        BAD("{'a':1}"),
	        BAD("{1:1}"),
	        BAD("{\"a\":01}"),
	        BAD("{\"a\":1.}"),
	        BAD("{\"a\":.5}"),
	        BAD("{\"a\":+1}"),
	        BAD("{\"a\":-}"),
	        BAD("{\"a\":1e}"),
	        BAD("{\"a\":NaN}"),
	        BAD("{\"a\":tru}"),
	        BAD("{\"a\":True}"),
	        BAD("{\"a\":/**/1}"),
	        BAD("{\"a\":\"\\x\"}"),
	        BAD("{\"a\":\"\\u12g4\"}"),
	        BAD("{\"a\":[1,]}"),
	        GOOD("{}"),
	        GOOD("{\"a\":-0}"),
	};

	run(state, cases, ARRAY_LEN(cases));
}

static struct slice raw_of(const struct json_doc *doc, const char *name)
{
	const struct json_node *node = json_member(doc, &doc->nodes[0], name);

	assert_non_null(node);
	return json_raw(doc, node);
}

static void assert_slice(struct slice s, const char *wanted)
{
	if (!slice_eq(s, slice_of(wanted)))
		fail_msg("got %.*s, wanted %s", SLICE_ARG(s), wanted);
}

/* Trap 21: every value's bytes as written. */
static void trap_21_raw_slices(void **state)
{
	static const char text[] =
	        " { \"n\" :1e400, \"big\":9223372036854775808 ,\"z\":-0,\"f\":1.10,\"t\":true,\"nu\":null , "
	        "\"s\":\"a\\u00e9\\n\" ,\"e\":\"\", \"o\":{ \"x\" : [ ] } ,\"a\":[ 1 , "
	        "\"\\\"\",{}],\"k\\u0065y\":false} ";
	const struct json_doc *doc;

	assert_int_equal(read_slice(*state, SLICE_LIT(text), &doc), 0);
	assert_slice(raw_of(doc, "n"), "1e400");
	assert_slice(raw_of(doc, "big"), "9223372036854775808");
	assert_slice(raw_of(doc, "z"), "-0");
	assert_slice(raw_of(doc, "f"), "1.10");
	assert_slice(raw_of(doc, "t"), "true");
	assert_slice(raw_of(doc, "nu"), "null");
	assert_slice(raw_of(doc, "s"), "\"a\\u00e9\\n\"");
	assert_slice(json_value(doc, json_member(doc, &doc->nodes[0], "s")), "a\xc3\xa9\n");
	assert_slice(raw_of(doc, "e"), "\"\"");
	assert_slice(raw_of(doc, "o"), "{ \"x\" : [ ] }");
	assert_slice(raw_of(doc, "a"), "[ 1 , \"\\\"\",{}]");
	assert_slice(raw_of(doc, "key"), "false");
	assert_int_equal(doc->nodes[0].count, 11);
	assert_int_equal(doc->nodes[0].end, doc->n);
	assert_null(json_member(doc, &doc->nodes[0], "k"));
}

static void escapes_are_decoded(void **state)
{
	const struct json_doc *doc;

	assert_int_equal(read_text(*state, "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\ud83d\\ude00\"}"), 0);
	assert_int_equal(
	        read_slice(*state, SLICE_LIT("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\ud83d\\ude00\"}"), &doc),
	        0);
	assert_slice(json_value(doc, &doc->nodes[1]), "\"\\/\b\f\n\r\tA\xf0\x9f\x98\x80");
	assert_int_equal(read_slice(*state, SLICE_LIT("{\"a\":\"x\\u0000y\"}"), &doc), 0);
	assert_true(slice_eq(json_value(doc, &doc->nodes[1]), SLICE_LIT("x\0y")));
}

/* A million elements, then small lines: nothing is left from the large one. */
static void large_then_small(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(16 * 1024 * 1024);
	const struct json_doc *doc;

	assert_int_equal(buf_printf(&b, "{\"a\":[\"\\n\""), 0);
	for (int i = 0; i < 300000; i++)
		assert_int_equal(buf_append_slice(&b, SLICE_LIT(",1")), 0);
	assert_int_equal(buf_append_slice(&b, SLICE_LIT("]}")), 0);
	assert_int_equal(read_slice(*state, buf_slice(&b), &doc), 0);
	assert_int_equal(doc->n, 300003);
	assert_int_equal(doc->nodes[1].count, 300001);
	assert_int_equal(read_slice(*state, SLICE_LIT("{\"a\":\"\\n\"}"), &doc), 0);
	assert_int_equal(doc->n, 2);
}

#if !SANITIZED
/* In a child with little memory left: yajl's buffers, ours, and then the next line. */
static int read_with_little_memory(struct json_in *in, struct slice text)
{
	struct rlimit limit = {0, 0};
	struct rusage before;

	if (getrusage(RUSAGE_SELF, &before) < 0)
		return 1;
	limit.rlim_cur = limit.rlim_max = ((rlim_t)before.ru_maxrss << 10) + (24u << 20);
	if (setrlimit(RLIMIT_AS, &limit) < 0)
		return 2;
	if (read_slice_quietly(in, text) != -ENOMEM)
		return 3;
	return read_slice_quietly(in, SLICE_LIT("{\"a\":\"\\n\"}")) == 0 ? 0 : 4;
}

static void memory_runs_out(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(128 * 1024 * 1024);
	int status;
	pid_t child;

	if (getenv("UNDER"))
		skip(); /* valgrind ends where its own memory does */
	assert_int_equal(buf_reserve(&b, 64 * 1024 * 1024 + 16), 0);
	assert_int_equal(buf_append_slice(&b, SLICE_LIT("{\"a\":\"")), 0);
	while (b.len < 64 * 1024 * 1024)
		assert_int_equal(buf_append_slice(&b, SLICE_LIT("\\nxxxxxxxxxxxxxx")), 0);
	assert_int_equal(buf_append_slice(&b, SLICE_LIT("\"}")), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(read_with_little_memory(*state, buf_slice(&b)));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}
#else
static void memory_runs_out(void **state)
{
	(void)state; /* the sanitizers need the address space themselves */
}
#endif

static void errors_say_where(void **state)
{
	struct err err;
	const struct json_doc *doc;

	assert_int_equal(json_in_read(*state, SLICE_LIT("{\"a\":1,\"a\":2}"), &doc, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "byte 8"));
	assert_int_equal(json_in_read(*state, SLICE_LIT("{\"a\":\xff}"), &doc, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "byte 6"));
	assert_int_equal(json_in_read(*state, SLICE_LIT("{\"a\":1} x"), &doc, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "byte 9"));
}

static struct slice written(struct buf *b, struct json_out *j)
{
	assert_non_null(j);
	assert_int_equal(json_out_end(j), 0);
	return buf_slice(b);
}

static void json_is_written(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	struct json_out *j = json_out_begin(&b);

	(void)state;
	json_out_object(j);
	json_out_kv_str(j, "s", "a\"\\\n/\xc3\xa9");
	json_out_kv_str(j, "none", NULL);
	json_out_kv_i64(j, "i", INT64_MIN);
	json_out_kv_bool(j, "b", true);
	json_out_kv_double(j, "d", 0.1);
	json_out_kv_double(j, "nan", 0.0 / 0.0);
	json_out_key(j, "bad");
	json_out_slice(j, SLICE_LIT("a\xff\xc3"));
	json_out_key(j, "raw");
	json_out_raw(j, SLICE_LIT("{\"x\":[1.10]}"));
	json_out_key(j, "empty");
	json_out_array(j);
	assert_slice(written(&b, j),
	             "{\"s\":\"a\\\"\\\\\\n/\xc3\xa9\",\"none\":null,\"i\":-9223372036854775808,\"b\":true,"
	             "\"d\":0.1,\"nan\":null,\"bad\":\"a\xef\xbf\xbd\xef\xbf\xbd\",\"raw\":{\"x\":[1.10]},"
	             "\"empty\":[]}");
}

static void writing_fails_whole(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(16);
	struct json_out *j;

	(void)state;
	assert_int_equal(buf_append_slice(&b, SLICE_LIT("before")), 0);
	j = json_out_begin(&b);
	json_out_array(j);
	json_out_str(j, "too long for sixteen");
	assert_int_equal(json_out_end(j), -ENOBUFS);
	assert_slice(buf_slice(&b), "before");
	j = json_out_begin(&b);
	json_out_close(j); /* nothing is open */
	assert_int_equal(json_out_end(j), -EINVAL);
	assert_slice(buf_slice(&b), "before");
}

static void members_are_walked(void **state)
{
	struct json_text_member m;

	(void)state;
	assert_false(json_text_first(SLICE_LIT("{ }"), &m));
	assert_false(json_text_first(SLICE_LIT(""), &m));
	assert_false(json_text_first(SLICE_LIT("[1]"), &m));
	assert_true(json_text_first(SLICE_LIT(" { \"a\\\"\" : { \"}\":[\"]\"] } , \"b\":1.5}"), &m));
	assert_slice(m.key, "\"a\\\"\"");
	assert_slice(m.value, "{ \"}\":[\"]\"] }");
	assert_true(json_text_next(&m));
	assert_slice(m.key, "\"b\"");
	assert_slice(m.value, "1.5");
	assert_false(json_text_next(&m));
}

/* Each byte at each place: what is looked at eight at a time is judged as one by one. */
static void strings_are_escaped_wherever_it_is_needed(void **state UNUSED)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1024);
	char text[20], want[64];

	for (unsigned byte = 0; byte < 256; byte++) {
		bool named = byte == '"' || byte == '\\' || (byte >= 8 && byte <= 13 && byte != 11);
		bool plain = byte >= 0x20 && byte != '"' && byte != '\\';

		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 0xc3, sizeof(text));
			text[at] = (char)byte;
			size_t grown = plain ? 1 : named ? 2 : 6;
			memset(want, 0xc3, sizeof(want));
			want[0] = want[sizeof(text) + grown] = '"';
			if (plain)
				want[1 + at] = (char)byte;
			else if (named)
				memcpy(want + 1 + at, (char[]){'\\', byte < 0x20 ? "btn?fr"[byte - 8] : (char)byte},
				       2);
			else
				memcpy(want + 1 + at,
				       (char[]){'\\', 'u', '0', '0', byte < 16 ? '0' : '1',
				                "0123456789abcdef"[byte % 16]},
				       6);
			buf_clear(&out);
			assert_int_equal(json_text_append_string(&out, (struct slice){text, sizeof(text)}), 0);
			assert_int_equal(out.len, sizeof(text) + grown + 1);
			assert_memory_equal(out.data, want, out.len);
		}
	}
}

/* Whatever is refused, the words are ours, and found by our own reading of the grammar. */
static void problems_are_told_in_our_words(void **state)
{
	static const char *const texts[] = {
	        "{\"a\":[1,-2.5e+3,{\"b\":null},[]],\"c\":\"d\\n\\u00e9\",\"e\":true,\"f\":{}}",
	        "{ \"a\" : [ 0 , \"x\" , false ] , \"b\" : { \"c\" : 1 } }",
	};
	static const char bytes[] = "{}[]\",:'0123-+.eEtfnNIu\\/# \t\x01\x7f\xc2x";
	uint32_t seed = 1;

	for (size_t i = 0; i < 40000; i++) {
		char text[128];
		const char *from = texts[i % 2];
		size_t n = strlen(from), at;
		struct err err = {""};
		const struct json_doc *doc;

		memcpy(text, from, n + 1);
		for (int changes = 1 + (int)(i % 3); changes > 0; changes--) {
			seed = seed * 1664525 + 1013904223;
			at = (seed >> 8) % n;
			seed = seed * 1664525 + 1013904223;
			if (seed >> 30 == 0) {
				n = at + 1;
			} else if (seed >> 30 == 1) {
				memmove(text + at, text + at + 1, n - at - 1);
				n -= n > 1;
			} else {
				text[at] = bytes[(seed >> 8) % (sizeof(bytes) - 1)];
			}
		}
		if (json_in_read(*state, (struct slice){text, n}, &doc, &err) == 0)
			continue;
		if (strncmp(err.text, "not valid JSON at byte ", 23) != 0 || strstr(err.text, "lexical error") ||
		    strstr(err.text, "parse error") || strstr(err.text, "JSON does not allow this"))
			fail_msg("%.*s: %s", (int)n, text, err.text);
	}
}

struct problem_case {
	const char *text, *why;
	size_t at; /* counted from 1 */
};

static void problems_are_named_where_they_are(void **state)
{
	static const struct problem_case cases[] = {
	        {"{'a':1}", "double quotes, not in single ones", 2},
	        {"{\"a\":NaN}", "no NaN", 6},
	        {"{\"a\":-inf}", "no NaN", 6},
	        {"{\"a\":-INFINITY}", "no NaN", 6},
	        {"{\"a\":True}", "lower case", 6},
	        {"{\"a\":NONE}", "write null", 6},
	        {"{\"a\":nulls}", "text stands in double quotes", 6},
	        {"{\"a\":[,1]}", "a comma too many", 7},
	        {"{\"a\":[1,]}", "a comma too many", 9},
	        {"{\"a\":1,}", "a comma too many", 8},
	        {"{\"a\":,}", "a value is missing", 6},
	        {"{\"a\":}", "a value is missing", 6},
	        {"{\"a\"}", "a colon is missing", 5},
	        {"{1:2}", "name stands in double quotes", 2},
	        {"{\"a\":1 \"b\":2}", "a comma is missing", 8},
	        {"{\"a\":[1}", "} does not close the list", 8},
	        {"{\"a\":1]", "] does not close the object", 7},
	        {"{\"a\":01}", "does not begin with 0", 6},
	        {"{\"a\":-01}", "does not begin with 0", 6},
	        {"{\"a\":0x1}", "does not begin with 0", 6},
	        {"{\"a\":1.e5}", "behind its decimal point", 8},
	        {"{\"a\":1e+}", "behind its e", 9},
	        {"{\"a\":-}", "behind its sign", 7},
	        {"{\"a\":+1}", "begins with a digit or with -", 6},
	        {"{\"a\":\"b\\x\"}", "a backslash", 8},
	        {"{\"a\":\"\\u12g4\"}", "four hexadecimal digits", 7},
	        {"{\"a\":\"b", "no closing quote", 6},
	        {"{\"a\":\"b\\", "no closing quote", 6},
	        {"{\"a\":\"\\u12", "no closing quote", 6},
	        {"{\"a\":1", "the object is not closed", 7},
	        {"  ", "there is no object", 3},
	        {"{}{}", "one object a line, ended by \\n", 3},
	        {"{} // x", "one object a line", 4},
	        {"[{}]", "not a list", 1},
	        {"7", "from { to }", 1},
	        {"# x", "no comments", 1},
	        {"{\"a\":1/2}", "no comments", 7},
	        {"{\xe2\x80\x9c"
	         "a\xe2\x80\x9d:1}",
	         "typographic", 2},
	        {"{\"a\":\xe2\x80\xaf"
	         "1}",
	         "non-breaking", 6},
	        {"{\"a\":\xc2\xa0"
	         "1}",
	         "non-breaking", 6},
	        {"{\"a\":\xef\xbb\xbf"
	         "1}",
	         "byte order mark", 6},
	        {"{\"a\":\x7f"
	         "1}",
	         "a value is missing", 6},
	        {"{\"a\":\x02"
	         "1}",
	         "a control character", 6},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json_doc *doc;
		char wanted[64];
		struct err err;

		assert_int_equal(json_in_read(*state, slice_of(cases[i].text), &doc, &err), -EBADMSG);
		snprintf(wanted, sizeof(wanted), "not valid JSON at byte %zu: ", cases[i].at);
		if (strncmp(err.text, wanted, strlen(wanted)) != 0 || !strstr(err.text, cases[i].why))
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(strings_are_escaped_wherever_it_is_needed),
	        cmocka_unit_test(trap_19_utf8_and_surrogates),
	        cmocka_unit_test(trap_20_white_space),
	        cmocka_unit_test(trap_20_depth),
	        cmocka_unit_test(trap_20_duplicates),
	        cmocka_unit_test(a_duplicate_is_named),
	        cmocka_unit_test(duplicates_among_many),
	        cmocka_unit_test(one_object),
	        cmocka_unit_test(trap_21_raw_slices),
	        cmocka_unit_test(escapes_are_decoded),
	        cmocka_unit_test(large_then_small),
	        cmocka_unit_test(memory_runs_out),
	        cmocka_unit_test(errors_say_where),
	        cmocka_unit_test(problems_are_told_in_our_words),
	        cmocka_unit_test(problems_are_named_where_they_are),
	        cmocka_unit_test(json_is_written),
	        cmocka_unit_test(writing_fails_whole),
	        cmocka_unit_test(members_are_walked),
	};

	return cmocka_run_group_tests(tests, up, down);
}
