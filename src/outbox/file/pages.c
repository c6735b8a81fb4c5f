/* pages.c - a reader of an outbox file's pages without SQLite
 *
 * The format is https://www.sqlite.org/fileformat2.html, "The Database File". */
#include "outbox/file/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "outbox/file/wal_file.h"

enum { HEADER = 100, PAGE_SIZE_AT = 16, RESERVED_AT = 20, USABLE_MIN = 480 };
enum { PROBES = 4096 };
enum { LEAF = 13, CELLS_AT = 3, CONTENT_AT = 5, LEAF_HEADER = 8 };

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

/* Returns how many of the first pages begin as a leaf page of a table, if they have that size. */
static unsigned count_leaves(int fd, size_t size)
{
	unsigned char head[LEAF_HEADER];
	unsigned n = 0;

	for (off_t i = 1; i <= PROBES; i++) {
		if (read_at(fd, head, sizeof(head), i * (off_t)size) < (ssize_t)sizeof(head))
			break;
		n += head[0] == LEAF && pages_be16(head + CONTENT_AT) <= size &&
		     pages_be16(head + CONTENT_AT) >= LEAF_HEADER + 2 * pages_be16(head + CELLS_AT);
	}
	return n;
}

/* A file with a destroyed header has one of the two sizes that outboxes were made with. If that is
 * the larger one, every second page of the smaller size begins in the middle of a page. */
static size_t guess_page_size(int fd)
{
	return count_leaves(fd, PAGES_SIZE_NEW) > count_leaves(fd, PAGES_SIZE_OLD) ? PAGES_SIZE_NEW : PAGES_SIZE_OLD;
}

static size_t find_page_size(int fd)
{
	unsigned char header[HEADER];
	uint32_t n = 0;

	if (read_at(fd, header, sizeof(header), 0) == HEADER)
		n = pages_be16(header + PAGE_SIZE_AT);
	n = n == 1 ? PAGES_SIZE_MAX : n;
	return is_page_size(n) ? n : guess_page_size(fd);
}

/* ---- the WAL ---- */

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

/* Keeps, of the committed frames, the newest of each page within the database's size. */
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

/* Reads the frames of the WAL; only those up to the last commit count. */
static int walk_frames(struct pages *p, struct wal_file *w, struct err *err)
{
	size_t committed = 0;
	int r = 0;

	for (uint32_t i = 1; i < UINT32_MAX; i++) {
		r = wal_file_next(w, err);
		if (r <= 0)
			break;
		r = keep_frame(p, wal_file_page(w), i);
		if (r < 0) {
			err_set(err, r, "out of memory");
			break;
		}
		if (wal_file_commit(w) > 0) {
			committed = p->n_frames;
			p->last = wal_file_commit(w);
		}
	}
	sort_frames(p, committed);
	return r < 0 ? r : 0;
}

/* Returns the number of pages in the file; the last one may be incomplete. */
static uint32_t count_pages(const struct pages *p)
{
	off_t n = (size_of(p->fd) + (off_t)p->size - 1) / (off_t)p->size;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX - 1;
}

static int read_wal(struct pages *p, const char *path, const char *suffix, struct err *err)
{
	struct wal_file w;
	enum wal_begin begin;
	int r = wal_file_open(&w, path, suffix, &begin, err);

	if (r < 0 || begin != WAL_BEGINS)
		return r;
	p->size = w.page_size;
	p->in_file = p->last = *suffix ? count_pages(p) : 0;
	r = walk_frames(p, &w, err);
	p->wal_fd = w.fd;
	w.fd = -1;
	wal_file_close(&w);
	return r;
}

/* ---- opening ---- */

/* Returns the number of bytes that are not holes, which is small for a sparse file. A file
 * system without support for holes reports none. */
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

/* Reads the usable size from page 1, from the WAL or from the file. */
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

int pages_open(struct pages *ret, const char *path, bool with_wal, struct err *err)
{
	struct pages p = {.wal_fd = -1};
	int r = 0;

	p.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (p.fd < 0)
		return err_set(err, -errno, "cannot be opened: %s", strerror(errno));
	p.size = find_page_size(p.fd);
	p.in_file = p.last = count_pages(&p);
	if (with_wal)
		r = read_wal(&p, path, "-wal", err);
	if (r == 0 && p.wal_fd < 0) /* the file may be a WAL that was kept apart from its outbox */
		r = read_wal(&p, path, "", err);
	if (r == 0 && find_usable(&p) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	if (r < 0) {
		pages_close(&p);
		return r;
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

/* Returns the index of the first frame whose page number is at least that. */
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

/* Returns the first page from that one on that is not a hole in the file, or UINT32_MAX. */
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

	if (number == 0 || number > p->last || (!in_wal && number > p->in_file))
		return -ENOENT;
	if (in_wal)
		at = WAL_HEADER + (off_t)(p->frames[i].frame - 1) * (off_t)(WAL_FRAME_HEADER + p->size) +
		     WAL_FRAME_HEADER;
	else
		at = (off_t)(number - 1) * (off_t)p->size;
	n = read_at(in_wal ? p->wal_fd : p->fd, buf, p->size, at);
	if (n < 0)
		return -errno;
	/* A truncated file may end in the middle of a page. */
	memset(buf + n, 0, p->size - (size_t)n);
	return n > 0 ? 0 : -ENOENT;
}
