/* stored_counters.h - the event counters: kept in memory, and stored in the outbox as of an id
 *
 * They make a count(*) at start unnecessary. A transaction that only puts events stores no
 * counters, so that one event changes one page. When the outbox is opened, the rows from the
 * stored STORED_NEXT_ID on are counted, at most a thousand plus one group.
 *
 * While the queue is short, a transaction that puts events and deletes delivered ones stores no
 * counters either. When such an outbox was not closed, all its rows are counted: an id that was
 * used since the counters were stored and has no row is that of a delivered event. The highest id
 * is known from its row, so a transaction that puts nothing stores the counters, and so does the
 * one after a rollback, whose ids are in no row. Any other change of a counter stores all changed
 * ones. */
#ifndef OUTBOX_STORE_STORED_COUNTERS_H
#define OUTBOX_STORE_STORED_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "event/event_state.h"
#include "outbox/db/db.h"
#include "outbox/store/store.h"

/* Keys in the outbox file: append only. */
enum stored_counter {
	STORED_NEXT_ID = 0,
	STORED_IN_FLIGHT = 1, /* upper bound of events in flight */
	STORED_CLEAN = 2,     /* the last process closed the outbox */
	STORED_DROPPED = 3,
	STORED_REJECTED = 4,        /* number of rejected lines */
	STORED_ATTEMPT_RECORDS = 5, /* number of attempt records */
	STORED_HASH_K0 = 6,         /* key of the hashes in the indexes */
	STORED_HASH_K1 = 7,
	/* The time scale of dedup keys (key_clock.c): its offset from the boot-time clock … */
	STORED_KEY_BASE = 8,
	STORED_KEY_BOOT = 9, /* … and that clock when the offset was stored */
	STORED_KEY_DOUBT = 10,
	STORED_KEY_OLDER = 11,
	STORED_DELIVERED = 12, /* delivered since the outbox was made */
	STORED_DEAD = 16,      /* + enum dead_reason */
	/* struct outbox_identity: each uuid in two numbers */
	STORED_UUID = 32,
	STORED_UUID_FORMER = 34,
	STORED_UUID_SINCE = 36,
	STORED_EVENTS = 64, /* + sid * STATE_COUNT + enum event_state */
	STORED_COUNT = STORED_EVENTS + STORE_STREAMS_MAX * STATE_COUNT
};

struct stored_counter_set {
	uint16_t key[STORED_COUNT];
	bool has[STORED_COUNT];
	size_t n;
};

struct stored_counters {
	int64_t now[STORED_COUNT]; /* including the open transaction's changes */
	int64_t committed[STORED_COUNT];
	struct stored_counter_set changed; /* counters that the open transaction changed */
	/* Counters whose committed value is not stored in the outbox yet */
	struct stored_counter_set behind;
	int64_t stored_next_id;
	int64_t stored_rows;    /* events in all states, by the stored counters */
	int64_t put, delivered; /* events of the open transaction */
	bool must_write;        /* the transaction did more than that */
	bool has_gap;           /* ids were used since the counters were stored that no event has */
	bool inferred;          /* rows were missing when the file was opened, and count as delivered */
	bool wrote;             /* counters were stored in the open transaction */
	int64_t rows;           /* events in all states */
	int64_t kept;           /* all but delivered ones, limited by max_events */
};

static inline int stored_counter_of(uint32_t sid, enum event_state state)
{
	return STORED_EVENTS + (int)sid * STATE_COUNT + (int)state;
}
/* Returns 0, or -EIO on trouble. */
int stored_counters_load(struct stored_counters *l, struct db *db) MUST_CHECK;
void stored_counters_set(struct stored_counters *l, int key, int64_t n);
static inline void stored_counters_add(struct stored_counters *l, int key, int64_t n)
{
	stored_counters_set(l, key, l->now[key] + n);
}
void stored_counters_event(struct stored_counters *l, uint32_t sid, enum event_state state, int64_t n);
/* Counts n events that were put, with ids from STORED_NEXT_ID on. */
void stored_counters_put(struct stored_counters *l, uint32_t sid, int64_t n);
/* Counts n queued events whose rows were deleted because they were delivered. */
void stored_counters_delivered(struct stored_counters *l, uint32_t sid, int64_t n);
/* Call before COMMIT: stores the changed counters if necessary. */
int stored_counters_write(struct stored_counters *l, struct db *db) MUST_CHECK;
/* Call after COMMIT or ROLLBACK, respectively. */
void stored_counters_committed(struct stored_counters *l);
void stored_counters_rolled_back(struct stored_counters *l);

#endif
