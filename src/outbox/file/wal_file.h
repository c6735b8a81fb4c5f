/* wal_file.h - the frames of a write-ahead log, read without SQLite
 *
 * The format is https://www.sqlite.org/fileformat2.html, "The Write-Ahead Log". */
#ifndef OUTBOX_FILE_WAL_FILE_H
#define OUTBOX_FILE_WAL_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

enum { WAL_HEADER = 32, WAL_FRAME_HEADER = 24 };

struct wal_checksum {
	uint32_t a, b;
	bool big_endian;
};

struct wal_file {
	int fd;
	char name[PATH_MAX];
	off_t size, at;
	size_t page_size;
	unsigned char header[WAL_HEADER];
	struct wal_checksum sum;
	unsigned char *frame; /* header and page */
};

/* What a name of a WAL leads to. */
enum wal_begin {
	WAL_MISSING, /* no file, or an empty one */
	WAL_BROKEN,  /* it was read, and does not begin as a WAL */
	WAL_BEGINS
};

/* Opens path's -wal. Whatever cannot be opened or read is an error that names the file. wal_file_close() is needed
 * after WAL_BEGINS alone. */
int wal_file_open(struct wal_file *w, const char *path, enum wal_begin *ret, struct err *err) MUST_CHECK;
/* The next frame that belongs to the WAL, committed or not: 1, and w->frame has it; 0: there are no more. */
int wal_file_next(struct wal_file *w, struct err *err) MUST_CHECK;
void wal_file_close(struct wal_file *w);

uint32_t wal_file_page(const struct wal_file *w);
/* Pages of the database after this frame, with which a transaction ends; 0: it goes on. */
uint32_t wal_file_commit(const struct wal_file *w);
static inline const unsigned char *wal_file_content(const struct wal_file *w)
{
	return w->frame + WAL_FRAME_HEADER;
}

#endif
