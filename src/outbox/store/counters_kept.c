/* counters_kept.c - the event counters: kept in memory, and stored in the outbox as of an id */
#include "outbox/store/counters_kept.h"

/* Number of events after which the counters are stored again. A start counts this many rows in a
 * millisecond. */
enum { BEHIND_EVENTS = 1000 };

static void keys_add(struct ledger_keys *keys, int key)
{
	if (keys->has[key])
		return;
	keys->has[key] = true;
	keys->key[keys->n++] = (uint16_t)key;
}

static void keys_clear(struct ledger_keys *keys)
{
	while (keys->n > 0)
		keys->has[keys->key[--keys->n]] = false;
}

static void add_to_sums(struct ledger *l, int key, int64_t n)
{
	if (key < LEDGER_EVENTS)
		return;
	l->rows += n;
	if ((key - LEDGER_EVENTS) % STATE_COUNT != STATE_DELIVERED)
		l->kept += n;
}

static void load_number(struct ledger *l, int64_t key, int64_t n)
{
	if (key < 0 || key >= LEDGER_COUNT)
		return;
	add_to_sums(l, (int)key, n - l->now[key]);
	l->now[key] = l->committed[key] = n;
}

/* Counts the rows that were put after the counters were stored. */
static int count_behind(struct ledger *l, struct db *db)
{
	uint64_t from = (uint64_t)l->stored_next_id;
	int r;

	db_int(db, SQL_EVENTS_FROM, 1, (int64_t)from);
	while ((r = db_row_within(db, SQL_EVENTS_FROM, from, INT64_MAX)) > 0) {
		int64_t sid = db_col(db, SQL_EVENTS_FROM, 1), state = db_col(db, SQL_EVENTS_FROM, 2);
		int key;

		from = (uint64_t)db_col(db, SQL_EVENTS_FROM, 0) + 1;
		if (sid < 1 || sid >= STORE_STREAMS_MAX || state < 0 || state >= STATE_COUNT)
			continue;
		key = ledger_event_key((uint32_t)sid, (enum event_state)state);
		load_number(l, key, l->now[key] + 1);
		keys_add(&l->behind, key);
	}
	return r;
}

int ledger_load(struct ledger *l, struct db *db)
{
	int r;

	*l = (struct ledger){.kept = 0};
	while ((r = db_row(db, SQL_COUNTERS)) > 0)
		load_number(l, db_col(db, SQL_COUNTERS, 0), db_col(db, SQL_COUNTERS, 1));
	l->stored_next_id = l->now[LEDGER_NEXT_ID];
	/* Without that counter none was ever stored, or it was lost with the others. */
	return r == 0 && l->stored_next_id > 0 ? count_behind(l, db) : r;
}

static void set(struct ledger *l, int key, int64_t n)
{
	add_to_sums(l, key, n - l->now[key]);
	l->now[key] = n;
	keys_add(&l->changed, key);
}

void ledger_set(struct ledger *l, int key, int64_t n)
{
	/* Puts change LEDGER_NEXT_ID too. */
	if (key != LEDGER_NEXT_ID)
		l->must_write = true;
	set(l, key, n);
}

void ledger_event(struct ledger *l, uint32_t sid, enum event_state state, int64_t n)
{
	ledger_add(l, ledger_event_key(sid, state), n);
}

void ledger_put(struct ledger *l, uint32_t sid, int64_t n)
{
	int key = ledger_event_key(sid, STATE_QUEUED);

	set(l, key, l->now[key] + n);
}

static int write_number(struct ledger *l, struct db *db, int key)
{
	db_int(db, SQL_SET_COUNTER, 1, key);
	db_int(db, SQL_SET_COUNTER, 2, l->now[key]);
	return db_run(db, SQL_SET_COUNTER);
}

int ledger_write(struct ledger *l, struct db *db)
{
	int r = 0;

	l->wrote = l->must_write || l->now[LEDGER_NEXT_ID] - l->stored_next_id >= BEHIND_EVENTS;
	if (!l->wrote)
		return 0;
	for (size_t i = 0; r == 0 && i < l->changed.n; i++) {
		int key = l->changed.key[i];

		if (l->now[key] != l->committed[key] && !l->behind.has[key])
			r = write_number(l, db, key);
	}
	for (size_t i = 0; r == 0 && i < l->behind.n; i++)
		r = write_number(l, db, l->behind.key[i]);
	return r;
}

void ledger_committed(struct ledger *l)
{
	if (l->wrote) {
		keys_clear(&l->behind);
		l->stored_next_id = l->now[LEDGER_NEXT_ID];
	}
	for (size_t i = 0; i < l->changed.n; i++) {
		int key = l->changed.key[i];

		if (!l->wrote && l->now[key] != l->committed[key])
			keys_add(&l->behind, key);
		l->committed[key] = l->now[key];
	}
	keys_clear(&l->changed);
	l->must_write = false;
}

void ledger_rolled_back(struct ledger *l)
{
	for (size_t i = 0; i < l->changed.n; i++) {
		int key = l->changed.key[i];

		/* Ids are never reused, not even those of a failed transaction, which may be on
		 * the disk nevertheless. */
		if (key != LEDGER_NEXT_ID)
			set(l, key, l->committed[key]);
	}
	keys_clear(&l->changed);
	l->must_write = false;
}
