/* pages.h - a reader of an outbox file's pages without SQLite, for salvaging a damaged file */
#ifndef OUTBOX_FILE_PAGES_H
#define OUTBOX_FILE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum { PAGES_SIZE_MIN = 512, PAGES_SIZE_MAX = 65536 };
/* The page size of new outboxes, and of those made before format 2. Every commit of few events writes whole
 * pages twice; with smaller pages the schema would not fit on page 1, where wal_owner.c looks for it. */
enum { PAGES_SIZE_NEW = 2048, PAGES_SIZE_OLD = 4096 };

/* The newest committed content of a page is in that WAL frame; both numbers start at 1. */
struct page_frame {
	uint32_t page, frame;
};

/* The file overlaid with the committed frames of its WAL. Page numbers start at 1, as in SQLite.
 * Memory is limited by the size of file and WAL, whatever numbers they contain. */
struct pages {
	int fd, wal_fd; /* -1: no such file */
	size_t size;    /* bytes per page */
	/* Usable bytes; the rest, at the end of each page, is reserved for extensions */
	size_t usable;
	uint32_t in_file; /* number of pages in the file */
	uint32_t last;    /* highest page number of the database */
	/* Pages that are not holes of a sparse file, plus those in the WAL */
	uint64_t with_data;
	struct page_frame *frames; /* sorted by page; owned */
	size_t n_frames, cap_frames;
};

/* Opens the file, no part of which needs to be sound, not even its header. An existing WAL that
 * cannot be read is an error; with_wal false reads the file without it. The file may also be a WAL
 * by itself: then only its pages exist. */
int pages_open(struct pages *ret, const char *path, bool with_wal, struct err *err) MUST_CHECK;
void pages_close(struct pages *p);
/* Returns the lowest page after that one that exists and is not a hole, or 0. Start with 0. */
uint32_t pages_next(const struct pages *p, uint32_t after);
/* Reads a page into buf (p->size bytes). Returns 0; -ENOENT if it does not exist; another
 * negative errno if the disk cannot read it. */
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
