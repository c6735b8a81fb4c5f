/* pages.c - the pages of an outbox file without SQLite's help
 *
 * The formats are https://www.sqlite.org/fileformat2.html, "The Database File" and "The Write-Ahead Log". */
#include "store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { HEADER = 100, PAGE_SIZE_AT = 16, WAL_HEADER = 32, FRAME_HEADER = 24, PAGE_SIZE_USUAL = 4096 };
#define WAL_MAGIC UINT32_C(0x377f0682) /* its last bit: the checksums are of big-endian words */

static bool is_page_size(uint32_t n)
{
	return n >= PAGES_SIZE_MIN && n <= PAGES_SIZE_MAX && (n & (n - 1)) == 0;
}

static ssize_t read_at(int fd, void *buf, size_t n, off_t at)
{
	ssize_t got;

	do
		got = pread(fd, buf, n, at);
	while (got < 0 && errno == EINTR);
	return got;
}

static off_t size_of(int fd)
{
	struct stat sb;

	return fstat(fd, &sb) < 0 ? 0 : sb.st_size;
}

/* The header may be what was destroyed. */
static size_t find_page_size(int fd)
{
	unsigned char header[HEADER];
	uint32_t n = 0;

	if (read_at(fd, header, sizeof(header), 0) == HEADER)
		n = pages_be16(header + PAGE_SIZE_AT);
	n = n == 1 ? PAGES_SIZE_MAX : n;
	return is_page_size(n) ? n : PAGE_SIZE_USUAL;
}

/* ---- the WAL ---- */

struct checksum {
	uint32_t a, b;
	bool big_endian;
};

static uint32_t word(const unsigned char *p, bool big_endian)
{
	return big_endian ? pages_be32(p) : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void checksum_add(struct checksum *c, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		c->a += word(p + i, c->big_endian) + c->b;
		c->b += word(p + i + 4, c->big_endian) + c->a;
	}
}

static bool checksum_is(const struct checksum *c, const unsigned char *stored)
{
	return c->a == pages_be32(stored) && c->b == pages_be32(stored + 4);
}

static int note_frame(struct pages *p, uint32_t number, uint32_t frame)
{
	if (number >= p->cap) {
		uint32_t cap = number + number / 2 + 64;
		uint32_t *more = realloc(p->frames, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		memset(more + p->cap, 0, (cap - p->cap) * sizeof(*more));
		p->frames = more;
		p->cap = cap;
	}
	p->frames[number] = frame;
	return 0;
}

/* Frames belong to the WAL as long as salts and checksums go on from the header's; of those, what lies before the
 * last commit counts. Two walks: the first finds where that is. */
static int walk_frames(struct pages *p, const unsigned char *header, struct checksum sum, uint32_t until,
                       uint32_t *ret_committed)
{
	size_t size = FRAME_HEADER + p->size;
	unsigned char *frame = malloc(size);
	int r = frame ? 0 : -ENOMEM;

	for (uint32_t i = 1; r == 0 && i <= until; i++) {
		uint32_t number, db_pages;

		if (read_at(p->wal_fd, frame, size, WAL_HEADER + (off_t)(i - 1) * (off_t)size) != (ssize_t)size ||
		    memcmp(frame + 8, header + 16, 8) != 0)
			break;
		checksum_add(&sum, frame, 8);
		checksum_add(&sum, frame + FRAME_HEADER, p->size);
		if (!checksum_is(&sum, frame + 16))
			break;
		number = pages_be32(frame);
		db_pages = pages_be32(frame + 4);
		if (ret_committed && db_pages > 0) {
			*ret_committed = i;
			p->n = db_pages;
		}
		if (!ret_committed && number > 0 && number <= p->n)
			r = note_frame(p, number, i);
	}
	free(frame);
	return r;
}

static bool read_header(int wal_fd, unsigned char header[WAL_HEADER], struct checksum *ret_sum)
{
	struct checksum sum = {0, 0, false};

	if (wal_fd < 0 || read_at(wal_fd, header, WAL_HEADER, 0) != WAL_HEADER)
		return false;
	sum.big_endian = header[3] & 1;
	checksum_add(&sum, header, WAL_HEADER - 8);
	*ret_sum = sum;
	return (pages_be32(header) & ~1u) == WAL_MAGIC && is_page_size(pages_be32(header + 8)) &&
	       checksum_is(&sum, header + 24);
}

static int open_wal(const char *path)
{
	char wal[PATH_MAX];

	if (snprintf(wal, sizeof(wal), "%s-wal", path) >= (int)sizeof(wal))
		return -1;
	return open(wal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

bool pages_has_wal(const char *path)
{
	_cleanup_(fd_closep) int fd = open_wal(path);
	unsigned char header[WAL_HEADER];
	struct checksum sum;

	return read_header(fd, header, &sum);
}

static int read_wal(struct pages *p)
{
	unsigned char header[WAL_HEADER];
	struct checksum sum;
	uint32_t committed = 0;
	int r;

	if (!read_header(p->wal_fd, header, &sum))
		return 0;
	p->size = pages_be32(header + 8);
	p->n = (uint32_t)(size_of(p->fd) / (off_t)p->size);
	r = walk_frames(p, header, sum, UINT32_MAX, &committed);
	return r == 0 ? walk_frames(p, header, sum, committed, NULL) : r;
}

/* ---- opening ---- */

int pages_open(struct pages *ret, const char *path, struct err *err)
{
	struct pages p = {.wal_fd = -1};
	int r;

	p.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (p.fd < 0)
		return err_set(err, -errno, "cannot be opened: %s", strerror(errno));
	p.wal_fd = open_wal(path);
	p.size = find_page_size(p.fd);
	p.n = (uint32_t)((size_of(p.fd) + (off_t)p.size - 1) / (off_t)p.size);
	r = read_wal(&p);
	if (r < 0) {
		pages_close(&p);
		return err_set(err, r, "%s", strerror(-r));
	}
	*ret = p;
	return 0;
}

void pages_close(struct pages *p)
{
	p->fd = fd_close(p->fd);
	p->wal_fd = fd_close(p->wal_fd);
	free(p->frames);
	p->frames = NULL;
}

int pages_read(const struct pages *p, uint32_t number, unsigned char *buf)
{
	uint32_t frame = number < p->cap ? p->frames[number] : 0;
	off_t at = (off_t)(number - 1) * (off_t)p->size;
	ssize_t n;

	if (number == 0 || number > p->n)
		return -ENOENT;
	if (frame > 0)
		at = WAL_HEADER + (off_t)(frame - 1) * (off_t)(FRAME_HEADER + p->size) + FRAME_HEADER;
	n = read_at(frame > 0 ? p->wal_fd : p->fd, buf, p->size, at);
	if (n < 0)
		return -errno;
	/* A file that was cut off ends in the middle of a page. */
	memset(buf + n, 0, p->size - (size_t)n);
	return n > 0 ? 0 : -ENOENT;
}
