/* stored_counters.c - the event counters: kept in memory, and stored in the outbox as of an id */
#include "outbox/store/stored_counters.h"

/* Number of events after which the counters are stored again. A start counts this many rows in a
 * millisecond. */
enum { BEHIND_EVENTS = 1000 };
/* Maximum number of stored rows with which all rows are counted at the start after a kill. */
enum { SHORT_QUEUE_ROWS = 4096 };

static void keys_add(struct stored_counter_set *keys, int key)
{
	if (keys->has[key])
		return;
	keys->has[key] = true;
	keys->key[keys->n++] = (uint16_t)key;
}

static void keys_clear(struct stored_counter_set *keys)
{
	while (keys->n > 0)
		keys->has[keys->key[--keys->n]] = false;
}

static void add_to_sums(struct stored_counters *l, int key, int64_t n)
{
	if (key < STORED_EVENTS)
		return;
	l->rows += n;
	if ((key - STORED_EVENTS) % STATE_COUNT != STATE_DELIVERED)
		l->kept += n;
}

static void load_number(struct stored_counters *l, int64_t key, int64_t n)
{
	if (key < 0 || key >= STORED_COUNT)
		return;
	add_to_sums(l, (int)key, n - l->now[key]);
	l->now[key] = l->committed[key] = n;
}

/* Counts the rows from an id on. Raises *next to the one after the last. */
static int count_rows(struct stored_counters *l, struct db *db, uint64_t from, int64_t *next)
{
	int r;

	db_int(db, SQL_EVENTS_FROM, 1, (int64_t)from);
	while ((r = db_row_within(db, SQL_EVENTS_FROM, from, INT64_MAX)) > 0) {
		int64_t sid = db_col(db, SQL_EVENTS_FROM, 1), state = db_col(db, SQL_EVENTS_FROM, 2);
		int key;

		from = (uint64_t)db_col(db, SQL_EVENTS_FROM, 0) + 1;
		*next = (int64_t)from > *next ? (int64_t)from : *next;
		if (sid < 1 || sid >= STORE_STREAMS_MAX || state < 0 || state >= STATE_COUNT)
			continue;
		key = stored_counter_of((uint32_t)sid, (enum event_state)state);
		load_number(l, key, l->now[key] + 1);
		keys_add(&l->behind, key);
	}
	return r;
}

/* Counts the rows that were put after the counters were stored. */
static int count_behind(struct stored_counters *l, struct db *db)
{
	int64_t next = l->stored_next_id;

	return count_rows(l, db, (uint64_t)next, &next);
}

/* Counts all rows of a short queue. */
static int count_again(struct stored_counters *l, struct db *db)
{
	int64_t next = l->stored_next_id, missing;
	int r;

	for (int key = STORED_EVENTS; key < STORED_COUNT; key++) {
		if (l->now[key] == 0)
			continue;
		load_number(l, key, 0);
		keys_add(&l->behind, key);
	}
	r = count_rows(l, db, 1, &next);
	missing = l->stored_rows + (next - l->stored_next_id) - l->rows;
	l->inferred = missing > 0;
	if (!l->inferred)
		return r;
	load_number(l, STORED_DELIVERED, l->now[STORED_DELIVERED] + missing);
	keys_add(&l->behind, STORED_DELIVERED);
	return r;
}

int stored_counters_load(struct stored_counters *l, struct db *db)
{
	int r;

	*l = (struct stored_counters){.kept = 0};
	while ((r = db_row(db, SQL_COUNTERS)) > 0)
		load_number(l, db_col(db, SQL_COUNTERS, 0), db_col(db, SQL_COUNTERS, 1));
	l->stored_next_id = l->now[STORED_NEXT_ID];
	l->stored_rows = l->rows;
	/* Without that counter none was ever stored, or it was lost with the others. */
	if (r < 0 || l->stored_next_id <= 0)
		return r;
	if (l->now[STORED_CLEAN] == 0 && l->stored_rows <= SHORT_QUEUE_ROWS)
		return count_again(l, db);
	return count_behind(l, db);
}

static void set(struct stored_counters *l, int key, int64_t n)
{
	add_to_sums(l, key, n - l->now[key]);
	l->now[key] = n;
	keys_add(&l->changed, key);
}

void stored_counters_set(struct stored_counters *l, int key, int64_t n)
{
	/* Puts change STORED_NEXT_ID too. */
	if (key != STORED_NEXT_ID)
		l->must_write = true;
	set(l, key, n);
}

void stored_counters_event(struct stored_counters *l, uint32_t sid, enum event_state state, int64_t n)
{
	stored_counters_add(l, stored_counter_of(sid, state), n);
}

void stored_counters_put(struct stored_counters *l, uint32_t sid, int64_t n)
{
	int key = stored_counter_of(sid, STATE_QUEUED);

	set(l, key, l->now[key] + n);
	l->put += n;
}

void stored_counters_delivered(struct stored_counters *l, uint32_t sid, int64_t n)
{
	int key = stored_counter_of(sid, STATE_QUEUED);

	set(l, key, l->now[key] - n);
	set(l, STORED_DELIVERED, l->now[STORED_DELIVERED] + n);
	l->delivered += n;
}

/* True if the next start can find the changed counters in the rows. */
static bool can_be_counted(const struct stored_counters *l)
{
	if (l->must_write || l->has_gap || l->now[STORED_NEXT_ID] - l->stored_next_id >= BEHIND_EVENTS)
		return false;
	return l->delivered == 0 || (l->put > 0 && l->stored_rows <= SHORT_QUEUE_ROWS);
}

static int write_number(struct stored_counters *l, struct db *db, int key)
{
	db_int(db, SQL_SET_COUNTER, 1, key);
	db_int(db, SQL_SET_COUNTER, 2, l->now[key]);
	return db_run(db, SQL_SET_COUNTER);
}

int stored_counters_write(struct stored_counters *l, struct db *db)
{
	int r = 0;

	l->wrote = !can_be_counted(l);
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

static void end_transaction(struct stored_counters *l)
{
	keys_clear(&l->changed);
	l->must_write = false;
	l->put = l->delivered = 0;
}

void stored_counters_committed(struct stored_counters *l)
{
	if (l->wrote) {
		keys_clear(&l->behind);
		l->stored_next_id = l->now[STORED_NEXT_ID];
		l->stored_rows = l->rows;
		l->has_gap = false;
	}
	for (size_t i = 0; i < l->changed.n; i++) {
		int key = l->changed.key[i];

		if (!l->wrote && l->now[key] != l->committed[key])
			keys_add(&l->behind, key);
		l->committed[key] = l->now[key];
	}
	end_transaction(l);
}

void stored_counters_rolled_back(struct stored_counters *l)
{
	l->has_gap |= l->put > 0;
	for (size_t i = 0; i < l->changed.n; i++) {
		int key = l->changed.key[i];

		/* Ids are never reused, not even those of a failed transaction, which may be on
		 * the disk nevertheless. */
		if (key != STORED_NEXT_ID)
			set(l, key, l->committed[key]);
	}
	end_transaction(l);
}
