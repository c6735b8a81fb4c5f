/* json_read.c - a strict JSON parser that builds a flat tree, on top of yajl's SAX parser
 *
 * yajl checks the grammar. What it accepts beyond strict JSON is rejected here: invalid UTF-8,
 * lone surrogate escapes, form feed and vertical tab as white space, unlimited depth, duplicate
 * members, a second value. One handle parses line after line (yajl_allow_multiple_values), so a
 * valid line needs no allocation once the scratch memory has grown. An error leaves the handle
 * in an unknown state, so the next line gets a new one. */
#include "json/json_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "json/json_duplicates.h"
#include "json/json_problem.h"

enum {
	MAX_DEPTH = 32,    /* size of the stack below; json_in_new() may allow less */
	KEEP_NODES = 4096, /* scratch memory kept between lines: 148 KB */
	/* Decoded strings, and yajl's own buffer (at most as long as the longest line) */
	KEEP_BYTES = 64 * 1024,
	MAX_TEXT = 1024 * 1024 * 1024 /* because offsets have 32 bits */
};

struct json_in {
	yajl_handle yajl; /* NULL: create one for the next line */
	unsigned max_depth;
	uint32_t max_values; /* 0: no limit */
	struct json_node *nodes;
	uint32_t cap;
	struct json_doc doc;
	struct buf decoded; /* strings and names that contained escapes */
	struct json_dup dup;

	jmp_buf no_memory; /* valid while yajl is running */

	/* State of the current line. */
	const char *problem; /* first violation found in a callback; NULL: none, or one of the grammar */
	int error;           /* 0, -EBADMSG, -ENOMEM */
	uint32_t at;         /* end offset of the last token */
	uint32_t problem_at;
	bool problem_is_key; /* key_off and key_len give the offending member */
	unsigned depth;
	bool done; /* the root was closed */
	bool key_decoded;
	uint32_t key_off, key_len; /* name of the member whose value comes next */
	uint32_t open[MAX_DEPTH];  /* nodes of the containers that are open */
};

static int stop(struct json_in *in, uint32_t at, const char *problem)
{
	in->error = -EBADMSG;
	in->problem = problem;
	in->problem_at = at;
	return 0;
}

static int stop_no_memory(struct json_in *in)
{
	in->error = -ENOMEM;
	return 0;
}

struct token {
	uint32_t start, end;
};

/* True if yajl passed a pointer into the text itself, which gives the token's position. */
static bool is_in_text(const struct json_in *in, const void *p)
{
	return (uintptr_t)p - (uintptr_t)in->doc.text.p < in->doc.text.n;
}

/* Otherwise the token ends at the number of bytes that yajl has consumed, and starts after the
 * previous token, white space and separators. */
static struct token find_token(const struct json_in *in)
{
	const char *text = in->doc.text.p;
	struct token t = {in->at, (uint32_t)yajl_get_bytes_consumed(in->yajl)};

	while (t.start < t.end && (text[t.start] == ' ' || text[t.start] == ',' || text[t.start] == ':' ||
	                           text[t.start] == '\t' || text[t.start] == '\n' || text[t.start] == '\r'))
		t.start++;
	return t;
}

/* Returns the position of a bracket, or of a literal of that length. */
static struct token last_token(const struct json_in *in, uint32_t n)
{
	uint32_t end = (uint32_t)yajl_get_bytes_consumed(in->yajl);

	return (struct token){end - n, end};
}

/* Returns the position of a string or a name, including its quotes. */
static struct token string_token(const struct json_in *in, const void *p, size_t n)
{
	uint32_t start;

	if (!is_in_text(in, p))
		return find_token(in); /* it had escapes: p points into yajl's own buffer */
	start = (uint32_t)((const char *)p - in->doc.text.p) - 1;
	return (struct token){start, start + (uint32_t)n + 2};
}

static bool grow_nodes(struct json_in *in)
{
	/* A text of n bytes has at most n / 2 values, so the last step need not double the size. */
	size_t most = in->doc.text.n / 2 + 2, cap = in->cap ? (size_t)in->cap * 2 : 256;
	struct json_node *nodes;

	if (cap > most && most > in->cap)
		cap = most;
	nodes = realloc(in->nodes, cap * sizeof(*nodes));
	if (!nodes)
		return false;
	in->nodes = nodes;
	in->doc.nodes = nodes;
	in->cap = (uint32_t)cap;
	return true;
}

static struct json_node *add_node(struct json_in *in, enum json_type type, struct token t)
{
	struct json_node *node, *parent;

	in->at = t.end;
	if (in->done || (in->depth == 0 && type != JSON_OBJECT)) {
		stop(in, t.start, NULL);
		return NULL;
	}
	if (in->max_values && in->doc.n == in->max_values) {
		stop(in, t.start, "too many values");
		return NULL;
	}
	if (in->doc.n == in->cap && !grow_nodes(in)) {
		stop_no_memory(in);
		return NULL;
	}
	node = &in->nodes[in->doc.n++];
	*node = (struct json_node){
	        .raw_off = t.start, .raw_len = t.end - t.start, .end = in->doc.n, .type = (uint8_t)type};
	if (in->depth == 0)
		return node;
	parent = &in->nodes[in->open[in->depth - 1]];
	parent->count++;
	if (parent->type == JSON_OBJECT) {
		node->is_member = true;
		node->key_off = in->key_off;
		node->key_len = in->key_len;
		node->key_decoded = in->key_decoded;
	}
	return node;
}

static int on_null(void *ctx)
{
	return add_node(ctx, JSON_NULL, last_token(ctx, 4)) != NULL;
}

static int on_boolean(void *ctx, int truth)
{
	struct json_node *node = add_node(ctx, JSON_BOOL, last_token(ctx, truth ? 4 : 5));

	if (!node)
		return 0;
	node->truth = truth != 0;
	return 1;
}

static int on_number(void *ctx, const char *p, size_t n)
{
	struct json_in *in = ctx;
	uint32_t start = (uint32_t)(p - in->doc.text.p);
	struct json_node *node = add_node(
	        in, JSON_NUMBER, is_in_text(in, p) ? (struct token){start, start + (uint32_t)n} : find_token(in));

	if (!node)
		return 0;
	node->val_off = node->raw_off;
	node->val_len = node->raw_len;
	return 1;
}

/* Returns the value of "\uXXXX" at p. yajl has checked the digits. */
static unsigned escape_value(const char *p)
{
	unsigned v = 0;

	for (int i = 2; i < 6; i++)
		v = v * 16 + (unsigned)((p[i] & 0xf) + (p[i] > '9' ? 9 : 0));
	return v;
}

/* yajl turns a lone surrogate into '?' or, before another escape, into a wrong character
 * (src/README.md, trap 19). */
static bool surrogates_paired(const char *p, const char *end)
{
	while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
		unsigned v;

		if (p[1] != 'u') {
			p += 2;
			continue;
		}
		v = escape_value(p);
		p += 6;
		if (v < 0xd800 || v > 0xdfff)
			continue;
		if (v > 0xdbff || end - p < 6 || p[0] != '\\' || p[1] != 'u' || (escape_value(p) & 0xfc00) != 0xdc00)
			return false;
		p += 6;
	}
	return true;
}

/* Appends the value of a string with escapes to the decoded strings. */
static int keep_decoded(struct json_in *in, struct token t, const unsigned char *p, size_t n, uint32_t *ret_off)
{
	const char *text = in->doc.text.p;

	if (!surrogates_paired(text + t.start, text + t.end))
		return stop(in, t.start, "a surrogate escape stands alone");
	*ret_off = (uint32_t)in->decoded.len;
	if (buf_append(&in->decoded, p, n) < 0)
		return stop_no_memory(in);
	in->doc.decoded = in->decoded.data;
	return 1;
}

static int on_string(void *ctx, const unsigned char *p, size_t n)
{
	struct json_in *in = ctx;
	struct token t = string_token(in, p, n);
	struct json_node *node = add_node(in, JSON_STRING, t);

	if (!node)
		return 0;
	node->val_off = t.start + 1;
	node->val_len = (uint32_t)n;
	node->val_decoded = !is_in_text(in, p);
	return !node->val_decoded || keep_decoded(in, t, p, n, &node->val_off);
}

static int on_key(void *ctx, const unsigned char *p, size_t n)
{
	struct json_in *in = ctx;
	struct token t = string_token(in, p, n);
	struct slice key = {(const char *)p, n};
	int r;

	in->at = t.end;
	in->key_off = t.start + 1;
	in->key_len = (uint32_t)n;
	in->key_decoded = !is_in_text(in, p);
	if (in->key_decoded && !keep_decoded(in, t, p, n, &in->key_off))
		return 0;
	r = json_dup_check(&in->dup, &in->doc, in->open[in->depth - 1], in->depth - 1, key);
	in->problem_is_key = r == -EEXIST;
	if (r == -EEXIST)
		return stop(in, t.start, "a member of that name is already there");
	return r < 0 ? stop_no_memory(in) : 1;
}

static int open_container(struct json_in *in, enum json_type type)
{
	struct json_node *node = add_node(in, type, last_token(in, 1));

	if (!node)
		return 0;
	if (in->depth == in->max_depth)
		return stop(in, node->raw_off, "nested too deeply (32 levels at most)");
	json_dup_open(&in->dup, in->depth);
	in->open[in->depth++] = (uint32_t)(node - in->nodes);
	return 1;
}

static int close_container(struct json_in *in)
{
	struct json_node *node = &in->nodes[in->open[--in->depth]];

	in->at = last_token(in, 1).end;
	node->raw_len = in->at - node->raw_off;
	node->end = in->doc.n;
	in->done = in->depth == 0;
	return 1;
}

static int on_start_map(void *ctx)
{
	return open_container(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
	return open_container(ctx, JSON_ARRAY);
}

static int on_end(void *ctx)
{
	return close_container(ctx);
}

static const yajl_callbacks callbacks = {
        .yajl_null = on_null,
        .yajl_boolean = on_boolean,
        .yajl_number = on_number,
        .yajl_string = on_string,
        .yajl_start_map = on_start_map,
        .yajl_map_key = on_key,
        .yajl_end_map = on_end,
        .yajl_start_array = on_start_array,
        .yajl_end_array = on_end,
};

static void drop_handle(struct json_in *in)
{
	if (in->yajl)
		yajl_free(in->yajl);
	in->yajl = NULL;
}

/* yajl does not check the results of its allocations, so longjmp() leaves it when memory runs
 * out. Its state is consistent then (it stores a pointer only after the call returns) and is
 * freed with the handle. */
static void *give_or_leave(struct json_in *in, void *p)
{
	if (!p)
		longjmp(in->no_memory, 1);
	return p;
}

static void *yajl_malloc(void *ctx, size_t n)
{
	return give_or_leave(ctx, malloc(n));
}

static void *yajl_realloc(void *ctx, void *p, size_t n)
{
	return give_or_leave(ctx, realloc(p, n));
}

static void yajl_release(void *ctx UNUSED, void *p)
{
	free(p);
}

static int make_handle(struct json_in *in)
{
	yajl_alloc_funcs memory = {yajl_malloc, yajl_realloc, yajl_release, in};

	if (in->yajl)
		return 0;
	if (setjmp(in->no_memory))
		return -ENOMEM;
	in->yajl = yajl_alloc(&callbacks, &memory, in);
	if (!in->yajl)
		return -ENOMEM;
	if (yajl_config(in->yajl, yajl_allow_multiple_values, 1) &&
	    yajl_config(in->yajl, yajl_dont_validate_strings, 1))
		return 0;
	drop_handle(in);
	return -ENOMEM;
}

static int not_json(struct err *err, size_t at, const char *problem)
{
	return err_set(err, -EBADMSG, "not valid JSON at byte %zu: %s", at + 1, problem);
}

enum { NAME_SHOWN = 64 };

static int duplicate_key(const struct json_in *in, struct err *err)
{
	const char *name = (in->key_decoded ? in->decoded.data : in->doc.text.p) + in->key_off;

	return err_set(err, -EBADMSG, "not valid JSON at byte %zu: %s: '%.*s'", (size_t)in->problem_at + 1,
	               in->problem, (int)utf8_truncate(name, in->key_len, NAME_SHOWN), name);
}

/* The grammar's problems. yajl has messages of its own, which are for whoever writes a parser. */
static int grammar_problem(const struct json_in *in, struct err *err)
{
	char why[JSON_PROBLEM_MAX];
	size_t at = json_problem_find(in->doc.text, why);

	return at == SIZE_MAX ? not_json(err, in->at, "JSON does not allow this") : not_json(err, at, why);
}

static int check_tail(const struct json_in *in, struct err *err)
{
	struct slice text = in->doc.text;

	if (!in->done)
		return grammar_problem(in, err);
	for (size_t at = in->at; at < text.n; at++)
		if (!memchr(" \t\r\n", text.p[at], 4))
			return grammar_problem(in, err);
	return 0;
}

static int run_parser(struct json_in *in, struct err *err)
{
	yajl_status status;

	if (setjmp(in->no_memory))
		return -ENOMEM;
	status = yajl_parse(in->yajl, (const unsigned char *)in->doc.text.p, in->doc.text.n);
	if (in->error == -EBADMSG && in->problem_is_key)
		return duplicate_key(in, err);
	if (in->error == -EBADMSG)
		return in->problem ? not_json(err, in->problem_at, in->problem) : grammar_problem(in, err);
	if (in->error < 0)
		return in->error;
	if (status != yajl_status_ok && !in->done)
		return grammar_problem(in, err);
	return check_tail(in, err);
}

/* Frees scratch memory that only an unusually large line needed. */
static void trim(struct json_in *in)
{
	if (in->doc.text.n > KEEP_BYTES)
		drop_handle(in); /* its buffers grow with escaped strings and never shrink */
	if (in->cap > KEEP_NODES) {
		free(in->nodes);
		in->nodes = NULL;
		in->cap = 0;
	}
	buf_clear(&in->decoded);
	buf_trim(&in->decoded, KEEP_BYTES);
	json_dup_clear(&in->dup);
}

/* A byte order mark of UTF-16, or ASCII in it. A line of it begins with the second byte of the LF before. */
static bool is_utf16(struct slice text)
{
	return text.n >= 2 && (memcmp(text.p, "\xff\xfe", 2) == 0 || memcmp(text.p, "\xfe\xff", 2) == 0 ||
	                       (text.p[0] == '\0') != (text.p[1] == '\0'));
}

/* Rejects what yajl does not check: bytes that are not UTF-8, and form feed and vertical tab,
 * which it accepts as white space (inside strings it rejects them itself). */
static int check_bytes(struct slice text, struct err *err)
{
	size_t valid = utf8_check(text.p, text.n);
	const char *p;

	if (is_utf16(text))
		return not_json(err, 0, "this is UTF-16: lines are UTF-8, without a byte order mark");
	if (valid < text.n)
		return not_json(err, valid, "this is not UTF-8: convert the text (PHP: mb_convert_encoding)");
	p = memchr(text.p, '\f', text.n);
	if (!p)
		p = memchr(text.p, '\v', text.n);
	return p ? not_json(err, (size_t)(p - text.p), "form feed and vertical tab are not white space in JSON") : 0;
}

static int parse(struct json_in *in, struct slice text, const struct json_doc **ret, struct err *err)
{
	int r = make_handle(in);

	if (r < 0)
		return r;
	in->doc = (struct json_doc){.text = text, .decoded = in->decoded.data, .nodes = in->nodes};
	in->error = 0;
	in->problem = NULL;
	in->problem_is_key = false;
	in->at = 0;
	in->depth = 0;
	in->done = false;
	r = run_parser(in, err);
	if (r < 0) {
		drop_handle(in);
		return r;
	}
	*ret = &in->doc;
	return 0;
}

int json_in_read(struct json_in *in, struct slice text, const struct json_doc **ret, struct err *err)
{
	int r;

	trim(in);
	if (text.n == 0 || text.n > MAX_TEXT)
		return not_json(err, 0, text.n ? "too long" : "there is no object");
	r = check_bytes(text, err);
	if (r == 0)
		r = parse(in, text, ret, err);
	return r == -ENOMEM ? err_set(err, r, "out of memory") : r;
}

struct json_in *json_in_new(unsigned max_depth)
{
	struct json_in *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->max_depth = max_depth < MAX_DEPTH ? max_depth : MAX_DEPTH;
	buf_init(&in->decoded, MAX_TEXT);
	if (json_dup_init(&in->dup) < 0 || make_handle(in) < 0)
		return json_in_free(in);
	return in;
}

void json_in_limit(struct json_in *in, uint32_t max_values)
{
	in->max_values = max_values;
}

struct json_in *json_in_free(struct json_in *in)
{
	if (!in)
		return NULL;
	drop_handle(in);
	free(in->nodes);
	buf_free(&in->decoded);
	json_dup_free(&in->dup);
	free(in);
	return NULL;
}
