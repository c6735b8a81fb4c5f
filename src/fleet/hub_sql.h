/* hub_sql.h - the hub's statements
 *
 * Plain SQL that CockroachDB and YugabyteDB document too. Times are the server's: clocks of hosts do not matter. */
#ifndef FLEET_HUB_SQL_H
#define FLEET_HUB_SQL_H

#include "net/postgres/postgres.h"

/* The server's clock, and when the oldest of the lanes' first events was accepted; NULL: nothing is queued. One look
 * into the index per lane, whatever the queue's length. */
static const struct pg_statement SQL_HUB_CLOCK = {
        .name = "hub_clock",
        .sql = "SELECT (extract(epoch FROM now()) * 1000000)::bigint, min(first.accepted_us) FROM ga4relay.lane l "
               "CROSS JOIN LATERAL (SELECT e.accepted_us FROM ga4relay.event e "
               "WHERE e.lane = l.lane AND e.state = 0 ORDER BY e.seq LIMIT 1) AS first",
};

/* $1 owner, $2 lease in microseconds, $3 lanes at most. Free lanes with something to send, the longest free first. A
 * lane that has `taken` was not released: its last owner may have sent what it had read. */
static const struct pg_statement SQL_HUB_TAKE = {
        .name = "hub_take",
        .sql = "UPDATE ga4relay.lane SET owner = $1::text, until = now() + $2::bigint * interval '1 microsecond' "
               "WHERE lane IN (SELECT l.lane FROM ga4relay.lane l WHERE l.until <= now() AND EXISTS ("
               "SELECT 1 FROM ga4relay.event e WHERE e.lane = l.lane AND e.state = 0) "
               "ORDER BY l.until LIMIT $3::bigint FOR UPDATE SKIP LOCKED) RETURNING lane, taken",
};

/* $1 owner, $2 lease in microseconds. */
static const struct pg_statement SQL_HUB_RENEW = {
        .name = "hub_renew",
        .sql = "UPDATE ga4relay.lane SET until = now() + $2::bigint * interval '1 microsecond' "
               "WHERE owner = $1::text AND until > now() RETURNING lane",
};

/* $1 owner, $2 lanes. Nothing of them is unsettled, or nothing of it was sent. */
static const struct pg_statement SQL_HUB_RELEASE = {
        .name = "hub_release",
        .sql = "UPDATE ga4relay.lane SET owner = '', until = now(), taken = 0 "
               "WHERE owner = $1::text AND lane = ANY ($2::bigint[])",
};

/* $1 owner, $2 lanes, $3 a seq for each above which to read, $4 events per lane, $5 bytes per lane at most; the first
 * event comes in any case. What is read is marked before it can be sent. */
static const struct pg_statement SQL_HUB_READ = {
        .name = "hub_read",
        .sql = "WITH got AS (SELECT w.lane, e.* FROM unnest($2::bigint[], $3::bigint[]) AS w (lane, after) "
               "JOIN ga4relay.lane l ON l.lane = w.lane AND l.owner = $1::text AND l.until > now() "
               "CROSS JOIN LATERAL (SELECT * FROM (SELECT f.*, "
               "sum(f.size) OVER (ORDER BY f.seq) AS so_far FROM ("
               "SELECT seq, outbox, id, stream, client, envelope, body, accepted_us, time_us, props_us, attempts, "
               "flags, octet_length(body) + octet_length(envelope) AS size FROM ga4relay.event "
               "WHERE lane = w.lane AND state = 0 AND seq > w.after ORDER BY seq LIMIT $4::bigint) f) g "
               "WHERE g.so_far - g.size < $5::bigint) e), "
               "mark AS (UPDATE ga4relay.lane l SET taken = greatest(l.taken, m.seq) "
               "FROM (SELECT lane, max(seq) AS seq FROM got GROUP BY lane) m "
               "WHERE l.lane = m.lane AND l.owner = $1::text) "
               "SELECT lane::bigint, seq, outbox::text, id, stream, client, envelope, body, accepted_us, time_us, "
               "props_us, attempts::bigint, flags::bigint, size::bigint FROM got ORDER BY seq",
};

/* $1 outboxes, $2 ids. The key stays; a lease that ended meanwhile, or an operator's hold, changes nothing about the
 * event having been delivered. */
static const struct pg_statement SQL_HUB_DONE = {
        .name = "hub_done",
        .sql = "UPDATE ga4relay.event e SET state = 3, body = '', envelope = '', client = '', settled = now() "
               "FROM unnest($1::text[], $2::bigint[]) AS k (outbox, id) "
               "WHERE e.outbox = k.outbox::uuid AND e.id = k.id AND e.state <> 3",
};

/* $1 outboxes, $2 ids, $3 state after it (0 or 2), $4 reason, $5 attempts, $6 flags to set, $7 status, $8 error, $9
 * answer. */
static const struct pg_statement SQL_HUB_NOTE = {
        .name = "hub_note",
        .sql = "UPDATE ga4relay.event e SET state = k.state::int2, reason = nullif(k.reason, ''), "
               "attempts = greatest(e.attempts, k.attempts::int4), flags = e.flags | k.flags::int2, "
               "last_status = k.status::int4, last_error = k.error, answer = k.answer, "
               "settled = CASE WHEN k.state = 2 THEN now() END "
               "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], "
               "$7::bigint[], $8::text[], $9::text[]) "
               "AS k (outbox, id, state, reason, attempts, flags, status, error, answer) "
               "WHERE e.outbox = k.outbox::uuid AND e.id = k.id AND e.state = 0",
};

/* $1 state, $2 age in microseconds, $3 rows at most. */
static const struct pg_statement SQL_HUB_FORGET = {
        .name = "hub_forget",
        .sql = "DELETE FROM ga4relay.event WHERE (outbox, id) IN (SELECT outbox, id FROM ga4relay.event "
               "WHERE state = $1::bigint AND settled < now() - $2::bigint * interval '1 microsecond' "
               "LIMIT $3::bigint FOR UPDATE SKIP LOCKED)",
};

#endif
