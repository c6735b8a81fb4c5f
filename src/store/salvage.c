/* salvage.c - reading on behind a destroyed page (ctl --offline)
 *
 * Ids ascend through the pages, so a destroyed one costs a range of ids: its end is found by ever longer steps, then
 * by halving (traps.md 8). */
#include "store/salvage.h"

#include "store/store_private.h"

/* Ids stay below 2^53 (ctl.md). */
#define LAST_ID (UINT64_C(1) << 53)

static bool works_from(struct store *st, enum sql q, uint64_t id)
{
	int r;

	db_forget_trouble(&st->db);
	db_int(&st->db, q, 1, (int64_t)id);
	r = db_row_within(&st->db, q, id, INT64_MAX);
	db_reset(&st->db, q);
	return r >= 0;
}

bool salvage_skip(struct store *st, enum sql q, uint64_t from, uint64_t *ret)
{
	uint64_t bad = from, good, step = 1;

	if (st->db.trouble != TROUBLE_CORRUPT || !st->config.read_only)
		return false;
	for (good = from + 1; good < LAST_ID && !works_from(st, q, good); good += step) {
		bad = good;
		step *= 2;
	}
	if (good >= LAST_ID)
		return false;
	while (good - bad > 1) {
		uint64_t middle = bad + (good - bad) / 2;

		if (works_from(st, q, middle))
			good = middle;
		else
			bad = middle;
	}
	db_forget_trouble(&st->db);
	*ret = good;
	return true;
}
