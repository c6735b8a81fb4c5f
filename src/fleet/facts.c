/* facts.c - what can be asked of a fleet's database */
#include "fleet/facts.h"

#include <stdio.h>
#include <string.h>

#include "fleet/sql.h"

static const char server_sql[] = "SELECT version()";
/* An unknown schema or table gives NULL. */
static const char schema_sql[] = "SELECT count(*) FROM information_schema.tables"
                                 " WHERE table_schema = 'ga4relay' AND table_name = 'schema_version'";
static const char rights_sql[] =
        "SELECT has_table_privilege('ga4relay.event', 'SELECT') AND has_table_privilege('ga4relay.event', 'INSERT')"
        " AND has_table_privilege('ga4relay.event', 'UPDATE') AND has_table_privilege('ga4relay.event', 'DELETE')"
        " AND has_table_privilege('ga4relay.lane', 'SELECT') AND has_table_privilege('ga4relay.lane', 'UPDATE')"
        " AND has_table_privilege('ga4relay.outbox', 'INSERT') AND has_table_privilege('ga4relay.outbox', 'UPDATE')";
static const char sync_sql[] = "SHOW synchronous_standby_names";
/* Without pg_read_all_stats the rows are there, and their state is not. */
static const char standbys_sql[] =
        "SELECT count(*), count(state), count(*) FILTER (WHERE state = 'streaming'),"
        " count(*) FILTER (WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')),"
        " max(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)) FILTER (WHERE sync_state IN ('sync', 'quorum'))"
        "::bigint, (max(extract(epoch FROM flush_lag)) FILTER (WHERE sync_state IN ('sync', 'quorum'))"
        " * 1000000)::bigint FROM pg_stat_replication";
static const char members_sql[] = "SELECT count(*) FILTER (WHERE application_name LIKE 'ga4relay edge %'),"
                                  " count(*) FILTER (WHERE application_name LIKE 'ga4relay hub %')"
                                  " FROM pg_stat_activity";

/* The answer has at least one row after 0. */
static int ask(struct pg_session *s, const char *sql, struct pg_answer *ret, struct err *err)
{
	int r = pg_session_ask(s, sql, NULL, ret, err);

	if (r < 0 || pg_rows(ret) > 0)
		return r;
	pg_session_clear(ret);
	return err_set(err, -1, "PostgreSQL: no answer to: %.40s", sql);
}

static int ask_text(struct pg_session *s, const char *sql, char *out, size_t size, struct err *err)
{
	struct pg_answer a;
	int r = ask(s, sql, &a, err);

	if (r < 0)
		return r;
	snprintf(out, size, "%.*s", SLICE_ARG(pg_text(&a, 0, 0)));
	pg_session_clear(&a);
	return 0;
}

static int ask_schema(struct pg_session *s, struct fleet_facts *f, struct err *err)
{
	struct pg_answer a;
	int r = ask(s, schema_sql, &a, err);
	bool there = r == 0 && pg_i64(&a, 0, 0) > 0;

	if (r == 0)
		pg_session_clear(&a);
	if (!there)
		return r;
	r = ask(s, FLEET_SQL_VERSION, &a, err);
	if (r < 0)
		return r;
	f->schema = pg_i64(&a, 0, 0);
	f->works_from = pg_i64(&a, 0, 1);
	pg_session_clear(&a);
	r = ask(s, rights_sql, &a, err);
	if (r < 0)
		return r;
	f->may_write = pg_bool(&a, 0, 0);
	pg_session_clear(&a);
	return 0;
}

static int ask_standbys(struct pg_session *s, struct fleet_facts *f, struct err *err)
{
	struct pg_answer a;
	int r = ask(s, standbys_sql, &a, err);

	if (r < 0)
		return r;
	f->standbys = pg_i64(&a, 0, 0);
	f->visible = pg_i64(&a, 0, 1) == f->standbys;
	f->streaming = pg_i64(&a, 0, 2);
	f->synchronous = pg_i64(&a, 0, 3);
	f->lag_bytes = pg_i64(&a, 0, 4);
	f->lag_us = pg_i64(&a, 0, 5);
	pg_session_clear(&a);
	r = ask(s, members_sql, &a, err);
	if (r < 0)
		return r;
	f->edges = pg_i64(&a, 0, 0);
	f->hubs = pg_i64(&a, 0, 1);
	pg_session_clear(&a);
	return 0;
}

int fleet_facts_ask(struct pg_session *s, struct fleet_facts *ret, struct err *err)
{
	struct err why;
	int r;

	*ret = (struct fleet_facts){.schema = 0};
	r = ask_text(s, server_sql, ret->server, sizeof(ret->server), err);
	if (r == 0)
		ret->server[strcspn(ret->server, "(,")] = '\0';
	if (r == 0)
		r = ask_schema(s, ret, err);
	if (r < 0)
		return r;
	r = ask_text(s, sync_sql, ret->sync_names, sizeof(ret->sync_names), &why);
	if (r == 0)
		r = ask_standbys(s, ret, &why);
	if (r < 0)
		snprintf(ret->unknown, sizeof(ret->unknown), "%.255s", why.text);
	return 0;
}
