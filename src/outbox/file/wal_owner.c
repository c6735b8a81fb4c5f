/* wal_owner.c - the check, before SQLite opens them, whether a WAL belongs to its outbox */
#include "outbox/file/wal_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "outbox/file/beside.h"
#include "outbox/file/pages.h"
#include "outbox/file/pairing.h"
#include "outbox/file/wal_file.h"

/* Offsets in https://www.sqlite.org/fileformat2.html, "The Database Header". */
enum { HEADER = 100, PAGE_SIZE_AT = 16, READ_VERSION_AT = 19, COOKIE_AT = 40, VERSION_WAL = 2 };
static const char magic[16] = "SQLite format 3";

/* The state of the database without its WAL. */
struct base {
	int fd;        /* -1: no such file */
	bool is_there; /* the file exists and is not empty */
	const char *path;
	bool has_header;     /* it has a database header */
	unsigned char *page; /* page_size bytes; zero where the file is shorter */
	size_t page_size;
	/* Changes with the schema; starts at 1 in a copy made by SQLite's backup */
	uint32_t cookie;
	bool has_mode;
	uint32_t mark_page; /* 0: the file has no such table */
	bool has_mark;
	struct pair_mark mark;
};

/* What was found in the committed frames of the WAL. */
struct story {
	bool committed;
	bool marked, named; /* marked: a mark was found; named: one of them is the database's */
	struct pair_mark first;
	bool has_cookie;
	uint32_t cookie;
};

/* ---- the database ---- */

static int read_page(struct base *b, uint32_t number, struct err *err)
{
	off_t at = (off_t)(number - 1) * (off_t)b->page_size;
	ssize_t n = b->fd < 0 ? 0 : beside_read(b->fd, b->path, b->page, b->page_size, at, err);

	if (n < 0)
		return (int)n;
	memset(b->page + n, 0, b->page_size - (size_t)n);
	return 0;
}

static void read_header(struct base *b)
{
	const unsigned char *h = b->page;
	uint32_t n = pages_be16(h + PAGE_SIZE_AT);

	n = n == 1 ? PAGES_SIZE_MAX : n;
	b->has_header = memcmp(h, magic, sizeof(magic)) == 0 && n >= PAGES_SIZE_MIN && n <= PAGES_SIZE_MAX;
	if (!b->has_header)
		return;
	b->page_size = n;
	b->cookie = pages_be32(h + COOKIE_AT);
	b->has_mode = h[READ_VERSION_AT] == VERSION_WAL;
}

static int read_mark(struct base *b, uint32_t number, struct err *err)
{
	int r = read_page(b, number, err);

	if (r == 0)
		b->has_mark = pair_mark_read(b->page, b->page_size, &b->mark);
	return r;
}

static int read_base(struct base *b, struct err *err)
{
	struct stat sb;
	int r;

	if (fstat(b->fd, &sb) < 0)
		return err_set(err, -errno, "outbox: %s cannot be looked at: %s", b->path, strerror(errno));
	b->is_there = sb.st_size > 0;
	r = read_page(b, 1, err);
	if (r < 0)
		return r;
	read_header(b);
	if (!b->has_header)
		return 0;
	b->mark_page = pair_mark_page(b->page, b->page_size);
	return b->mark_page ? read_mark(b, b->mark_page, err) : 0;
}

static int open_base(struct base *b, const char *path, struct err *err)
{
	*b = (struct base){.fd = -1, .path = path, .page_size = PAGES_SIZE_MAX};
	b->page = malloc(PAGES_SIZE_MAX);
	if (!b->page)
		return err_set(err, -ENOMEM, "outbox %s: out of memory", path);
	b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (b->fd < 0)
		return errno == ENOENT
		               ? 0
		               : err_set(err, -errno, "outbox: %s cannot be opened: %s", path, strerror(errno));
	return read_base(b, err);
}

static void close_base(struct base *b)
{
	free(b->page);
	fd_close(b->fd);
}

/* ---- the WAL ---- */

static int note_mark(struct story *s, struct base *b, uint32_t number, const struct pair_mark *mark, struct err *err)
{
	int r = 0;

	if (!s->marked && !b->has_mark)
		r = read_mark(b, number, err);
	if (b->has_mark)
		s->named = s->named || b->mark.now == mark->now || (!s->marked && b->mark.now == mark->before);
	if (!s->marked)
		s->first = *mark;
	s->marked = true;
	return r;
}

static int note_frame(struct story *s, struct base *b, const struct wal_file *w, struct err *err)
{
	const unsigned char *page = wal_file_content(w);
	struct pair_mark mark;

	if (wal_file_page(w) == 1 && !s->has_cookie) {
		s->has_cookie = true;
		s->cookie = pages_be32(page + COOKIE_AT);
	}
	return pair_mark_read(page, w->page_size, &mark) ? note_mark(s, b, wal_file_page(w), &mark, err) : 0;
}

/* Reads the committed transactions; SQLite ignores what follows them. */
static int read_story(struct story *ret, struct base *b, struct wal_file *w, struct err *err)
{
	struct story s = {.committed = false};
	int r;

	*ret = s;
	while ((r = wal_file_next(w, err)) > 0) {
		r = note_frame(&s, b, w, err);
		if (r < 0)
			return r;
		if (wal_file_commit(w) == 0)
			continue;
		s.committed = true;
		*ret = s;
	}
	return r;
}

/* ---- the verdict ---- */

/* For files of versions without marks: their schema never changed, so page 1 has the same cookie
 * in database and WAL. */
static bool is_own_by_cookie(const struct story *s, const struct base *b, uint32_t steps)
{
	return !s->has_cookie || s->cookie - b->cookie <= steps;
}

static bool is_own(const struct story *s, const struct base *b, const struct wal_file *w)
{
	/* The header that would decide is destroyed, so keep the two together. */
	if (!b->has_header)
		return s->named || !b->has_mark;
	if (b->page_size != w->page_size)
		return false;
	if (!s->marked)
		return is_own_by_cookie(s, b, 0);
	if (b->has_mark)
		return s->named;
	if (b->mark_page)
		return true;
	/* The WAL in which an older file got the table and its first mark. */
	return s->first.before == 0 && is_own_by_cookie(s, b, 1);
}

static int look_at_frames(struct base *b, struct wal_file *w, struct wal_look *ret, struct err *err)
{
	struct story s;
	int r;

	if (!b->has_header)
		b->page_size = w->page_size;
	r = read_story(&s, b, w, err);
	if (r < 0)
		return r;
	if (!b->is_there)
		ret->kind = WAL_ANOTHERS;
	else if (!s.committed)
		ret->kind = WAL_UNUSED;
	else
		ret->kind = is_own(&s, b, w) ? WAL_OWN : WAL_ANOTHERS;
	return 0;
}

static int look_at_wal(const char *path, struct base *b, struct wal_look *ret, struct err *err)
{
	struct wal_file w;
	enum wal_begin begin;
	int r = wal_file_open(&w, path, "-wal", &begin, err);

	if (r < 0)
		return r;
	ret->kind = begin == WAL_MISSING ? WAL_NONE : WAL_NO_WAL;
	if (begin != WAL_BEGINS)
		return 0;
	r = look_at_frames(b, &w, ret, err);
	wal_file_close(&w);
	return r;
}

int wal_look(const char *path, struct wal_look *ret, struct err *err)
{
	struct wal_look look = {.kind = WAL_NONE};
	struct base b;
	int r = open_base(&b, path, err);

	if (r == 0)
		r = look_at_wal(path, &b, &look, err);
	look.is_needed = b.has_mark && !b.mark.whole;
	look.has_mode = b.has_mode || !b.is_there;
	close_base(&b);
	if (r == 0)
		*ret = look;
	return r;
}

int wal_keep_anothers(const char *path, const struct wal_look *look, struct err *err)
{
	int wal = 0, journal = 0;

	if (look->kind == WAL_ANOTHERS)
		wal = beside_keep_orphan(
		        path, "-wal",
		        "belongs to another file, or to another copy of this one, which it would have damaged,", err);
	else if (look->kind == WAL_NO_WAL)
		wal = beside_keep_orphan(path, "-wal", "is damaged: it does not begin as a write-ahead log", err);
	if (wal >= 0 && look->has_mode)
		journal = beside_keep_orphan(path, "-journal",
		                             "is another file's, as a database in WAL mode has none", err);
	if (wal < 0 || journal < 0)
		return wal < 0 ? wal : journal;
	return wal > 0 || journal > 0;
}
