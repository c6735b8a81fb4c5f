/* args.c - the parameters of a statement, in the protocol's binary form */
#include "net/postgres/args.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* PostgreSQL's numbers of these types, the same in every server. */
enum { OID_INT8 = 20, OID_TEXT = 25 };

void pg_args_init(struct pg_args *a, size_t max_bytes)
{
	*a = (struct pg_args){.data = BUF_INIT(max_bytes)};
}

void pg_args_free(struct pg_args *a)
{
	buf_free(&a->data);
}

void pg_args_clear(struct pg_args *a)
{
	buf_clear(&a->data);
	a->n = 0;
	a->failed = false;
}

static void put(struct pg_args *a, const void *p, size_t n)
{
	if (!a->failed && buf_append(&a->data, p, n) < 0)
		a->failed = true;
}

static void put_i32(struct pg_args *a, uint32_t v)
{
	v = htobe32(v);
	put(a, &v, sizeof(v));
}

static void put_i64(struct pg_args *a, int64_t v)
{
	uint64_t bytes = htobe64((uint64_t)v);

	put(a, &bytes, sizeof(bytes));
}

/* The parameter begins with what is put next, and ends where the following one begins. */
static void begin(struct pg_args *a, bool is_text)
{
	assert(a->n < PG_ARGS_MAX);
	a->at[a->n] = a->data.len;
	a->is_text[a->n++] = is_text;
}

static void end(struct pg_args *a)
{
	a->size[a->n - 1] = a->data.len - a->at[a->n - 1];
}

void pg_arg_i64(struct pg_args *a, int64_t v)
{
	begin(a, false);
	put_i64(a, v);
	end(a);
}

void pg_arg_text(struct pg_args *a, struct slice s)
{
	begin(a, true);
	put(a, s.p, s.n);
	end(a);
	put(a, "", 1); /* libpq takes a text parameter's length from its NUL */
}

void pg_arg_uuid(struct pg_args *a, const uint8_t uuid[16])
{
	begin(a, false);
	put(a, uuid, 16);
	end(a);
}

static void begin_array(struct pg_args *a, size_t n, uint32_t type)
{
	begin(a, false);
	put_i32(a, n > 0); /* dimensions */
	put_i32(a, 0);     /* no NULLs */
	put_i32(a, type);
	if (n > 0) {
		put_i32(a, (uint32_t)n);
		put_i32(a, 1); /* the first index */
	}
	end(a);
}

void pg_arg_i64s(struct pg_args *a, size_t n)
{
	begin_array(a, n, OID_INT8);
}

void pg_arg_texts(struct pg_args *a, size_t n)
{
	begin_array(a, n, OID_TEXT);
}

void pg_arg_next_i64(struct pg_args *a, int64_t v)
{
	put_i32(a, sizeof(v));
	put_i64(a, v);
	end(a);
}

void pg_arg_next_text(struct pg_args *a, struct slice s)
{
	put_i32(a, (uint32_t)s.n);
	put(a, s.p, s.n);
	end(a);
}

void pg_args_values(const struct pg_args *a, const char **values, int *sizes, int *formats)
{
	for (unsigned i = 0; a && i < a->n; i++) {
		values[i] = a->data.data + a->at[i];
		sizes[i] = (int)a->size[i];
		formats[i] = !a->is_text[i];
	}
}
