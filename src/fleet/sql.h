/* sql.h - the schema in PostgreSQL, and the statements of the edge
 *
 * Plain SQL that CockroachDB and YugabyteDB document too: no extensions, no advisory locks, no triggers. Times of
 * leases and of keys are the server's own. */
#ifndef FLEET_SQL_H
#define FLEET_SQL_H

/* event.state, as numbers in the SQL below. */
enum fleet_state { FLEET_QUEUED = 0, FLEET_HELD = 1, FLEET_DEAD = 2, FLEET_DELIVERED = 3 };
/* event.flags */
enum fleet_flag { FLEET_MAYBE_SENT = 1, FLEET_NO_EXPIRY = 2 };
/* Not stored: the key has the outbox's former uuid. */
enum { FLEET_FORMER = 4 };
/* A client's events are in one lane, and a lane has one hub at a time. Part of the schema. */
enum { FLEET_LANES = 256 };

#define FLEET_SQL_VERSION "SELECT version, works_from FROM ga4relay.schema_version"

/* $1 uuid, $2 former uuid, $3 … arrays. A key that is there already is left as it is. */
#define FLEET_SQL_PUT                                                                                                \
	"INSERT INTO ga4relay.event(outbox, id, hash, lane, flags, accepted_us, time_us, props_us, stream, client, " \
	"name,"                                                                                                      \
	" envelope, body)"                                                                                           \
	" SELECT CASE WHEN g.flags & 4 = 0 THEN $1::uuid ELSE $2::uuid END, g.id, g.hash, g.lane, g.flags & 3,"      \
	" g.accepted_us, g.time_us, g.props_us, g.stream, g.client, g.name, g.envelope, g.body"                      \
	" FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], "          \
	"$9::bigint[],"                                                                                              \
	" $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])"                                          \
	" AS g(id, hash, lane, flags, accepted_us, time_us, props_us, stream, client, name, envelope, body)"         \
	" ON CONFLICT (outbox, id) DO NOTHING"

/* What became of keys that were there already: id, and whether the content is the same. It writes, because a
 * transaction that writes nothing is acknowledged without waiting for a standby: this one's COMMIT covers all that
 * was committed before it. $1 uuid, $2 former uuid, $3 ids, $4 hashes, $5 flags. */
#define FLEET_SQL_VERIFY                                                                                             \
	"WITH seen AS (INSERT INTO ga4relay.outbox(outbox, seen) VALUES ($1::uuid, now())"                           \
	" ON CONFLICT (outbox) DO UPDATE SET seen = now())"                                                          \
	" SELECT g.id, e.hash = g.hash FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS g(id, hash, flags)"  \
	" JOIN ga4relay.event e ON e.id = g.id"                                                                      \
	" AND e.outbox = CASE WHEN g.flags & 4 = 0 THEN $1::uuid ELSE $2::uuid END"

#endif
