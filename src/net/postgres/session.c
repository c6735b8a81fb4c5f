/* session.c - a connection that blocks, for ga4relay-ctl */
#include "net/postgres/session.h"

#include <errno.h>
#include <stdlib.h>

#include "net/postgres/postgres_private.h"

struct pg_session {
	PGconn *conn;
};

static void on_notice(void *arg UNUSED, const PGresult *notice UNUSED) {}

static int failed(const char *message, struct err *err)
{
	char line[400];

	pg_first_line(line, sizeof(line), message);
	return err_set(err, -EIO, "PostgreSQL: %s", line);
}

int pg_session_open(struct pg_session **ret, const char *conninfo, struct err *err)
{
	/* Values that come first are overridden by those in the string. */
	static const char *const names[] = {"connect_timeout", "target_session_attrs",      "dbname",
	                                    "client_encoding", "fallback_application_name", NULL};
	const char *const values[] = {"10", "read-write", conninfo, "UTF8", "ga4relay-ctl", NULL};
	struct pg_session *s;
	int r = pg_check_conninfo(conninfo, err);

	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "PostgreSQL: out of memory");
	s->conn = PQconnectdbParams(names, values, 1);
	if (!s->conn || PQstatus(s->conn) != CONNECTION_OK) {
		r = failed(s->conn ? PQerrorMessage(s->conn) : "out of memory", err);
		pg_session_close(s);
		return r;
	}
	PQsetNoticeReceiver(s->conn, on_notice, NULL);
	*ret = s;
	return 0;
}

struct pg_session *pg_session_close(struct pg_session *s)
{
	if (s && s->conn)
		PQfinish(s->conn);
	free(s);
	return NULL;
}

static bool succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

int pg_session_run(struct pg_session *s, const char *sql, struct err *err)
{
	PGresult *result = PQexec(s->conn, sql);
	int r = succeeded(result) ? 0 : failed(PQerrorMessage(s->conn), err);

	PQclear(result);
	return r;
}

int pg_session_ask(struct pg_session *s, const char *sql, const struct pg_args *args, struct pg_answer *ret,
                   struct err *err)
{
	const char *values[PG_ARGS_MAX];
	int sizes[PG_ARGS_MAX], formats[PG_ARGS_MAX];
	unsigned n = args ? args->n : 0;
	PGresult *result;

	if (args && args->failed)
		return err_set(err, -ENOMEM, "PostgreSQL: out of memory");
	pg_args_values(args, values, sizes, formats);
	result = PQexecParams(s->conn, sql, (int)n, NULL, values, sizes, formats, 0);
	if (!succeeded(result)) {
		PQclear(result);
		return failed(PQerrorMessage(s->conn), err);
	}
	*ret = (struct pg_answer){.outcome = PG_COMMITTED,
	                          .error = "",
	                          .sqlstate = "",
	                          .affected = strtoull(PQcmdTuples(result), NULL, 10),
	                          .result = result};
	return 0;
}

void pg_session_clear(struct pg_answer *answer)
{
	PQclear((PGresult *)(uintptr_t)answer->result);
	answer->result = NULL;
}
