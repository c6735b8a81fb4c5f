/* outbox_check.c - the check of an outbox for ctl: its damage, and what can be read */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "outbox/jobs/jobs.h"
#include "outbox/jobs/row.h"
#include "outbox/store/store_private.h"

static void say(struct store_check *ret, const char *text)
{
	if (ret->problem[0] == '\0')
		snprintf(ret->problem, sizeof(ret->problem), "%s", text);
}

/* Checks the pages with SQLite. */
static void check_pages(struct store *st, struct store_check *ret)
{
	struct err err;

	ret->sound = db_check_pages(&st->db, DB_CHECK_WHOLE, &err) == 0;
	if (!ret->sound)
		say(ret, err.text);
}

static void check_row(struct store *st, struct store_check *ret)
{
	struct slice body, client;
	struct scan_row row;
	int r;

	scan_row_head(st, SQL_SCAN_UP, &row);
	scan_row_body(st, SQL_SCAN_UP, &row);
	r = row_envelope(st, &row, &body, &client);
	if (r < 0 || !row.sound)
		ret->incomplete++;
	else
		ret->events[row.state]++;
}

static int check_events(struct store *st, struct store_check *ret)
{
	uint64_t from = 1;
	int r;

	db_int(&st->db, SQL_SCAN_UP, 1, 1);
	while ((r = db_row_within(&st->db, SQL_SCAN_UP, from, INT64_MAX)) > 0) {
		from = (uint64_t)db_col(&st->db, SQL_SCAN_UP, 0) + 1;
		check_row(st, ret);
	}
	return r;
}

/* Every transaction that writes counters also writes the next id, so without that counter the
 * others are unknown too. If the relay was killed, the rows that a damaged file lacks may have been
 * delivered. */
static bool counters_known(const struct store *st)
{
	return !st->salvaged || (st->counters.stored_next_id > 0 && !st->counters.inferred);
}

static void compare_with_counters(struct store *st, struct store_check *ret)
{
	uint64_t read = ret->incomplete;

	for (int state = 0; state < STATE_COUNT; state++)
		read += ret->events[state];
	ret->counted = (uint64_t)st->counters.rows;
	ret->counted_known = counters_known(st) && st->counters.rows >= 0 && (!st->salvaged || ret->counted >= read);
	ret->lost_pages = st->what.lost_pages;
	ret->lost_cells = st->what.lost_cells;
	if (ret->counted_known && read == ret->counted)
		return;
	say(ret, "the counters differ from the rows");
	ret->sound = false;
}

bool store_is_salvaged(const struct store *st)
{
	return st->salvaged;
}

int store_count_rows(struct store *st, bool rejected, struct store_rows *ret)
{
	enum sql q = rejected ? SQL_REJECTED_ROWS : SQL_EVENT_ROWS;
	int64_t counted = rejected ? st->counters.now[STORED_REJECTED] : st->counters.rows;
	int r = db_row(&st->db, q);

	if (r <= 0)
		return r < 0 ? r : -EIO;
	*ret = (struct store_rows){.damaged = st->salvaged,
	                           .problem = st->damage,
	                           .here = (uint64_t)db_col(&st->db, q, 0),
	                           .counted = counted < 0 ? 0 : (uint64_t)counted,
	                           .known = counters_known(st)};
	db_reset(&st->db, q);
	/* If some counters are lost, the total is too low. */
	if (st->salvaged && ret->here > ret->counted)
		ret->known = false;
	return 0;
}

/* Counts what can be read of a damaged file. */
static void salvage_and_count(struct store *st, struct store_check *ret)
{
	struct err err;

	db_forget_trouble(&st->db);
	st->db.trouble = TROUBLE_CORRUPT;
	if (!st->salvaged && store_salvage(st, &err) < 0)
		return;
	db_forget_trouble(&st->db);
	memset(ret->events, 0, sizeof(ret->events));
	ret->incomplete = 0;
	if (check_events(st, ret) < 0)
		say(ret, st->db.trouble_text);
}

void store_check(struct store *st, struct store_check *ret)
{
	*ret = (struct store_check){.sound = false};
	if (st->salvaged)
		say(ret, st->damage);
	else
		check_pages(st, ret);
	if (!ret->sound || check_events(st, ret) < 0) {
		ret->sound = false;
		salvage_and_count(st, ret);
	}
	compare_with_counters(st, ret);
	if (ret->incomplete > 0) {
		ret->sound = false;
		say(ret, "rows that are no events, or whose envelope is missing");
	}
	db_forget_trouble(&st->db);
}
