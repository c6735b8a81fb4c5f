/* garbage_collection.c - garbage collection of envelopes: mark and sweep, in slices
 *
 * Reference counts would cost the hot path a scattered write per event. Instead the envelope
 * numbers of all events are marked in a bitmap, envelopes interned meanwhile are marked as well,
 * and unmarked ones are deleted. Runs when at least as many rows were deleted as remain, so the
 * scan costs at most one row read per deleted row. */
#include <errno.h>
#include <stdlib.h>

#include "outbox/store/store_private.h"

/* Number of envelope ids per window, which limits the bitmap to 4 MiB. */
#define WINDOW_MAX (UINT64_C(1) << 25)
/* A deletion also touches scattered pages of the index. */
enum { DELETES_MAX = 1000 };

bool sweep_is_due(const struct store *st)
{
	const struct upkeep *u = &st->upkeep;

	if (u->sweep != SWEEP_IDLE || u->sweep_next_base != 0 || u->erase)
		return true;
	return u->gone_since_sweep > 0 && (int64_t)u->gone_since_sweep >= st->ledger.rows;
}

static void finish(struct store *st)
{
	struct upkeep *u = &st->upkeep;

	u->sweep = SWEEP_IDLE;
	u->sweep_next_base = 0;
	if (!u->erase)
		return;
	u->erase = false;
	/* Dropped data must disappear from the files: secure_delete overwrites pages, and the
	 * WAL is emptied. */
	int r = store_empty_wal(st);
	(void)r; /* if this fails, the next run empties the rest */
}

static void end_window(struct store *st)
{
	struct envelope_marks *m = &st->envelopes.marks;

	st->upkeep.sweep_next_base = m->base + m->span;
	st->upkeep.sweep = SWEEP_IDLE;
	free(m->bits);
	*m = (struct envelope_marks){.active = false};
}

/* Returns false if no envelopes are left to examine, or out of memory. */
static bool begin_window(struct store *st)
{
	struct envelope_marks *m = &st->envelopes.marks;
	struct upkeep *u = &st->upkeep;
	int64_t first;

	if (u->sweep_next_base == 0)
		u->gone_since_sweep = 0;
	db_int(&st->db, SQL_ENVELOPES_UP, 1, (int64_t)u->sweep_next_base);
	db_int(&st->db, SQL_ENVELOPES_UP, 2, 1);
	if (db_one(&st->db, SQL_ENVELOPES_UP, 0, &first) < 0 || first <= 0)
		return false;
	m->base = (uint64_t)first;
	m->span = st->envelopes.next_id - m->base;
	if (m->span > WINDOW_MAX)
		m->span = WINDOW_MAX;
	m->bits = calloc(1, (size_t)(m->span + 7) / 8);
	m->active = m->bits != NULL;
	u->sweep = SWEEP_MARK;
	u->sweep_cursor = 0;
	return m->active;
}

static void mark_slice(struct store *st)
{
	struct db *db = &st->db;
	size_t n = 0;
	int r;

	db_int(db, SQL_ENVELOPES_OF, 1, (int64_t)st->upkeep.sweep_cursor);
	db_int(db, SQL_ENVELOPES_OF, 2, STORE_SLICE_ROWS);
	while ((r = db_row(db, SQL_ENVELOPES_OF)) > 0) {
		st->upkeep.sweep_cursor = (uint64_t)db_col(db, SQL_ENVELOPES_OF, 0);
		envelopes_mark(&st->envelopes.marks, (uint64_t)db_col(db, SQL_ENVELOPES_OF, 1));
		n++;
	}
	if (r < 0) {
		store_judge_trouble(st, "looking for envelopes in use");
		end_window(st);
	} else if (n < STORE_SLICE_ROWS) {
		st->upkeep.sweep = SWEEP_DELETE;
		st->upkeep.sweep_cursor = st->envelopes.marks.base;
	}
}

struct unused {
	uint64_t ids[DELETES_MAX];
	size_t n;
	bool end;
};

static int find_unused(struct store *st, struct unused *ret)
{
	const struct envelope_marks *m = &st->envelopes.marks;
	struct db *db = &st->db;
	size_t seen = 0;
	int r;

	db_int(db, SQL_ENVELOPES_UP, 1, (int64_t)st->upkeep.sweep_cursor);
	db_int(db, SQL_ENVELOPES_UP, 2, STORE_SLICE_ROWS);
	while (ret->n < DELETES_MAX &&
	       (r = db_row_within(db, SQL_ENVELOPES_UP, st->upkeep.sweep_cursor, INT64_MAX)) > 0) {
		uint64_t id = (uint64_t)db_col(db, SQL_ENVELOPES_UP, 0);

		if (id - m->base >= m->span)
			break;
		st->upkeep.sweep_cursor = id + 1;
		seen++;
		if (!envelopes_is_marked(m, id))
			ret->ids[ret->n++] = id;
	}
	db_reset(db, SQL_ENVELOPES_UP);
	ret->end = ret->n < DELETES_MAX && seen < STORE_SLICE_ROWS;
	return db->trouble == TROUBLE_NONE ? 0 : -EIO;
}

static int delete_unused(struct store *st, void *arg)
{
	struct unused *unused = arg;
	int r = find_unused(st, unused);

	for (size_t i = 0; r == 0 && i < unused->n; i++) {
		db_int(&st->db, SQL_DELETE_ENVELOPE, 1, (int64_t)unused->ids[i]);
		r = db_run(&st->db, SQL_DELETE_ENVELOPE);
		envelopes_forget(&st->envelopes, unused->ids[i]);
	}
	return r;
}

static void delete_slice(struct store *st)
{
	struct unused unused = {.n = 0};

	if (store_transaction(st, delete_unused, &unused) < 0 || unused.end)
		end_window(st);
}

void sweep_step(struct store *st)
{
	switch (st->upkeep.sweep) {
	case SWEEP_IDLE:
		if (!begin_window(st))
			finish(st);
		break;
	case SWEEP_MARK:
		mark_slice(st);
		break;
	case SWEEP_DELETE:
		delete_slice(st);
		break;
	}
}
