/* args.h - the parameters of a statement, in the protocol's binary form
 *
 * A failed allocation is remembered, and pg_send() reports it. */
#ifndef NET_POSTGRES_ARGS_H
#define NET_POSTGRES_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum { PG_ARGS_MAX = 20 };

struct pg_args {
	struct buf data;
	unsigned n;
	size_t at[PG_ARGS_MAX], size[PG_ARGS_MAX]; /* in data */
	bool is_text[PG_ARGS_MAX];
	bool failed;
};

void pg_args_init(struct pg_args *a, size_t max_bytes);
void pg_args_free(struct pg_args *a);
/* For the next statement; the memory is kept. */
void pg_args_clear(struct pg_args *a);

/* As libpq takes them; arrays of PG_ARGS_MAX. NULL: none. */
void pg_args_values(const struct pg_args *a, const char **values, int *sizes, int *formats);

/* In the order $1, $2, …; the SQL must cast each: $1::bigint, $2::text, $3::uuid. */
void pg_arg_i64(struct pg_args *a, int64_t v);
void pg_arg_text(struct pg_args *a, struct slice s);
void pg_arg_uuid(struct pg_args *a, const uint8_t uuid[16]);
/* An array of n elements, added one by one right after: bigint[] and text[]. */
void pg_arg_i64s(struct pg_args *a, size_t n);
void pg_arg_texts(struct pg_args *a, size_t n);
void pg_arg_next_i64(struct pg_args *a, int64_t v);
void pg_arg_next_text(struct pg_args *a, struct slice s);

#endif
