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

enum { HEADER = 100, PAGE_SIZE_AT = 16, RESERVED_AT = 20, USABLE_MIN = 480 };
enum { WAL_HEADER = 32, FRAME_HEADER = 24, PAGE_SIZE_USUAL = 4096 };
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

static int keep_frame(struct pages *p, uint32_t number, uint32_t frame)
{
	if (p->n_frames == p->cap_frames) {
		size_t cap = p->cap_frames ? p->cap_frames * 2 : 256;
		struct page_frame *more = reallocarray(p->frames, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		p->frames = more;
		p->cap_frames = cap;
	}
	p->frames[p->n_frames++] = (struct page_frame){number, frame};
	return 0;
}

static int compare_frames(const void *a, const void *b)
{
	const struct page_frame *x = a, *y = b;

	if (x->page != y->page)
		return x->page < y->page ? -1 : 1;
	return (x->frame > y->frame) - (x->frame < y->frame);
}

/* Of the committed frames, the newest of each page that the database still has. */
static void sort_frames(struct pages *p, size_t committed)
{
	size_t n = 0;

	if (committed > 0)
		qsort(p->frames, committed, sizeof(*p->frames), compare_frames);
	for (size_t i = 0; i < committed; i++) {
		bool newest = i + 1 == committed || p->frames[i + 1].page != p->frames[i].page;

		if (newest && p->frames[i].page <= p->last)
			p->frames[n++] = p->frames[i];
	}
	p->n_frames = n;
}

/* Frames belong to the WAL as long as salts and checksums go on from the header's; of those, what lies before the
 * last commit counts. Page 0 does not exist: SQLite stops there too, and so ends a WAL that is mostly a hole. */
static int walk_frames(struct pages *p, const unsigned char *header, struct checksum sum)
{
	size_t size = FRAME_HEADER + p->size, committed = 0;
	unsigned char *frame = malloc(size);
	int r = frame ? 0 : -ENOMEM;

	for (uint32_t i = 1; r == 0 && i < UINT32_MAX; i++) {
		if (read_at(p->wal_fd, frame, size, WAL_HEADER + (off_t)(i - 1) * (off_t)size) != (ssize_t)size ||
		    memcmp(frame + 8, header + 16, 8) != 0 || pages_be32(frame) == 0)
			break;
		checksum_add(&sum, frame, 8);
		checksum_add(&sum, frame + FRAME_HEADER, p->size);
		if (!checksum_is(&sum, frame + 16))
			break;
		r = keep_frame(p, pages_be32(frame), i);
		if (r == 0 && pages_be32(frame + 4) > 0) {
			committed = p->n_frames;
			p->last = pages_be32(frame + 4);
		}
	}
	free(frame);
	sort_frames(p, committed);
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

/* Pages that the file has, the last one perhaps in part. */
static uint32_t count_pages(const struct pages *p)
{
	off_t n = (size_of(p->fd) + (off_t)p->size - 1) / (off_t)p->size;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX - 1;
}

static int read_wal(struct pages *p)
{
	unsigned char header[WAL_HEADER];
	struct checksum sum;
	bool has = read_header(p->wal_fd, header, &sum);

	if (has)
		p->size = pages_be32(header + 8);
	p->in_file = p->last = count_pages(p);
	return has ? walk_frames(p, header, sum) : 0;
}

/* ---- opening ---- */

/* Bytes of the file that are no holes: of a sparse one a small part. A file system that knows no holes has none. */
static uint64_t count_data(int fd)
{
	off_t size = size_of(fd), at = 0, end;
	uint64_t bytes = 0;

	while (at < size && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end <= at)
			break;
		bytes += (uint64_t)(end - at);
		at = end;
	}
	return at < 0 && errno != ENXIO ? (uint64_t)size : bytes;
}

/* From page 1, wherever its newest content is. */
static int find_usable(struct pages *p)
{
	static const char magic[16] = "SQLite format 3";
	unsigned char *page = malloc(p->size);

	if (!page)
		return -ENOMEM;
	p->usable = p->size;
	if (pages_read(p, 1, page) == 0 && memcmp(page, magic, sizeof(magic)) == 0 &&
	    p->size - page[RESERVED_AT] >= USABLE_MIN)
		p->usable = p->size - page[RESERVED_AT];
	free(page);
	return 0;
}

int pages_open(struct pages *ret, const char *path, struct err *err)
{
	struct pages p = {.wal_fd = -1};
	int r;

	p.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (p.fd < 0)
		return err_set(err, -errno, "cannot be opened: %s", strerror(errno));
	p.wal_fd = open_wal(path);
	p.size = find_page_size(p.fd);
	r = read_wal(&p);
	if (r == 0)
		r = find_usable(&p);
	if (r < 0) {
		pages_close(&p);
		return err_set(err, r, "%s", strerror(-r));
	}
	p.with_data = count_data(p.fd) / p.size + 1 + p.n_frames;
	*ret = p;
	return 0;
}

void pages_close(struct pages *p)
{
	p->fd = fd_close(p->fd);
	p->wal_fd = fd_close(p->wal_fd);
	free(p->frames);
	p->frames = NULL;
	p->n_frames = p->cap_frames = 0;
}

/* ---- reading ---- */

/* The first of the frames whose page is at least that. */
static size_t find_frame(const struct pages *p, uint32_t number)
{
	size_t low = 0, high = p->n_frames;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->frames[middle].page < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first page of the file from that one on that is not a hole; UINT32_MAX: there is none. */
static uint32_t next_in_file(const struct pages *p, uint32_t from)
{
	uint32_t end = p->in_file < p->last ? p->in_file : p->last;
	off_t at;

	if (from > end)
		return UINT32_MAX;
	at = lseek(p->fd, (off_t)(from - 1) * (off_t)p->size, SEEK_DATA);
	if (at < 0)
		return errno == ENXIO ? UINT32_MAX : from;
	at = at / (off_t)p->size + 1;
	return at > end ? UINT32_MAX : at > from ? (uint32_t)at : from;
}

uint32_t pages_next(const struct pages *p, uint32_t after)
{
	uint32_t next;
	size_t i;

	if (after == UINT32_MAX)
		return 0;
	next = next_in_file(p, after + 1);
	i = find_frame(p, after + 1);
	if (i < p->n_frames && p->frames[i].page < next)
		next = p->frames[i].page;
	return next == UINT32_MAX ? 0 : next;
}

int pages_read(const struct pages *p, uint32_t number, unsigned char *buf)
{
	size_t i = find_frame(p, number);
	bool in_wal = i < p->n_frames && p->frames[i].page == number;
	off_t at;
	ssize_t n;

	if (number == 0 || number > p->last)
		return -ENOENT;
	if (in_wal)
		at = WAL_HEADER + (off_t)(p->frames[i].frame - 1) * (off_t)(FRAME_HEADER + p->size) + FRAME_HEADER;
	else
		at = (off_t)(number - 1) * (off_t)p->size;
	n = read_at(in_wal ? p->wal_fd : p->fd, buf, p->size, at);
	if (n < 0)
		return -errno;
	/* A file that was cut off ends in the middle of a page. */
	memset(buf + n, 0, p->size - (size_t)n);
	return n > 0 ? 0 : -ENOENT;
}
