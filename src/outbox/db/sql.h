/* sql.h - all SQL statements, prepared once when the outbox is opened
 *
 * Parameters are bound by their numbers, and columns are read by their positions in the statement.
 * schema.c describes the tables. */
#ifndef OUTBOX_DB_SQL_H
#define OUTBOX_DB_SQL_H

#define STORE_SQL(X)                                                                                                 \
	/* transactions */                                                                                           \
	X(BEGIN, "BEGIN IMMEDIATE")                                                                                  \
	X(COMMIT, "COMMIT")                                                                                          \
	X(ROLLBACK, "ROLLBACK")                                                                                      \
	X(PAGE_COUNT, "PRAGMA page_count")                                                                           \
	X(FREE_PAGES, "PRAGMA freelist_count")                                                                       \
	/* counters and streams */                                                                                   \
	X(COUNTERS, "SELECT key, n FROM counter")                                                                    \
	X(SET_COUNTER, "INSERT INTO counter(key, n) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET n = ?2")           \
	X(STREAMS, "SELECT id, name, pause FROM stream ORDER BY id")                                                 \
	X(ADD_STREAM, "INSERT INTO stream(id, name, pause) VALUES(?1, ?2, 0)")                                       \
	X(SET_PAUSE, "UPDATE stream SET pause = ?2 WHERE id = ?1")                                                   \
	X(MAX_EVENT, "SELECT max(id) FROM event")                                                                    \
	X(MAX_REJECTED, "SELECT max(id) FROM rejected")                                                              \
	X(EVENT_ROWS, "SELECT count(*) FROM event")                                                                  \
	X(REJECTED_ROWS, "SELECT count(*) FROM rejected")                                                            \
	X(MAX_ENVELOPE, "SELECT max(id) FROM envelope")                                                              \
	/* the hot path */                                                                                           \
	X(PUT_EVENT, "INSERT INTO event(id, sid, envelope, state, accepted, time, props, body)"                      \
	             " VALUES(?1, ?2, ?3, 0, ?4, ?5, ?6, ?7)")                                                       \
	/* Writes the insert batch (insert_batch.h). OR FAIL is safe because the group is rolled back on an error;   \
	 * without it SQLite would save each page as it was before the statement. */                                 \
	X(PUT_EVENTS, "INSERT OR FAIL INTO event(id, sid, envelope, state, accepted, time, props, body)"             \
	              " SELECT id, sid, envelope, 0, accepted, time, props, body FROM insert_batch")                 \
	X(EVENTS_IN, "SELECT sid, state FROM event WHERE id BETWEEN ?1 AND ?2")                                      \
	X(EVENTS_FROM, "SELECT id, sid, state FROM event WHERE id >= ?1 ORDER BY id")                                \
	X(DELETE_QUEUED_IN, "DELETE FROM event WHERE id BETWEEN ?1 AND ?2 AND sid = ?3 AND state = 0")               \
	X(DELETE_EVENTS_IN, "DELETE FROM event WHERE id BETWEEN ?1 AND ?2")                                          \
	X(REASONS_IN, "SELECT reason FROM note WHERE id BETWEEN ?1 AND ?2")                                          \
	X(DELETE_NOTES_IN, "DELETE FROM note WHERE id BETWEEN ?1 AND ?2")                                            \
	X(FIND_ENVELOPE, "SELECT id, sid, body FROM envelope WHERE hash = ?1")                                       \
	X(ADD_ENVELOPE, "INSERT INTO envelope(id, sid, hash, client, body) VALUES(?1, ?2, ?3, ?4, ?5)")              \
	X(ENVELOPE, "SELECT sid, hash, client, body FROM envelope WHERE id = ?1")                                    \
	X(FIND_KEY, "SELECT n, sid, key, first, count, at FROM dedup WHERE hash = ?1")                               \
	X(ADD_KEY, "INSERT INTO dedup(hash, sid, key, first, count, at) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")             \
	X(DELETE_KEY, "DELETE FROM dedup WHERE n = ?1")                                                              \
	/* one event, its state and its attempt record */                                                            \
	X(EVENT_STATE, "SELECT sid, state FROM event WHERE id = ?1")                                                 \
	X(SET_STATE, "UPDATE event SET state = ?2 WHERE id = ?1")                                                    \
	X(NOTE, "SELECT attempts, maybe_sent, no_expiry, reason, last_status, last_error, answer, tries, settled"    \
	        " FROM note WHERE id = ?1")                                                                          \
	X(SET_NOTE, "INSERT OR REPLACE INTO note(id, attempts, maybe_sent, no_expiry, reason, last_status,"          \
	            " last_error, answer, tries, settled) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")          \
	X(NOTES_IN, "SELECT id, attempts, maybe_sent, no_expiry FROM note WHERE id BETWEEN ?1 AND ?2 ORDER BY id")   \
	/* scans of the queue in id order */                                                                         \
	X(SCAN_UP,                                                                                                   \
	  "SELECT id, sid, state, envelope, accepted, time, props, body FROM event WHERE id >= ?1 ORDER BY id")      \
	X(SCAN_DOWN, "SELECT id, sid, state, envelope, accepted, time, props, body FROM event WHERE id <= ?1"        \
	             " ORDER BY id DESC")                                                                            \
	X(SCAN_TIMES, "SELECT id, sid, state, accepted, time FROM event WHERE id >= ?1 ORDER BY id")                 \
	/* rejected lines */                                                                                         \
	X(ADD_REJECTED, "INSERT INTO rejected(id, code, field, message, at, uid, pid, line)"                         \
	                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                                   \
	X(TRIM_REJECTED, "DELETE FROM rejected WHERE id IN (SELECT id FROM rejected ORDER BY id LIMIT ?1)")          \
	X(DELETE_REJECTED, "DELETE FROM rejected WHERE id = ?1")                                                     \
	X(REJECTED_UP,                                                                                               \
	  "SELECT id, code, field, message, at, uid, pid, line FROM rejected WHERE id >= ?1 ORDER BY id")            \
	X(REJECTED_DOWN, "SELECT id, code, field, message, at, uid, pid, line FROM rejected WHERE id <= ?1"          \
	                 " ORDER BY id DESC")                                                                        \
	/* maintenance */                                                                                            \
	X(MAX_KEY, "SELECT coalesce(max(n), 0) FROM dedup")                                                          \
	X(MOVE_KEYS, "UPDATE dedup SET at = at + ?2 WHERE n > ?1")                                                   \
	X(KEYS_FROM_AHEAD, "UPDATE dedup SET at = ?1 WHERE at > ?1")                                                 \
	X(KEYS_UP, "SELECT n, at FROM dedup ORDER BY n LIMIT ?1")                                                    \
	X(DELETE_KEYS_TO, "DELETE FROM dedup WHERE n <= ?1")                                                         \
	X(SETTLED_UP, "SELECT id, settled, reason FROM note WHERE id > ?1 ORDER BY id LIMIT ?2")                     \
	X(ENVELOPES_OF, "SELECT id, envelope FROM event WHERE id > ?1 ORDER BY id LIMIT ?2")                         \
	X(ENVELOPES_UP, "SELECT id FROM envelope WHERE id >= ?1 ORDER BY id LIMIT ?2")                               \
	X(DELETE_ENVELOPE, "DELETE FROM envelope WHERE id = ?1")

enum sql {
#define X(name, text) SQL_##name,
	STORE_SQL(X)
#undef X
	        SQL_COUNT
};

#endif
