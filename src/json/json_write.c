/* json_write.c - a JSON writer into a struct buf, on top of yajl_gen */
#include "json/json_write.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "base/utf8.h"

enum { DEPTH_MAX = 64 };

struct json_out {
	yajl_gen gen;
	struct buf *out;
	size_t before; /* out->len at the start */
	int error;
	unsigned depth;
	uint64_t objects;  /* one bit per open level: object (1) or array (0) */
	jmp_buf no_memory; /* valid while yajl_gen_alloc() runs */
	void *first;       /* yajl's first allocation; NULL: none yet */
};

static void print(void *ctx, const char *text, size_t n)
{
	struct json_out *j = ctx;

	if (j->error == 0)
		j->error = buf_append(j->out, text, n);
}

static void check(struct json_out *j, yajl_gen_status status)
{
	/* Other errors are bugs in the callers: a missing name, or too many closes. */
	if (status != yajl_gen_status_ok && j->error == 0)
		j->error = -EINVAL;
}

/* yajl_gen_alloc() does not check the result of its second allocation, so longjmp() leaves it
 * when memory runs out. Nothing else allocates, because the print callback is our own. */
static void *yajl_malloc(void *ctx, size_t n)
{
	struct json_out *j = ctx;
	void *p = malloc(n);

	if (!p)
		longjmp(j->no_memory, 1);
	if (!j->first)
		j->first = p;
	return p;
}

static void *yajl_realloc(void *ctx, void *p, size_t n)
{
	(void)ctx;
	return realloc(p, n);
}

static void yajl_release(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

/* Returns NULL if out of memory. */
static yajl_gen make_gen(struct json_out *j)
{
	const yajl_alloc_funcs memory = {yajl_malloc, yajl_realloc, yajl_release, j};

	if (setjmp(j->no_memory)) {
		free(j->first);
		return NULL;
	}
	return yajl_gen_alloc(&memory);
}

struct json_out *json_out_begin(struct buf *out)
{
	struct json_out *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->out = out;
	j->before = out->len;
	j->gen = make_gen(j);
	if (!j->gen) {
		free(j);
		return NULL;
	}
	(void)yajl_gen_config(j->gen, yajl_gen_print_callback, print,
	                      j); /* the result only says that the option exists */
	return j;
}

static bool open_level(struct json_out *j, bool object)
{
	if (j->depth == DEPTH_MAX) {
		if (j->error == 0)
			j->error = -EINVAL;
		return false;
	}
	if (object)
		j->objects |= UINT64_C(1) << j->depth;
	else
		j->objects &= ~(UINT64_C(1) << j->depth);
	j->depth++;
	return true;
}

void json_out_object(struct json_out *j)
{
	if (open_level(j, true))
		check(j, yajl_gen_map_open(j->gen));
}

void json_out_array(struct json_out *j)
{
	if (open_level(j, false))
		check(j, yajl_gen_array_open(j->gen));
}

void json_out_close(struct json_out *j)
{
	if (j->depth == 0) {
		check(j, yajl_gen_in_error_state);
		return;
	}
	j->depth--;
	if (j->objects >> j->depth & 1)
		check(j, yajl_gen_map_close(j->gen));
	else
		check(j, yajl_gen_array_close(j->gen));
}

static void put_string(struct json_out *j, const char *p, size_t n)
{
	check(j, yajl_gen_string(j->gen, (const unsigned char *)p, n));
}

/* Log texts and server answers may contain invalid UTF-8: each invalid byte is written as
 * U+FFFD. */
static void put_repaired(struct json_out *j, struct slice s)
{
	struct buf b = BUF_INIT(s.n * 3 + 1);
	int r = 0;

	for (size_t at = 0; r == 0 && at < s.n;) {
		size_t good = utf8_check(s.p + at, s.n - at);

		r = buf_append(&b, s.p + at, good);
		at += good;
		if (r == 0 && at < s.n) {
			r = buf_append_slice(&b, SLICE_LIT("\xef\xbf\xbd"));
			at++;
		}
	}
	if (r == 0)
		put_string(j, b.data, b.len);
	else if (j->error == 0)
		j->error = r;
	buf_free(&b);
}

void json_out_slice(struct json_out *j, struct slice s)
{
	if (s.n == 0 || utf8_check(s.p, s.n) == s.n)
		put_string(j, s.n ? s.p : "", s.n);
	else
		put_repaired(j, s);
}

void json_out_str(struct json_out *j, const char *s)
{
	if (s)
		json_out_slice(j, slice_of(s));
	else
		json_out_null(j);
}

void json_out_key(struct json_out *j, const char *key)
{
	json_out_str(j, key);
}

void json_out_raw(struct json_out *j, struct slice text)
{
	/* yajl_gen_number() writes the text unchanged. */
	check(j, yajl_gen_number(j->gen, text.p, text.n));
}

void json_out_i64(struct json_out *j, int64_t v)
{
	check(j, yajl_gen_integer(j->gen, v));
}

void json_out_double(struct json_out *j, double v)
{
	char text[40];

	if (!isfinite(v)) {
		json_out_null(j);
		return;
	}
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	json_out_raw(j, slice_of(text));
}

void json_out_bool(struct json_out *j, bool v)
{
	check(j, yajl_gen_bool(j->gen, v));
}

void json_out_null(struct json_out *j)
{
	check(j, yajl_gen_null(j->gen));
}

void json_out_kv_str(struct json_out *j, const char *key, const char *s)
{
	json_out_key(j, key);
	json_out_str(j, s);
}

void json_out_kv_i64(struct json_out *j, const char *key, int64_t v)
{
	json_out_key(j, key);
	json_out_i64(j, v);
}

void json_out_kv_bool(struct json_out *j, const char *key, bool v)
{
	json_out_key(j, key);
	json_out_bool(j, v);
}

void json_out_kv_double(struct json_out *j, const char *key, double v)
{
	json_out_key(j, key);
	json_out_double(j, v);
}

int json_out_end(struct json_out *j)
{
	int r;

	while (j->depth > 0)
		json_out_close(j);
	r = j->error;
	if (r < 0)
		j->out->len = j->before;
	yajl_gen_free(j->gen);
	free(j);
	return r;
}
