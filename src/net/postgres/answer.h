/* answer.h - what came of a statement, and its rows */
#ifndef NET_POSTGRES_ANSWER_H
#define NET_POSTGRES_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum pg_outcome {
	PG_COMMITTED, /* the server acknowledged the COMMIT, without a warning */
	PG_REFUSED,   /* an error of the server: nothing of the statement happened */
	PG_UNKNOWN,   /* connection lost, time-out, COMMIT answered with a warning: it may have happened */
};

/* Valid during done() only. */
struct pg_answer {
	enum pg_outcome outcome;
	const char *error;    /* text for the log, without a line break; "": none */
	const char *sqlstate; /* "": none */
	uint64_t affected;    /* rows inserted, updated, deleted or read */
	const void *result;   /* libpq's; NULL: none */
};

unsigned pg_rows(const struct pg_answer *a);
/* Of a row below pg_rows(). NULL reads as "" and 0. */
struct slice pg_text(const struct pg_answer *a, unsigned row, unsigned column);
int64_t pg_i64(const struct pg_answer *a, unsigned row, unsigned column);
bool pg_bool(const struct pg_answer *a, unsigned row, unsigned column);
bool pg_is_null(const struct pg_answer *a, unsigned row, unsigned column);

#endif
