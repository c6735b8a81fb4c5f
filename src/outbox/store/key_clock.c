/* key_clock.c - the clock that measures the age of dedup keys */
#include "outbox/store/key_clock.h"

#include "base/clock.h"
#include "outbox/store/store_private.h"

/* A smaller difference between wall clock and key clock is not worth moving all keys. */
#define STEP_US US_PER_MIN
#define DOUBT_US (10 * US_PER_MIN)

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

int64_t key_clock_time(const struct key_clock *k, int64_t wall_us, int64_t boot_us)
{
	return k->runs && boot_us ? boot_us + k->base_us : wall_us;
}

bool key_clock_trusts(const struct key_clock *k, int64_t n)
{
	return k->doubt_until_us == 0 || n > k->older_n;
}

static int last_key(struct store *st, int64_t *ret)
{
	int r = db_row(&st->db, SQL_MAX_KEY);

	if (r > 0)
		*ret = db_col(&st->db, SQL_MAX_KEY, 0);
	db_reset(&st->db, SQL_MAX_KEY);
	return r < 0 ? r : 0;
}

/* True if the stored offset still fits the wall clock: no reboot, and the clock was not set. */
static bool line_goes_on(const struct store *st, int64_t offset_us, int64_t boot_us)
{
	return st->counters.now[STORED_KEY_BOOT] > 0 && boot_us >= st->counters.now[STORED_KEY_BOOT] &&
	       distance(offset_us, st->counters.now[STORED_KEY_BASE]) <= STEP_US;
}

static int note_line(struct store *st, void *arg)
{
	const struct key_clock *k = arg;

	stored_counters_set(&st->counters, STORED_KEY_BASE, k->base_us);
	stored_counters_set(&st->counters, STORED_KEY_BOOT, k->now_us - k->base_us);
	stored_counters_set(&st->counters, STORED_KEY_DOUBT, k->doubt_until_us);
	stored_counters_set(&st->counters, STORED_KEY_OLDER, k->older_n);
	return 0;
}

void key_clock_start(struct store *st, int64_t wall_us, int64_t boot_us)
{
	struct key_clock *k = &st->key_clock;
	int64_t offset_us = wall_us - boot_us;

	if (st->config.read_only)
		return;
	*k = (struct key_clock){.runs = true, .base_us = offset_us, .now_us = wall_us};
	if (line_goes_on(st, offset_us, boot_us)) {
		k->base_us = st->counters.now[STORED_KEY_BASE];
		k->now_us = boot_us + k->base_us;
		k->doubt_until_us = st->counters.now[STORED_KEY_DOUBT];
		k->older_n = st->counters.now[STORED_KEY_OLDER];
		return;
	}
	k->doubt_until_us = boot_us + DOUBT_US;
	if (last_key(st, &k->older_n) < 0)
		k->older_n = INT64_MAX;
	db_forget_trouble(&st->db);
	if (store_transaction(st, note_line, k) < 0)
		return; /* the end of the doubt period stores it; otherwise the next start is in doubt again */
}

struct move {
	struct key_clock to;
	int64_t step_us, after_n; /* for keys above that number */
	bool doubt_ends;
};

static int move_keys(struct store *st, void *arg)
{
	const struct move *m = arg;
	struct db *db = &st->db;
	int r = 0;

	if (m->step_us) {
		db_int(db, SQL_MOVE_KEYS, 1, m->after_n);
		db_int(db, SQL_MOVE_KEYS, 2, m->step_us);
		r = db_run(db, SQL_MOVE_KEYS);
	}
	/* These times come from a wrong clock; it is only known that they lie in the past. */
	if (r == 0 && m->doubt_ends) {
		db_int(db, SQL_KEYS_FROM_AHEAD, 1, m->to.now_us);
		r = db_run(db, SQL_KEYS_FROM_AHEAD);
	}
	if (r == 0)
		r = note_line(st, (void *)(uintptr_t)&m->to);
	return r;
}

void key_clock_follow(struct store *st, int64_t wall_us, int64_t boot_us)
{
	struct key_clock *k = &st->key_clock;
	struct move m = {.to = *k, .step_us = wall_us - boot_us - k->base_us};

	if (!k->runs)
		return;
	k->now_us = boot_us + k->base_us;
	m.doubt_ends = k->doubt_until_us > 0 && boot_us >= k->doubt_until_us;
	if (distance(m.step_us, 0) <= STEP_US)
		m.step_us = 0;
	if ((!m.step_us && !m.doubt_ends) || (k->moved_boot_us > 0 && boot_us - k->moved_boot_us < US_PER_MIN))
		return;
	m.after_n = k->doubt_until_us > 0 ? k->older_n : 0;
	m.to.base_us += m.step_us;
	m.to.now_us = boot_us + m.to.base_us;
	if (m.step_us)
		m.to.moved_boot_us = k->moved_boot_us = boot_us;
	if (m.doubt_ends)
		m.to.doubt_until_us = m.to.older_n = 0;
	if (store_transaction(st, move_keys, &m) < 0)
		return;
	*k = m.to;
	if (st->maintenance.keys_due_mono_us != INT64_MAX)
		st->maintenance.keys_due_mono_us = 0;
}
