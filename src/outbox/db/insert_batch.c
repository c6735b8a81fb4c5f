/* insert_batch.c - the insert batch: a group's events as a virtual table for one INSERT */
#include "outbox/db/insert_batch.h"

#include <errno.h>
#include <stdlib.h>

enum { ENTRIES_AT_FIRST = 64 };

/* In the order of the columns in the table's declaration. */
enum insert_batch_column { FEED_ID, FEED_SID, FEED_ENVELOPE, FEED_ACCEPTED, FEED_TIME, FEED_PROPS, FEED_BODY };
static const char declaration[] = "CREATE TABLE insert_batch(id, sid, envelope, accepted, time, props, body)";

int insert_batch_add(struct insert_batch *batch, const struct submission *sub, uint64_t envelope)
{
	if (batch->n == batch->cap) {
		size_t cap = batch->cap ? batch->cap * 2 : ENTRIES_AT_FIRST;
		struct insert_batch_entry *entries = reallocarray(batch->entries, cap, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		batch->entries = entries;
		batch->cap = cap;
	}
	batch->entries[batch->n++] = (struct insert_batch_entry){sub, envelope};
	batch->rows += sub->n_events;
	return 0;
}

void insert_batch_clear(struct insert_batch *batch)
{
	batch->n = 0;
	batch->rows = 0;
}

void insert_batch_free(struct insert_batch *batch)
{
	free(batch->entries);
	*batch = (struct insert_batch){.n = 0};
}

/* The methods of the virtual table. Table and cursor are members of struct insert_batch, so nothing is
 * allocated or freed. */

static int connect_table(sqlite3 *conn, void *arg, int argc UNUSED, const char *const *argv UNUSED,
                         sqlite3_vtab **ret, char **error UNUSED)
{
	struct insert_batch *batch = arg;

	*ret = &batch->table;
	return sqlite3_declare_vtab(conn, declaration);
}

static int disconnect_table(sqlite3_vtab *table UNUSED)
{
	return SQLITE_OK;
}

/* The only plan is a full scan. */
static int plan(sqlite3_vtab *table UNUSED, sqlite3_index_info *info UNUSED)
{
	return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
	*ret = &CONTAINER_OF(table, struct insert_batch, table)->cursor.base;
	return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor UNUSED)
{
	return SQLITE_OK;
}

static int rewind_cursor(sqlite3_vtab_cursor *cursor, int number UNUSED, const char *name UNUSED, int argc UNUSED,
                         sqlite3_value **argv UNUSED)
{
	struct insert_batch *batch = CONTAINER_OF(cursor, struct insert_batch, cursor.base);

	batch->cursor.at = batch->entries;
	/* Entries is NULL if nothing was ever added */
	batch->cursor.end = batch->n ? &batch->entries[batch->n] : batch->entries;
	batch->cursor.event = 0;
	return SQLITE_OK;
}

static int next_row(sqlite3_vtab_cursor *base)
{
	struct insert_batch_cursor *cursor = CONTAINER_OF(base, struct insert_batch_cursor, base);

	if (++cursor->event == cursor->at->sub->n_events) {
		cursor->at++;
		cursor->event = 0;
	}
	return SQLITE_OK;
}

static int is_at_end(sqlite3_vtab_cursor *base)
{
	const struct insert_batch_cursor *cursor = CONTAINER_OF(base, struct insert_batch_cursor, base);

	return cursor->at == cursor->end;
}

static int give_column(sqlite3_vtab_cursor *base, sqlite3_context *to, int column)
{
	const struct insert_batch_cursor *cursor = CONTAINER_OF(base, struct insert_batch_cursor, base);
	const struct submission *sub = cursor->at->sub;
	const struct event *event = &sub->events[cursor->event];

	switch ((enum insert_batch_column)column) {
	case FEED_ID:
		sqlite3_result_int64(to, (int64_t)sub->first_id + cursor->event);
		break;
	case FEED_SID:
		sqlite3_result_int64(to, sub->sid);
		break;
	case FEED_ENVELOPE:
		if (cursor->at->envelope)
			sqlite3_result_int64(to, (int64_t)cursor->at->envelope);
		else
			sqlite3_result_text64(to, sub->envelope.p, sub->envelope.n, SQLITE_STATIC, SQLITE_UTF8);
		break;
	case FEED_ACCEPTED:
		sqlite3_result_int64(to, sub->accepted_us);
		break;
	case FEED_TIME:
		sqlite3_result_int64(to, event->time_us);
		break;
	case FEED_PROPS:
		sqlite3_result_int64(to, event->props_us);
		break;
	case FEED_BODY:
		sqlite3_result_text64(to, event->body.n ? event->body.p : "", event->body.n, SQLITE_STATIC,
		                      SQLITE_UTF8);
		break;
	}
	return SQLITE_OK;
}

static int give_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
	const struct insert_batch_cursor *cursor = CONTAINER_OF(base, struct insert_batch_cursor, base);

	*ret = (int64_t)cursor->at->sub->first_id + cursor->event;
	return SQLITE_OK;
}

int insert_batch_register(struct insert_batch *batch, sqlite3 *conn)
{
	/* Without xCreate the table exists under its name on this connection only, and nothing
	 * of it is stored in the file. */
	static const sqlite3_module module = {
	        .xConnect = connect_table,
	        .xDisconnect = disconnect_table,
	        .xBestIndex = plan,
	        .xOpen = open_cursor,
	        .xClose = close_cursor,
	        .xFilter = rewind_cursor,
	        .xNext = next_row,
	        .xEof = is_at_end,
	        .xColumn = give_column,
	        .xRowid = give_rowid,
	};

	return sqlite3_create_module(conn, "insert_batch", &module, batch);
}
