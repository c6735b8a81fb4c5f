/* counters_kept.h - the numbers that are kept in memory, and in the outbox as of an id: no count(*) at start
 *
 * A transaction that only puts events writes none of them, so that one event is one page: rows from the stored
 * LEDGER_NEXT_ID on are counted when the outbox is opened, a thousand and a group's at most. Whatever else changes a
 * number writes all. */
#ifndef OUTBOX_STORE_COUNTERS_KEPT_H
#define OUTBOX_STORE_COUNTERS_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "event/event_state.h"
#include "outbox/db/db.h"
#include "outbox/store/store.h"

/* The numbers are keys in the outbox file: append only. */
enum ledger_key {
	LEDGER_NEXT_ID = 0,
	LEDGER_IN_FLIGHT = 1, /* bound of events in flight */
	LEDGER_CLEAN = 2,     /* the last process closed the outbox */
	LEDGER_DROPPED = 3,
	LEDGER_REJECTED = 4, /* rows in rejected */
	LEDGER_NOTES = 5,    /* rows in note */
	LEDGER_HASH_K0 = 6,  /* key of the hashes in the indexes */
	LEDGER_HASH_K1 = 7,
	LEDGER_KEY_BASE = 8, /* the line of dedup keys (key_clock.c): above the boot-time clock … */
	LEDGER_KEY_BOOT = 9, /* … which stood there when that was noted */
	LEDGER_KEY_DOUBT = 10,
	LEDGER_KEY_OLDER = 11,
	LEDGER_DEAD = 16,   /* + enum dead_reason */
	LEDGER_EVENTS = 64, /* + sid * STATE_COUNT + enum event_state */
	LEDGER_COUNT = LEDGER_EVENTS + STORE_STREAMS_MAX * STATE_COUNT
};

struct ledger_keys {
	uint16_t key[LEDGER_COUNT];
	bool has[LEDGER_COUNT];
	size_t n;
};

struct ledger {
	int64_t now[LEDGER_COUNT]; /* with the open transaction's changes */
	int64_t committed[LEDGER_COUNT];
	struct ledger_keys changed; /* that differ, or did */
	struct ledger_keys behind;  /* whose committed number is not in the outbox yet */
	int64_t stored_next_id;
	bool must_write; /* not only events were put */
	bool wrote;      /* in the open transaction */
	int64_t rows;    /* events in all states */
	int64_t kept;    /* all but delivered ones: what max_events bounds */
};

static inline int ledger_event_key(uint32_t sid, enum event_state state)
{
	return LEDGER_EVENTS + (int)sid * STATE_COUNT + (int)state;
}
/* -EIO: trouble. */
int ledger_load(struct ledger *l, struct db *db) MUST_CHECK;
void ledger_set(struct ledger *l, int key, int64_t n);
static inline void ledger_add(struct ledger *l, int key, int64_t n)
{
	ledger_set(l, key, l->now[key] + n);
}
void ledger_event(struct ledger *l, uint32_t sid, enum event_state state, int64_t n);
/* n events were put, under ids from LEDGER_NEXT_ID on. */
void ledger_put(struct ledger *l, uint32_t sid, int64_t n);
/* Writes what changed, before COMMIT, if it must be. */
int ledger_write(struct ledger *l, struct db *db) MUST_CHECK;
/* After COMMIT, after ROLLBACK. */
void ledger_committed(struct ledger *l);
void ledger_rolled_back(struct ledger *l);

#endif
