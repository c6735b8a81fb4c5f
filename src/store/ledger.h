/* ledger.h - the numbers that are kept in memory and in every transaction: no count(*) at start */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "model/dead.h"
#include "store/db.h"
#include "store/store.h"

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
	LEDGER_DEAD = 16,   /* + enum dead_reason */
	LEDGER_EVENTS = 64, /* + sid * STATE_COUNT + enum event_state */
	LEDGER_COUNT = LEDGER_EVENTS + STORE_STREAMS_MAX * STATE_COUNT
};

struct ledger {
	int64_t now[LEDGER_COUNT]; /* with the open transaction's changes */
	int64_t committed[LEDGER_COUNT];
	uint16_t changed[LEDGER_COUNT]; /* keys that differ, or did */
	bool is_changed[LEDGER_COUNT];
	size_t n_changed;
	int64_t rows; /* events in all states */
	int64_t kept; /* all but delivered ones: what max_events bounds */
};

static inline int ledger_event_key(uint32_t sid, enum event_state state)
{
	return LEDGER_EVENTS + (int)sid * STATE_COUNT + (int)state;
}
int ledger_load(struct ledger *l, struct db *db) MUST_CHECK;
void ledger_set(struct ledger *l, int key, int64_t n);
static inline void ledger_add(struct ledger *l, int key, int64_t n)
{
	ledger_set(l, key, l->now[key] + n);
}
void ledger_event(struct ledger *l, uint32_t sid, enum event_state state, int64_t n);
/* Writes what changed, before COMMIT. */
int ledger_write(struct ledger *l, struct db *db) MUST_CHECK;
/* After COMMIT, after ROLLBACK. */
void ledger_committed(struct ledger *l);
void ledger_rolled_back(struct ledger *l);

#endif
