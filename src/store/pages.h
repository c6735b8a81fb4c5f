/* pages.h - the pages of an outbox file without SQLite's help: what a salvage reads when the file is damaged */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum { PAGES_SIZE_MIN = 512, PAGES_SIZE_MAX = 65536 };

/* The file, and above it what its WAL has committed. Numbers begin at 1, as SQLite's do. */
struct pages {
	int fd, wal_fd; /* -1: there is none */
	size_t size;    /* bytes a page */
	uint32_t n;
	uint32_t *frames; /* by page: the WAL's frame with its newest content, counted from 1; 0: in the file */
	uint32_t cap;     /* entries in frames */
};

/* Needs nothing of the file to be sound, not even its header. */
int pages_open(struct pages *ret, const char *path, struct err *err) MUST_CHECK;
void pages_close(struct pages *p);
/* A page's bytes into buf (p->size of them). 0, or negative errno: it is not there, or the disk does not give it. */
int pages_read(const struct pages *p, uint32_t number, unsigned char *buf) MUST_CHECK;

/* Does the outbox have a WAL that begins as one? */
bool pages_has_wal(const char *path);

static inline uint32_t pages_be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint32_t pages_be16(const unsigned char *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

#endif
