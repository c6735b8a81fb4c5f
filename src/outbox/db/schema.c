/* schema.c - the outbox's tables and the migrations from older formats
 *
 * Times are microseconds since 1970. No index needs an update for a PUT or a delivery, except
 * the index on the envelopes' hash, which only a new envelope updates. */
#include "outbox/db/schema.h"

#include <stdio.h>

#include "base/macros.h"

/* Append only: never edit a released step. Step i migrates to version i + 1. */
static const char *const migrations[] = {
        /* Tables get their first pages in this order. A disk destroys 4 KiB at once, the header's page
         * and the next one, so the table that is missed least comes first. */
        /* Rejected lines; their ids come from the events' sequence. uid: the address of a TCP
         * client, which has no uid. */
        "CREATE TABLE rejected(id INTEGER PRIMARY KEY, code INTEGER NOT NULL, field TEXT NOT NULL,"
        " message TEXT NOT NULL, at INTEGER NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL, line TEXT NOT "
        "NULL);"
        /* A configured stream's name; pause is an enum pause_word. */
        "CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT NOT NULL, pause INTEGER NOT NULL);"
        /* The request-level members that events share. hash is keyed (counter 'hash key') and
         * only finds candidates. */
        "CREATE TABLE envelope(id INTEGER PRIMARY KEY, sid INTEGER NOT NULL, hash INTEGER NOT NULL, client TEXT NOT "
        "NULL,"
        " body TEXT NOT NULL);"
        "CREATE INDEX envelope_hash ON envelope(hash);"
        /* The queue in order of acceptance; state is an enum event_state. */
        "CREATE TABLE event(id INTEGER PRIMARY KEY, sid INTEGER NOT NULL, envelope INTEGER NOT NULL,"
        " state INTEGER NOT NULL, accepted INTEGER NOT NULL, time INTEGER NOT NULL, props INTEGER NOT NULL,"
        " body TEXT NOT NULL);"
        /* Attempt records, only for events whose delivery did not succeed at once or that are
         * kept. settled: when the event died or was delivered (and is kept), 0 while it is
         * queued or held. tries: one JSON object per line, the last 10. */
        "CREATE TABLE note(id INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, maybe_sent INTEGER NOT NULL,"
        " no_expiry INTEGER NOT NULL, reason INTEGER NOT NULL, last_status INTEGER NOT NULL, last_error TEXT NOT "
        "NULL,"
        " answer TEXT NOT NULL, tries TEXT NOT NULL, settled INTEGER NOT NULL);"
        /* The dedup_keys of lines, oldest first by n. */
        "CREATE TABLE dedup(n INTEGER PRIMARY KEY, hash INTEGER NOT NULL, sid INTEGER NOT NULL, key TEXT NOT NULL,"
        " first INTEGER NOT NULL, count INTEGER NOT NULL, at INTEGER NOT NULL);"
        "CREATE INDEX dedup_hash ON dedup(hash);"
        /* Counters by enum stored_counter (stored_counters.h), valid for the events below
         * STORED_NEXT_ID. Events from that id on are all queued and not included yet. */
        "CREATE TABLE counter(key INTEGER PRIMARY KEY, n INTEGER NOT NULL);",
        /* event.envelope may be the envelope's text instead of its number (inline_envelope.h).
         * Rows of the older format stay as they are, but an older program could not read the new
         * ones. */
        "",
};

int schema_version(void)
{
	return (int)ARRAY_LEN(migrations);
}

static int run_steps(struct db *db, const char *const *steps, int from, int to, struct err *err)
{
	char mark[96];
	int r = 0;

	for (int i = from; r == 0 && i < to; i++)
		r = db_exec(db, steps[i], err);
	if (r < 0)
		return r;
	snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %d", SCHEMA_APPLICATION_ID,
	         to);
	return db_exec(db, mark, err);
}

int schema_climb(struct db *db, const char *const *steps, int from, int to, struct err *err)
{
	int r;

	if (from >= to)
		return 0;
	r = db_exec(db, "BEGIN IMMEDIATE", err);
	if (r < 0)
		return r;
	r = run_steps(db, steps, from, to, err);
	if (r == 0)
		r = db_exec(db, "COMMIT", err);
	/* Keep the first error; SQLite may have rolled back already. */
	if (r < 0 && !sqlite3_get_autocommit(db->conn))
		(void)sqlite3_exec(db->conn, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int schema_migrate(struct db *db, int from, struct err *err)
{
	return schema_climb(db, migrations, from, schema_version(), err);
}
