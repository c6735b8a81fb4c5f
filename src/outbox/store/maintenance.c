/* maintenance.c - the maintenance of the outbox: deletes what is no longer needed, in small pieces
 *
 * It covers expired dedup keys, dead letters and kept rows, the ballast and garbage collection.
 * Each call does one piece of at most STORE_SLICE_ROWS rows in its own transaction. */
#include "base/clock.h"
#include "outbox/store/store_private.h"

/* Minimum intervals between two checks. */
#define KEYS_EVERY_US (10 * US_PER_S)
#define CLOCK_EVERY_US (20 * US_PER_S)
#define SETTLED_EVERY_US US_PER_S
/* Scanning the attempt records costs about a microsecond each, so the interval grows with their
 * number. */
#define SETTLED_US_PER_NOTE 50
#define ROOM_EVERY_US US_PER_S
#define BACKUP_EVERY_US (10 * US_PER_S)
#define REJECTED_EVERY_US (10 * US_PER_S) /* after a failure */
/* Without writes for this long the outbox is quiet. Garbage collection runs then, not between
 * two events of a client. */
#define QUIET_US (5 * US_PER_S)
/* If the outbox is never quiet, it runs after this many rows were deleted. */
#define GC_BUSY_LEAST 250000

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t maintenance_room(struct store *st, int64_t mono_us)
{
	bool waits = st->space.disk_full || (st->space.ballast_out && st->space.ballast_fd >= 0);

	/* Checks once more after the last write, so that the figures are correct while nothing
	 * happens. */
	if (mono_us - st->space.checked_mono_us >= ROOM_EVERY_US)
		space_check(st, mono_us, true);
	else if (waits || st->space.checked_mono_us <= st->maintenance.active_mono_us)
		return ROOM_EVERY_US;
	return waits ? ROOM_EVERY_US : INT64_MAX;
}

struct keys_look {
	int64_t cutoff_us;
	int64_t oldest_us; /* of the keys that stay; INT64_MAX: none was found */
	bool more;         /* all keys of the slice were deleted */
};

static int purge_keys(struct store *st, void *arg)
{
	struct keys_look *look = arg;
	struct db *db = &st->db;
	int64_t last = 0, n = 0;
	int r;

	db_int(db, SQL_KEYS_UP, 1, STORE_SLICE_ROWS);
	while ((r = db_row(db, SQL_KEYS_UP)) > 0) {
		if (db_col(db, SQL_KEYS_UP, 1) > look->cutoff_us ||
		    !key_clock_trusts(&st->key_clock, db_col(db, SQL_KEYS_UP, 0))) {
			look->oldest_us = db_col(db, SQL_KEYS_UP, 1);
			break;
		}
		last = db_col(db, SQL_KEYS_UP, 0);
		n++;
	}
	db_reset(db, SQL_KEYS_UP);
	if (r < 0 || n == 0)
		return r < 0 ? r : 0;
	look->more = n == STORE_SLICE_ROWS;
	db_int(db, SQL_DELETE_KEYS_TO, 1, last);
	return db_run(db, SQL_DELETE_KEYS_TO);
}

/* While there are keys, checks regularly whether the wall clock was set. */
static int64_t keys_wait(const struct store *st, int64_t mono_us)
{
	int64_t due = st->maintenance.keys_due_mono_us;

	if (due == INT64_MAX)
		return due;
	return st->key_clock.runs ? sooner(due - mono_us, CLOCK_EVERY_US) : due - mono_us;
}

static int64_t maintenance_keys(struct store *st, int64_t wall_us, int64_t mono_us)
{
	const struct key_clock *clock = &st->key_clock;
	int64_t now_us = clock->runs ? clock->now_us : wall_us;
	struct keys_look look = {.cutoff_us = now_us - st->config.dedup_window_us, .oldest_us = INT64_MAX};
	struct maintenance *u = &st->maintenance;

	if (u->keys_due_mono_us == INT64_MAX || mono_us < u->keys_due_mono_us)
		return keys_wait(st, mono_us);
	if (store_transaction(st, purge_keys, &look) < 0)
		u->keys_due_mono_us = mono_us + KEYS_EVERY_US;
	else if (look.more)
		return 0;
	else if (look.oldest_us == INT64_MAX)
		u->keys_due_mono_us = INT64_MAX;
	else if (look.oldest_us - look.cutoff_us > KEYS_EVERY_US)
		u->keys_due_mono_us = mono_us + (look.oldest_us - look.cutoff_us);
	else
		u->keys_due_mono_us = mono_us + KEYS_EVERY_US;
	return keys_wait(st, mono_us);
}

int64_t maintenance_due_us(const struct store *st, enum dead_reason reason, int64_t settled_us)
{
	return settled_us + (reason == DEAD_NONE ? st->config.keep_delivered_us : st->config.keep_dead_us);
}

struct settled_look {
	int64_t wall_us;
	size_t seen;
};

static int purge_settled(struct store *st, void *arg)
{
	struct settled_look *look = arg;
	struct maintenance *u = &st->maintenance;
	struct db *db = &st->db;
	int r;

	db_int(db, SQL_SETTLED_UP, 1, (int64_t)u->settled_cursor);
	db_int(db, SQL_SETTLED_UP, 2, STORE_SLICE_ROWS);
	while ((r = db_row(db, SQL_SETTLED_UP)) > 0) {
		int64_t settled_us = db_col(db, SQL_SETTLED_UP, 1), due_us;
		bool dead = db_col(db, SQL_SETTLED_UP, 2) != DEAD_NONE;

		u->settled_cursor = (uint64_t)db_col(db, SQL_SETTLED_UP, 0);
		look->seen++;
		if (settled_us == 0)
			continue;
		due_us = maintenance_due_us(st, dead ? DEAD_REFUSED : DEAD_NONE, settled_us);
		if (due_us > look->wall_us) {
			u->settled_found_us = sooner(u->settled_found_us, due_us);
			continue;
		}
		r = store_gather_gone(st, u->settled_cursor, 0);
		if (r < 0)
			break;
		u->purged_dead += dead;
	}
	db_reset(db, SQL_SETTLED_UP);
	return r; /* the commit deletes the collected ids */
}

static int64_t settled_pause_us(const struct store *st)
{
	return SETTLED_EVERY_US + st->counters.now[STORED_ATTEMPT_RECORDS] * SETTLED_US_PER_NOTE;
}

static int64_t settled_wait_us(const struct store *st, int64_t wall_us, int64_t mono_us)
{
	int64_t wait_us, pause_us;

	if (st->maintenance.settled_due_us == INT64_MAX || st->counters.now[STORED_ATTEMPT_RECORDS] == 0)
		return INT64_MAX;
	wait_us = st->maintenance.settled_due_us - wall_us;
	pause_us = st->maintenance.settled_mono_us ? st->maintenance.settled_mono_us + settled_pause_us(st) - mono_us
	                                           : 0;
	return wait_us > pause_us ? wait_us : pause_us;
}

static int64_t maintenance_settled(struct store *st, int64_t wall_us, int64_t mono_us)
{
	struct settled_look look = {.wall_us = wall_us};
	struct maintenance *u = &st->maintenance;
	int64_t wait_us = settled_wait_us(st, wall_us, mono_us);

	if (u->settled_cursor == 0) {
		if (wait_us > 0)
			return wait_us;
		u->settled_found_us = INT64_MAX;
		u->settled_due_us = INT64_MAX; /* rows that are settled meanwhile lower it again */
	}
	u->settled_mono_us = mono_us;
	if (store_transaction(st, purge_settled, &look) < 0) {
		u->settled_cursor = 0;
		u->settled_due_us = wall_us;
		return settled_pause_us(st);
	}
	if (look.seen == STORE_SLICE_ROWS)
		return 0;
	u->settled_cursor = 0;
	u->settled_due_us = sooner(u->settled_due_us, u->settled_found_us);
	wait_us = settled_wait_us(st, wall_us, mono_us);
	return wait_us > 0 ? wait_us : 0;
}

/* There are more than keep_rejected after that option was lowered. */
static int64_t maintenance_rejected(struct store *st)
{
	if (st->counters.now[STORED_REJECTED] <= (int64_t)st->config.keep_rejected)
		return INT64_MAX;
	return store_transaction(st, store_trim_rejected, NULL) < 0 ? REJECTED_EVERY_US : 0;
}

static int64_t maintenance_gc(struct store *st, int64_t mono_us, bool idle)
{
	int64_t quiet_us = st->maintenance.active_mono_us + QUIET_US - mono_us;

	if (!gc_is_due(st))
		return INT64_MAX;
	if (st->maintenance.gc == GC_IDLE && !st->maintenance.erase) {
		if (!idle && st->maintenance.gone_since_gc < GC_BUSY_LEAST)
			return INT64_MAX;
		if (idle && quiet_us > 0)
			return quiet_us;
	}
	gc_step(st);
	return 0;
}

int64_t store_maintenance(struct store *st, int64_t wall_us, int64_t mono_us, bool idle)
{
	int64_t wait_us;

	if (st->fatal || st->config.read_only)
		return INT64_MAX;
	db_forget_trouble(&st->db);
	store_end_abandoned_backup(st, mono_us);
	wait_us = maintenance_room(st, mono_us);
	wait_us = sooner(wait_us, maintenance_keys(st, wall_us, mono_us));
	if (wait_us > 0)
		wait_us = sooner(wait_us, maintenance_settled(st, wall_us, mono_us));
	if (wait_us > 0)
		wait_us = sooner(wait_us, maintenance_rejected(st));
	if (wait_us > 0)
		wait_us = sooner(wait_us, maintenance_gc(st, mono_us, idle));
	if (st->backup)
		wait_us = sooner(wait_us, BACKUP_EVERY_US);
	if (idle)
		store_after_commit(st);
	return st->fatal ? INT64_MAX : wait_us;
}
