/* wal_file.h - a reader of the frames of a WAL without SQLite
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
	unsigned char *frame; /* frame header and page */
};

/* What is found under the name of a WAL. */
enum wal_begin {
	WAL_MISSING, /* no file, or an empty one */
	WAL_BROKEN,  /* readable, but without the header of a WAL */
	WAL_BEGINS
};

/* Opens the file called path and suffix: the "-wal" of an outbox, or "" for a WAL by itself. A file
 * that cannot be opened or read is an error that names it. wal_file_close() is required after
 * WAL_BEGINS only. */
int wal_file_open(struct wal_file *w, const char *path, const char *suffix, enum wal_begin *ret,
                  struct err *err) MUST_CHECK;
/* Reads the next frame of the WAL, committed or not. Returns 1 with the frame in w->frame, or 0
 * at the end. */
int wal_file_next(struct wal_file *w, struct err *err) MUST_CHECK;
void wal_file_close(struct wal_file *w);

uint32_t wal_file_page(const struct wal_file *w);
/* If this frame ends a transaction, returns the database's size in pages after it; otherwise 0. */
uint32_t wal_file_commit(const struct wal_file *w);
static inline const unsigned char *wal_file_content(const struct wal_file *w)
{
	return w->frame + WAL_FRAME_HEADER;
}

#endif
