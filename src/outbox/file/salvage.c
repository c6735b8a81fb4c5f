/* salvage.c - salvage of a damaged outbox: copies each readable row into a sound database
 *
 * Every page is read, whether or not anything points to it: a destroyed page costs only its own
 * rows, even if it is the root of a table or page 1. The shape of a row identifies its table.
 * Deleted rows do not reappear, because secure_delete overwrote them. */
#include "outbox/file/salvage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "outbox/db/schema.h"
#include "outbox/file/cells.h"

/* Ids are below 2^53 (ga4relay-ctl(8)). */
#define LAST_ID (UINT64_C(1) << 53)

/* dedup keys are not needed for reading and are skipped. */
static const struct {
	const char *shape; /* types of the columns (enum cell_value) */
	const char *insert;
	bool is_event;
} tables[] = {
        {"-iiiiiit", "INSERT OR IGNORE INTO event VALUES(?,?,?,?,?,?,?,?)", true},
        {"-itiiiit", "INSERT OR IGNORE INTO event VALUES(?,?,?,?,?,?,?,?)", true}, /* inline_envelope.h */
        {"-iitt", "INSERT OR IGNORE INTO envelope VALUES(?,?,?,?,?)", false},
        {"-iiiiittti", "INSERT OR IGNORE INTO note VALUES(?,?,?,?,?,?,?,?,?,?)", false},
        {"-ittiiit", "INSERT OR IGNORE INTO rejected VALUES(?,?,?,?,?,?,?,?)", false},
        {"-ti", "INSERT OR IGNORE INTO stream VALUES(?,?,?)", false},
        {"-i", "INSERT OR IGNORE INTO counter VALUES(?,?)", false},
};

struct salvage {
	struct pages pages;
	struct db *db;
	sqlite3_stmt *inserts[ARRAY_LEN(tables)];
	struct cells cells;
	uint64_t rows;
	struct salvaged what;
};

static bool has_shape(const struct cell *cell, const char *shape)
{
	if (strlen(shape) != cell->n)
		return false;
	for (size_t i = 0; i < cell->n; i++)
		if (cell->values[i].type != shape[i])
			return false;
	return true;
}

static int insert(struct salvage *s, size_t table, const struct cell *cell, struct err *err)
{
	sqlite3_stmt *stmt = s->inserts[table];
	int rc = sqlite3_bind_int64(stmt, 1, (int64_t)cell->id);

	for (size_t i = 1; i < cell->n && rc == SQLITE_OK; i++) {
		const struct cell_value *v = &cell->values[i];

		rc = v->type == 't'
		             ? sqlite3_bind_text64(stmt, (int)i + 1, v->text.p, v->text.n, SQLITE_STATIC, SQLITE_UTF8)
		             : sqlite3_bind_int64(stmt, (int)i + 1, v->number);
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	sqlite3_reset(stmt);
	if (rc != SQLITE_DONE)
		return err_set(err, rc == SQLITE_FULL ? -ENOSPC : -EIO,
		               "what is readable cannot be gathered in a temporary file (TMPDIR): %s",
		               sqlite3_errmsg(s->db->conn));
	s->rows++;
	if (tables[table].is_event && sqlite3_changes(s->db->conn) == 1)
		s->what.events++;
	return 0;
}

static int take_cell(struct salvage *s, const struct cell *cell, struct err *err)
{
	if (cell->id > LAST_ID)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (has_shape(cell, tables[i].shape))
			return insert(s, i, cell, err);
	return 0;
}

static int take_page(struct salvage *s, const unsigned char *page, uint32_t number, struct err *err)
{
	uint32_t n = cells_begin(&s->cells, page, number);
	struct cell cell;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		int got = cells_read(&s->cells, page, number, i, &cell);

		if (got == -ENOMEM)
			r = err_set(err, got, "out of memory");
		else if (got < 0)
			s->what.lost_cells++;
		else
			r = take_cell(s, &cell, err);
	}
	return r;
}

static int take_all(struct salvage *s, struct err *err)
{
	unsigned char *page = malloc(s->pages.size);
	uint32_t number = 0;
	int r = page ? 0 : err_set(err, -ENOMEM, "out of memory");

	while (r == 0 && (number = pages_next(&s->pages, number)) > 0) {
		int got = pages_read(&s->pages, number, page);

		if (got == 0)
			r = take_page(s, page, number, err);
		else
			s->what.lost_pages++;
	}
	free(page);
	return r;
}

static int prepare(struct salvage *s, struct err *err)
{
	/* The salvaged database is not needed after this process ends. */
	int r = db_exec(s->db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", err);

	if (r == 0)
		r = schema_migrate(s->db, 0, err);
	if (r == 0)
		r = db_exec(s->db, "BEGIN", err);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(tables); i++)
		if (sqlite3_prepare_v2(s->db->conn, tables[i].insert, -1, &s->inserts[i], NULL) != SQLITE_OK)
			r = err_set(err, -EIO, "%s", sqlite3_errmsg(s->db->conn));
	return r;
}

static int copy_rows(struct salvage *s, struct err *err)
{
	int r = prepare(s, err);

	if (r == 0)
		r = take_all(s, err);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		sqlite3_finalize(s->inserts[i]);
	if (r == 0)
		r = db_exec(s->db, "COMMIT", err);
	if (r == 0 && s->rows == 0)
		r = err_set(err, -E_DAMAGED, "nothing in it is of ga4relay, or can be read");
	return r;
}

int salvage(struct db *ret, const char *path, bool with_wal, struct salvaged *ret_what, struct err *err)
{
	struct salvage s = {.db = ret};
	int r = pages_open(&s.pages, path, with_wal, err);

	if (r < 0)
		return r;
	cells_init(&s.cells, &s.pages);
	r = db_open(ret, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, err);
	if (r == 0)
		r = copy_rows(&s, err);
	if (r < 0)
		db_close(ret, false);
	cells_free(&s.cells);
	pages_close(&s.pages);
	*ret_what = s.what;
	return r;
}
