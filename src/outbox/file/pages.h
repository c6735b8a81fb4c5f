/* pages.h - the pages of an outbox file without SQLite's help: what a salvage reads when the file is damaged */
#ifndef OUTBOX_FILE_PAGES_H
#define OUTBOX_FILE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum { PAGES_SIZE_MIN = 512, PAGES_SIZE_MAX = 65536 };

/* The newest committed content of a page is that frame of the WAL; both are counted from 1. */
struct page_frame {
	uint32_t page, frame;
};

/* The file, and above it what its WAL has committed. Page numbers begin at 1, as SQLite's do. All that is kept of
 * them is bounded by the bytes of file and WAL, whatever numbers stand in them. */
struct pages {
	int fd, wal_fd;            /* -1: there is none */
	size_t size;               /* bytes per page */
	size_t usable;             /* of them; the rest, at the end of each page, is reserved for extensions */
	uint32_t in_file;          /* pages that the file has */
	uint32_t last;             /* no page of the database has a higher number */
	uint64_t with_data;        /* pages that are no holes of a sparse file, those of the WAL included */
	struct page_frame *frames; /* by page, ascending; owned */
	size_t n_frames, cap_frames;
};

/* Needs nothing of the file to be sound, not even its header. A WAL that is there and cannot be read is an error:
 * with false the file is read as if it had none. */
int pages_open(struct pages *ret, const char *path, bool with_wal, struct err *err) MUST_CHECK;
void pages_close(struct pages *p);
/* The lowest page after that one which is not missing and not a hole; 0: there is none. Begin with 0. */
uint32_t pages_next(const struct pages *p, uint32_t after);
/* A page's bytes into buf (p->size of them). 0; -ENOENT: it is not there; another negative errno: the disk does not
 * give it. */
int pages_read(const struct pages *p, uint32_t number, unsigned char *buf) MUST_CHECK;

static inline uint32_t pages_be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint32_t pages_be16(const unsigned char *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

#endif
