/* answer.c - what came of a statement, and its rows */
#include "net/postgres/answer.h"

#include <stdlib.h>

#include <libpq-fe.h>

unsigned pg_rows(const struct pg_answer *a)
{
	return a->result ? (unsigned)PQntuples(a->result) : 0;
}

struct slice pg_text(const struct pg_answer *a, unsigned row, unsigned column)
{
	return (struct slice){PQgetvalue(a->result, (int)row, (int)column),
	                      (size_t)PQgetlength(a->result, (int)row, (int)column)};
}

int64_t pg_i64(const struct pg_answer *a, unsigned row, unsigned column)
{
	return strtoll(PQgetvalue(a->result, (int)row, (int)column), NULL, 10);
}

bool pg_bool(const struct pg_answer *a, unsigned row, unsigned column)
{
	return PQgetvalue(a->result, (int)row, (int)column)[0] == 't';
}

bool pg_is_null(const struct pg_answer *a, unsigned row, unsigned column)
{
	return PQgetisnull(a->result, (int)row, (int)column) != 0;
}
