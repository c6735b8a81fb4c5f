/* empty_wal.c - a complete checkpoint that also empties the WAL */
#include <errno.h>

#include "outbox/store/store_private.h"

/* Stores the counters in a transaction that always writes, because the next id is included in
 * any case. */
static int note_ids(struct store *st, void *arg)
{
	const bool *whole = arg;

	st->pairing.wanted = true;
	st->pairing.whole = *whole;
	stored_counters_set(&st->counters, STORED_CLEAN, 0);
	db_int(&st->db, SQL_SET_COUNTER, 1, STORED_NEXT_ID);
	db_int(&st->db, SQL_SET_COUNTER, 2, st->counters.now[STORED_NEXT_ID]);
	return db_run(&st->db, SQL_SET_COUNTER);
}

/* At the next start a database without WAL that knows fewer ids than were promised would be
 * taken for an older file (store.c). That must not happen after a kill with a WAL that was
 * emptied here: meanwhile no id is promised beyond those that the database knows, its mark says
 * that it is whole, and the WAL has a header again soon. */
int store_empty_wal(struct store *st)
{
	bool whole = true, not_whole = false;
	int r = store_transaction(st, note_ids, &whole), r2;

	st->pairing.whole = false;
	st->lock.closed = false;
	if (r == 0)
		r = lockfile_write(&st->lock, (uint64_t)st->counters.now[STORED_NEXT_ID], st->lock.suspect);
	if (st->fatal)
		return -EIO;
	db_forget_trouble(&st->db);
	st->pairing.begins = true;
	if (db_checkpoint(&st->db, true) < 0) {
		r = trouble_errno(st->db.trouble);
		store_judge_trouble(st, "emptying the WAL");
	}
	st->debt = (struct copy_debt){.frames = st->db.wal_frames};
	r2 = store_transaction(st, note_ids, &not_whole);
	return r < 0 ? r : r2;
}
