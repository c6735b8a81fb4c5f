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

bool gc_is_due(const struct store *st)
{
	const struct maintenance *u = &st->maintenance;

	if (u->gc != GC_IDLE || u->gc_next_base != 0 || u->erase)
		return true;
	return u->gone_since_gc > 0 && (int64_t)u->gone_since_gc >= st->counters.rows;
}

static void finish(struct store *st)
{
	struct maintenance *u = &st->maintenance;

	u->gc = GC_IDLE;
	u->gc_next_base = 0;
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

	st->maintenance.gc_next_base = m->base + m->span;
	st->maintenance.gc = GC_IDLE;
	free(m->bits);
	*m = (struct envelope_marks){.active = false};
}

/* Returns false if no envelopes are left to examine, or out of memory. */
static bool begin_window(struct store *st)
{
	struct envelope_marks *m = &st->envelopes.marks;
	struct maintenance *u = &st->maintenance;
	int64_t first;

	if (u->gc_next_base == 0)
		u->gone_since_gc = 0;
	db_int(&st->db, SQL_ENVELOPES_UP, 1, (int64_t)u->gc_next_base);
	db_int(&st->db, SQL_ENVELOPES_UP, 2, 1);
	if (db_one(&st->db, SQL_ENVELOPES_UP, 0, &first) < 0 || first <= 0)
		return false;
	m->base = (uint64_t)first;
	m->span = st->envelopes.next_id - m->base;
	if (m->span > WINDOW_MAX)
		m->span = WINDOW_MAX;
	m->bits = calloc(1, (size_t)(m->span + 7) / 8);
	m->active = m->bits != NULL;
	u->gc = GC_MARK;
	u->gc_cursor = 0;
	return m->active;
}

static void mark_slice(struct store *st)
{
	struct db *db = &st->db;
	size_t n = 0;
	int r;

	db_int(db, SQL_ENVELOPES_OF, 1, (int64_t)st->maintenance.gc_cursor);
	db_int(db, SQL_ENVELOPES_OF, 2, STORE_SLICE_ROWS);
	while ((r = db_row(db, SQL_ENVELOPES_OF)) > 0) {
		st->maintenance.gc_cursor = (uint64_t)db_col(db, SQL_ENVELOPES_OF, 0);
		envelopes_mark(&st->envelopes.marks, (uint64_t)db_col(db, SQL_ENVELOPES_OF, 1));
		n++;
	}
	if (r < 0) {
		store_judge_trouble(st, "looking for envelopes in use");
		end_window(st);
	} else if (n < STORE_SLICE_ROWS) {
		st->maintenance.gc = GC_DELETE;
		st->maintenance.gc_cursor = st->envelopes.marks.base;
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

	db_int(db, SQL_ENVELOPES_UP, 1, (int64_t)st->maintenance.gc_cursor);
	db_int(db, SQL_ENVELOPES_UP, 2, STORE_SLICE_ROWS);
	while (ret->n < DELETES_MAX &&
	       (r = db_row_within(db, SQL_ENVELOPES_UP, st->maintenance.gc_cursor, INT64_MAX)) > 0) {
		uint64_t id = (uint64_t)db_col(db, SQL_ENVELOPES_UP, 0);

		if (id - m->base >= m->span)
			break;
		st->maintenance.gc_cursor = id + 1;
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

void gc_step(struct store *st)
{
	switch (st->maintenance.gc) {
	case GC_IDLE:
		if (!begin_window(st))
			finish(st);
		break;
	case GC_MARK:
		mark_slice(st);
		break;
	case GC_DELETE:
		delete_slice(st);
		break;
	}
}
