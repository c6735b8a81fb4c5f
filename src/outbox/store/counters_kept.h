/* counters_kept.h - the event counters: kept in memory, and stored in the outbox as of an id
 *
 * They make a count(*) at start unnecessary. A transaction that only puts events stores no
 * counters, so that one event changes one page. When the outbox is opened, the rows from the
 * stored LEDGER_NEXT_ID on are counted, at most a thousand plus one group. Any other change of a
 * counter stores all changed ones. */
#ifndef OUTBOX_STORE_COUNTERS_KEPT_H
#define OUTBOX_STORE_COUNTERS_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "event/event_state.h"
#include "outbox/db/db.h"
#include "outbox/store/store.h"

/* Keys in the outbox file: append only. */
enum ledger_key {
	LEDGER_NEXT_ID = 0,
	LEDGER_IN_FLIGHT = 1, /* upper bound of events in flight */
	LEDGER_CLEAN = 2,     /* the last process closed the outbox */
	LEDGER_DROPPED = 3,
	LEDGER_REJECTED = 4, /* number of rejected lines */
	LEDGER_NOTES = 5,    /* number of attempt records */
	LEDGER_HASH_K0 = 6,  /* key of the hashes in the indexes */
	LEDGER_HASH_K1 = 7,
	/* The time scale of dedup keys (key_clock.c): its offset from the boot-time clock … */
	LEDGER_KEY_BASE = 8,
	LEDGER_KEY_BOOT = 9, /* … and that clock when the offset was stored */
	LEDGER_KEY_DOUBT = 10,
	LEDGER_KEY_OLDER = 11,
	LEDGER_DELIVERED = 12, /* delivered since the outbox was made */
	LEDGER_DEAD = 16,      /* + enum dead_reason */
	LEDGER_EVENTS = 64,    /* + sid * STATE_COUNT + enum event_state */
	LEDGER_COUNT = LEDGER_EVENTS + STORE_STREAMS_MAX * STATE_COUNT
};

struct ledger_keys {
	uint16_t key[LEDGER_COUNT];
	bool has[LEDGER_COUNT];
	size_t n;
};

struct ledger {
	int64_t now[LEDGER_COUNT]; /* including the open transaction's changes */
	int64_t committed[LEDGER_COUNT];
	struct ledger_keys changed; /* counters that the open transaction changed */
	/* Counters whose committed value is not stored in the outbox yet */
	struct ledger_keys behind;
	int64_t stored_next_id;
	bool must_write; /* the transaction did more than put events */
	bool wrote;      /* counters were stored in the open transaction */
	int64_t rows;    /* events in all states */
	int64_t kept;    /* all but delivered ones, limited by max_events */
};

static inline int ledger_event_key(uint32_t sid, enum event_state state)
{
	return LEDGER_EVENTS + (int)sid * STATE_COUNT + (int)state;
}
/* Returns 0, or -EIO on trouble. */
int ledger_load(struct ledger *l, struct db *db) MUST_CHECK;
void ledger_set(struct ledger *l, int key, int64_t n);
static inline void ledger_add(struct ledger *l, int key, int64_t n)
{
	ledger_set(l, key, l->now[key] + n);
}
void ledger_event(struct ledger *l, uint32_t sid, enum event_state state, int64_t n);
/* Counts n events that were put, with ids from LEDGER_NEXT_ID on. */
void ledger_put(struct ledger *l, uint32_t sid, int64_t n);
/* Call before COMMIT: stores the changed counters if necessary. */
int ledger_write(struct ledger *l, struct db *db) MUST_CHECK;
/* Call after COMMIT or ROLLBACK, respectively. */
void ledger_committed(struct ledger *l);
void ledger_rolled_back(struct ledger *l);

#endif
