/* pipeline.c - statements in flight: each a transaction of its own, answered in order
 *
 * A statement's own answer comes before its COMMIT, which the Sync after it causes: errors and warnings of the COMMIT
 * follow later, and only the answer to the Sync (PGRES_PIPELINE_SYNC) is the acknowledgement. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/postgres/postgres_private.h"

void pg_first_line(char *out, size_t size, const char *message)
{
	size_t n = strcspn(message, "\n");

	snprintf(out, size, "%.*s", n > 400 ? 400 : (int)n, message);
}

/* ---- sending ---- */

static bool is_prepared(const struct pg *pg, const struct pg_statement *statement)
{
	for (size_t i = 0; i < pg->n_prepared; i++)
		if (pg->prepared[i] == statement)
			return true;
	return false;
}

static void forget_prepared(struct pg *pg, const struct pg_statement *statement)
{
	for (size_t i = 0; i < pg->n_prepared; i++)
		if (pg->prepared[i] == statement) {
			pg->prepared[i] = pg->prepared[--pg->n_prepared];
			return;
		}
}

static bool send_parts(struct pg *pg, struct pg_entry *e, const struct pg_args *args)
{
	const char *values[PG_ARGS_MAX];
	int sizes[PG_ARGS_MAX], formats[PG_ARGS_MAX];

	pg_args_values(args, values, sizes, formats);
	e->prepares = !is_prepared(pg, e->statement);
	if (e->prepares && PQsendPrepare(pg->conn, e->statement->name, e->statement->sql, 0, NULL) != 1)
		return false;
	return PQsendQueryPrepared(pg->conn, e->statement->name, (int)args->n, values, sizes, formats, 0) == 1 &&
	       PQpipelineSync(pg->conn) == 1;
}

static bool send_check(struct pg *pg, struct pg_entry *e)
{
	e->checks = true;
	return PQsendQueryPrepared(pg->conn, pg_check_sync.name, 0, NULL, NULL, NULL, 0) == 1 &&
	       PQpipelineSync(pg->conn) == 1;
}

/* What does not fit into the socket goes when it is writable again. False: the connection is gone. */
static bool flush(struct pg *pg)
{
	int r = PQflush(pg->conn);

	if (r >= 0)
		loop_watch_set(pg->watch, r > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return r >= 0;
}

static void note_prepared(struct pg *pg, const struct pg_entry *e)
{
	if (e->prepares)
		pg->prepared[pg->n_prepared++] = e->statement;
}

int pg_enqueue(struct pg *pg, const struct pg_statement *statement, const struct pg_args *args, bool checks,
               pg_done_fn *done, void *arg)
{
	struct pg_entry *e = args->failed ? NULL : calloc(1, sizeof(*e));

	if (!e || (pg->n_prepared == PREPARED_MAX && !is_prepared(pg, statement))) {
		free(e);
		return -ENOMEM;
	}
	*e = (struct pg_entry){.statement = statement, .done = done, .arg = arg};
	if (!send_parts(pg, e, args) || (checks && !send_check(pg, e))) {
		/* What is in libpq's buffer already has no entry, so nothing more can be made of this connection:
		 * the loop finds that out in its next turn. */
		free(e);
		pg->is_broken = true;
		loop_timer_set(pg->timer, 0);
		return -ENOTCONN;
	}
	note_prepared(pg, e);
	STAILQ_INSERT_TAIL(&pg->entries, e, link);
	if (pg->in_flight++ == 0) {
		pg->head_since_us = clock_mono_us();
		pg_set_timer(pg);
	}
	(void)flush(pg); /* a connection that is gone is found when it is read */
	return 0;
}

/* ---- answers ---- */

static void end_entry(struct pg *pg, struct pg_entry *e, enum pg_outcome outcome)
{
	const char *affected = e->result ? PQcmdTuples(e->result) : "";
	const struct pg_answer answer = {.outcome = outcome,
	                                 .error = e->error,
	                                 .sqlstate = e->sqlstate,
	                                 .affected = strtoull(affected, NULL, 10),
	                                 .result = e->result};

	STAILQ_REMOVE_HEAD(&pg->entries, link);
	pg->in_flight--;
	pg->head_since_us = clock_mono_us();
	e->done(e->arg, &answer);
	PQclear(e->result);
	free(e);
}

void pg_fail_entries(struct pg *pg, const char *why)
{
	struct pg_entry *e;

	while ((e = STAILQ_FIRST(&pg->entries)) != NULL) {
		if (!e->error[0])
			snprintf(e->error, sizeof(e->error), "%s", why);
		PQclear(e->result);
		e->result = NULL;
		end_entry(pg, e, PG_UNKNOWN);
	}
}

void pg_on_notice(void *arg, const PGresult *notice)
{
	struct pg *pg = arg;
	struct pg_entry *e = STAILQ_FIRST(&pg->entries);
	const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

	if (!e || e->is_checking || !severity || strcmp(severity, "WARNING") != 0)
		return;
	e->warned = true;
	pg_first_line(e->error, sizeof(e->error), message ? message : "a warning");
}

static void note_error(struct pg *pg, struct pg_entry *e, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (e->failed)
		return;
	e->failed = true;
	snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", state ? state : "");
	pg_first_line(e->error, sizeof(e->error), message ? message : PQresultErrorMessage(result));
	if (e->prepares)
		forget_prepared(pg, e->statement);
}

static void note_check(struct pg *pg, struct pg_entry *e, const PGresult *result)
{
	bool synchronous = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
	                   PQgetvalue(result, 0, 0)[0] == 't';

	e->not_synchronous = !synchronous;
	if (pg->synchronous != synchronous)
		pg->state_changed = true;
	pg->synchronous = synchronous;
}

static enum pg_outcome judge(struct pg *pg, struct pg_entry *e)
{
	if (e->failed)
		return PG_REFUSED;
	if (!e->warned && !(e->not_synchronous && pg->config.require_sync))
		return PG_COMMITTED;
	if (!e->warned)
		snprintf(
		        e->error, sizeof(e->error),
		        "the server acknowledges without a synchronous standby (synchronous_standby_names is empty)");
	return PG_UNKNOWN;
}

/* The transaction's end, of the statement or of the check behind it. */
static void on_sync(struct pg *pg, struct pg_entry *e)
{
	if (e->checks && !e->is_checking) {
		e->is_checking = true;
		return;
	}
	end_entry(pg, e, judge(pg, e));
}

/* Takes the result. */
static void take(struct pg *pg, struct pg_entry *e, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_PIPELINE_SYNC) {
		PQclear(result);
		on_sync(pg, e);
		return;
	}
	if (e->is_checking)
		note_check(pg, e, result);
	else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		note_error(pg, e, result);
	else {
		PQclear(e->result);
		e->result = result;
		return;
	}
	PQclear(result);
}

static void read_answers(struct pg *pg)
{
	struct pg_entry *e;

	while ((e = STAILQ_FIRST(&pg->entries)) != NULL && !PQisBusy(pg->conn)) {
		PGresult *result = PQgetResult(pg->conn);

		if (result)
			take(pg, e, result);
		else if (PQstatus(pg->conn) == CONNECTION_BAD)
			return;
	}
	/* Nothing is awaited: what comes is a notice, or the server's farewell. */
	if (STAILQ_EMPTY(&pg->entries))
		(void)PQisBusy(pg->conn);
}

static void report_change(struct pg *pg)
{
	if (!pg->state_changed)
		return;
	pg->state_changed = false;
	pg->on_state(pg->arg);
}

void pg_pump(struct pg *pg)
{
	bool lost;

	if (pg->is_pumping)
		return;
	pg->is_pumping = true;
	lost = PQconsumeInput(pg->conn) != 1 || !flush(pg);
	read_answers(pg);
	pg->is_pumping = false;
	report_change(pg);
	if (pg->unfit[0]) {
		char why[sizeof(pg->unfit)];

		memcpy(why, pg->unfit, sizeof(why));
		pg_connect_failed(pg, why);
		return;
	}
	if (lost || PQstatus(pg->conn) == CONNECTION_BAD)
		pg_lost(pg, PQerrorMessage(pg->conn));
	else
		pg_set_timer(pg);
}
