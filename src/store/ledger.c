/* ledger.c - the numbers that are kept in memory and in every transaction: no count(*) at start */
#include "store/ledger.h"

static void add_to_sums(struct ledger *l, int key, int64_t n)
{
	if (key < LEDGER_EVENTS)
		return;
	l->rows += n;
	if ((key - LEDGER_EVENTS) % STATE_COUNT != STATE_DELIVERED)
		l->kept += n;
}

int ledger_load(struct ledger *l, struct db *db)
{
	int r;

	*l = (struct ledger){.kept = 0};
	while ((r = db_row(db, SQL_COUNTERS)) > 0) {
		int64_t key = db_col(db, SQL_COUNTERS, 0);

		if (key < 0 || key >= LEDGER_COUNT)
			continue;
		l->now[key] = l->committed[key] = db_col(db, SQL_COUNTERS, 1);
		add_to_sums(l, (int)key, l->now[key]);
	}
	return r;
}

void ledger_set(struct ledger *l, int key, int64_t n)
{
	add_to_sums(l, key, n - l->now[key]);
	l->now[key] = n;
	if (l->is_changed[key])
		return;
	l->is_changed[key] = true;
	l->changed[l->n_changed++] = (uint16_t)key;
}

void ledger_event(struct ledger *l, uint32_t sid, enum event_state state, int64_t n)
{
	ledger_add(l, ledger_event_key(sid, state), n);
}

int ledger_write(struct ledger *l, struct db *db)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n_changed; i++) {
		int key = l->changed[i];

		if (l->now[key] == l->committed[key])
			continue;
		db_int(db, SQL_SET_COUNTER, 1, key);
		db_int(db, SQL_SET_COUNTER, 2, l->now[key]);
		r = db_run(db, SQL_SET_COUNTER);
	}
	return r;
}

static void forget_changes(struct ledger *l)
{
	for (size_t i = 0; i < l->n_changed; i++)
		l->is_changed[l->changed[i]] = false;
	l->n_changed = 0;
}

void ledger_committed(struct ledger *l)
{
	for (size_t i = 0; i < l->n_changed; i++)
		l->committed[l->changed[i]] = l->now[l->changed[i]];
	forget_changes(l);
}

void ledger_rolled_back(struct ledger *l)
{
	while (l->n_changed > 0) {
		int key = l->changed[l->n_changed - 1];

		/* Ids are not given twice, not even those of a transaction that failed: it may yet be on disk. */
		if (key != LEDGER_NEXT_ID)
			ledger_set(l, key, l->committed[key]);
		l->is_changed[key] = false;
		l->n_changed--;
	}
}
