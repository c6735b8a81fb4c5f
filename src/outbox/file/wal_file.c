/* wal_file.c - a reader of the frames of a WAL without SQLite */
#include "outbox/file/wal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "outbox/file/beside.h"
#include "outbox/file/pages.h"

#define MAGIC UINT32_C(0x377f0682) /* the lowest bit is set if checksums are of big-endian words */
enum { PAGE_SIZE_AT = 8, SALTS_AT = 16, SALTS = 8, HEADER_SUM_AT = 24 };
/* Offsets in a frame header. */
enum { FRAME_COMMIT_AT = 4, FRAME_SALTS_AT = 8, FRAME_SUM_AT = 16 };

static uint32_t word(const unsigned char *p, bool big_endian)
{
	return big_endian ? pages_be32(p) : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void add(struct wal_checksum *c, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		c->a += word(p + i, c->big_endian) + c->b;
		c->b += word(p + i + 4, c->big_endian) + c->a;
	}
}

static bool is(const struct wal_checksum *c, const unsigned char *stored)
{
	return c->a == pages_be32(stored) && c->b == pages_be32(stored + 4);
}

/* Reads n bytes. The file cannot shrink while its lock is held, so missing bytes within its size
 * are an I/O error. */
static int read_whole(struct wal_file *w, void *p, size_t n, off_t at, struct err *err)
{
	ssize_t got = beside_read(w->fd, w->name, p, n, at, err);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0
	                        : err_set(err, -EIO, "outbox: %s cannot be read: it ends at byte %lld of %lld",
	                                  w->name, (long long)(at + got), (long long)w->size);
}

static bool begins_as_one(struct wal_file *w)
{
	uint32_t page_size = pages_be32(w->header + PAGE_SIZE_AT);

	w->sum = (struct wal_checksum){.big_endian = w->header[3] & 1};
	add(&w->sum, w->header, HEADER_SUM_AT);
	w->page_size = page_size;
	return (pages_be32(w->header) & ~1u) == MAGIC && page_size >= PAGES_SIZE_MIN && page_size <= PAGES_SIZE_MAX &&
	       (page_size & (page_size - 1)) == 0 && is(&w->sum, w->header + HEADER_SUM_AT);
}

static int look(struct wal_file *w, enum wal_begin *ret, struct err *err)
{
	struct stat sb;
	int r = 0;

	if (fstat(w->fd, &sb) < 0)
		return err_set(err, -errno, "outbox: %s cannot be looked at: %s", w->name, strerror(errno));
	if (!S_ISREG(sb.st_mode))
		return err_set(err, -EPROTO, "outbox: %s is not a regular file; left unchanged", w->name);
	w->size = sb.st_size;
	w->at = WAL_HEADER;
	*ret = w->size == 0 ? WAL_MISSING : WAL_BROKEN;
	if (w->size >= WAL_HEADER)
		r = read_whole(w, w->header, WAL_HEADER, 0, err);
	if (r < 0 || w->size < WAL_HEADER || !begins_as_one(w))
		return r;
	w->frame = malloc(WAL_FRAME_HEADER + w->page_size);
	if (!w->frame)
		return err_set(err, -ENOMEM, "outbox: %s: out of memory", w->name);
	*ret = WAL_BEGINS;
	return 0;
}

int wal_file_open(struct wal_file *w, const char *path, const char *suffix, enum wal_begin *ret, struct err *err)
{
	int r;

	*w = (struct wal_file){.fd = -1};
	r = beside_name(w->name, path, suffix, err);
	if (r < 0)
		return r;
	*ret = WAL_MISSING;
	w->fd = open(w->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (w->fd < 0)
		return errno == ENOENT
		               ? 0
		               : err_set(err, -errno, "outbox: %s cannot be opened: %s", w->name, strerror(errno));
	r = look(w, ret, err);
	if (r < 0 || *ret != WAL_BEGINS)
		wal_file_close(w);
	return r;
}

/* Frames belong to the WAL as long as their salts match and their checksums continue those of
 * the header. */
int wal_file_next(struct wal_file *w, struct err *err)
{
	size_t n = WAL_FRAME_HEADER + w->page_size;
	int r;

	if (w->size - w->at < (off_t)n)
		return 0;
	r = read_whole(w, w->frame, n, w->at, err);
	if (r < 0)
		return r;
	if (memcmp(w->frame + FRAME_SALTS_AT, w->header + SALTS_AT, SALTS) != 0 || wal_file_page(w) == 0)
		return 0;
	add(&w->sum, w->frame, FRAME_SALTS_AT);
	add(&w->sum, w->frame + WAL_FRAME_HEADER, w->page_size);
	if (!is(&w->sum, w->frame + FRAME_SUM_AT))
		return 0;
	w->at += (off_t)n;
	return 1;
}

void wal_file_close(struct wal_file *w)
{
	w->fd = fd_close(w->fd);
	free(w->frame);
	w->frame = NULL;
}

uint32_t wal_file_page(const struct wal_file *w)
{
	return pages_be32(w->frame);
}

uint32_t wal_file_commit(const struct wal_file *w)
{
	return pages_be32(w->frame + FRAME_COMMIT_AT);
}
