/* pairing.c - marks that identify which WAL belongs to which outbox */
#include "outbox/file/pairing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "outbox/file/pages.h"

static const char declaration[] = "CREATE TABLE pairing(id INTEGER PRIMARY KEY, mark BLOB NOT NULL)";
static const char title[8] = {'g', 'a', '4', 'r', 'e', 'l', 'a', 'y'};

/* The blob contains a title, the mark, the previous mark, whether the file is whole, and zeroes.
 * Its size never changes, so its cell stays at the end of the page, within one sector: a page
 * that a power cut left half written still contains one of the two marks.
 * (https://www.sqlite.org/fileformat2.html, "B-tree Pages" and "Record Format") */
enum {
	BLOB = 32,
	RECORD_HEADER = 3,
	CELL = 2 + RECORD_HEADER + BLOB,
	LEAF = 13,
	NOW_AT = 8,
	BEFORE_AT = 16,
	WHOLE_AT = 24
};
static const unsigned char cell_head[] = {RECORD_HEADER + BLOB, 1, RECORD_HEADER, 0, 2 * BLOB + 12};

static uint64_t get(const unsigned char *p)
{
	return (uint64_t)pages_be32(p) << 32 | pages_be32(p + 4);
}

static bool parse_blob(const unsigned char *blob, struct pair_mark *ret)
{
	if (memcmp(blob, title, sizeof(title)) != 0)
		return false;
	*ret = (struct pair_mark){
	        .now = get(blob + NOW_AT), .before = get(blob + BEFORE_AT), .whole = blob[WHOLE_AT] != 0};
	return ret->now != 0;
}

bool pair_mark_read(const unsigned char *page, size_t size, struct pair_mark *ret)
{
	const unsigned char *cell = page + size - CELL;

	return page[0] == LEAF && pages_be16(page + 3) == 1 && pages_be16(page + 8) == size - CELL &&
	       memcmp(cell, cell_head, sizeof(cell_head)) == 0 && parse_blob(cell + sizeof(cell_head), ret);
}

/* The schema row contains "table", the name twice, the root page as a minimal integer, and the
 * declaration. */
uint32_t pair_mark_page(const unsigned char *page, size_t size)
{
	static const char row[] = "tablepairingpairing";
	const unsigned char *sql = memmem(page, size, declaration, sizeof(declaration) - 1);
	uint32_t number = 0;

	for (size_t n = 1; sql && n <= sizeof(number); n++) {
		if ((size_t)(sql - page) < n + sizeof(row) - 1)
			return 0;
		number |= (uint32_t)sql[-(ptrdiff_t)n] << 8 * (n - 1);
		if (memcmp(sql - n - (sizeof(row) - 1), row, sizeof(row) - 1) == 0)
			return number;
	}
	return 0;
}

/* ---- in the database ---- */

enum { SQL_MAX = 160 };

static void update_text(char ret[SQL_MAX], const struct pair_mark *mark)
{
	snprintf(ret, SQL_MAX,
	         "UPDATE pairing SET mark = x'%016" PRIx64 "%016" PRIx64 "%016" PRIx64
	         "%02x00000000000000' WHERE id = 1",
	         get((const unsigned char *)title), mark->now, mark->before, mark->whole);
}

static struct pair_mark make_mark(uint64_t before, bool whole)
{
	return (struct pair_mark){.now = random_u64() | 1, .before = before, .whole = whole};
}

static int load_row(struct pairing *p, struct db *db, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->conn, "SELECT mark FROM pairing WHERE id = 1", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == BLOB)
		p->there = parse_blob(sqlite3_column_blob(stmt, 0), &p->mark);
	sqlite3_finalize(stmt);
	/* db_exec() reports the error. */
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : db_exec(db, "SELECT mark FROM pairing WHERE id = 1", err);
}

int pairing_load(struct pairing *p, struct db *db)
{
	int64_t n;
	struct err err;
	int r = db_exec_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'pairing'", &n, &err);

	*p = (struct pairing){.begins = true};
	if (r == 0 && n > 0)
		r = load_row(p, db, &err);
	return r < 0 ? -EIO : 0;
}

static int make_table(struct db *db, struct err *err)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
	         "CREATE TABLE IF NOT EXISTS %s; INSERT OR IGNORE INTO pairing VALUES(1, zeroblob(%d))",
	         declaration + strlen("CREATE TABLE "), BLOB);
	return db_exec(db, sql, err);
}

int pairing_make(struct db *db, struct err *err)
{
	const struct pair_mark mark = make_mark(0, true);
	char sql[SQL_MAX];
	int r = make_table(db, err);

	update_text(sql, &mark);
	return r < 0 ? r : db_exec(db, sql, err);
}

int pairing_write(struct pairing *p, struct db *db)
{
	char sql[SQL_MAX];
	struct err err;
	int r = 0;

	if (!p->begins && !p->wanted)
		return 0;
	p->written = make_mark(p->mark.now, p->whole);
	update_text(sql, &p->written);
	if (!p->there)
		r = make_table(db, &err);
	if (r == 0)
		r = db_exec(db, sql, &err);
	p->wrote = r == 0;
	return r < 0 ? -EIO : 0;
}

void pairing_committed(struct pairing *p)
{
	p->fresh = p->wrote;
	if (!p->wrote)
		return;
	p->mark = p->written;
	p->there = true;
	p->wrote = p->begins = p->wanted = false;
}

void pairing_rolled_back(struct pairing *p)
{
	p->wrote = false;
}

int pairing_detach(sqlite3 *conn)
{
	const struct pair_mark mark = make_mark(0, true);
	char sql[SQL_MAX];

	update_text(sql, &mark);
	return sqlite3_exec(conn, sql, NULL, NULL, NULL);
}
