/* cells.c - a reader of the rows in the leaf pages of a table
 *
 * The format is https://www.sqlite.org/fileformat2.html, "B-tree Pages" and "Record Format".
 * Every number here may be garbage, so each is checked against the size of its container before
 * it is used. */
#include "outbox/file/cells.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"

enum { LEAF_OF_TABLE = 13, LEAF_HEADER = 8, FILE_HEADER = 100 };
enum {
	ROW_MAX = 64 << 20,
	LOCAL_TIMES = 2,   /* limit for the bytes of all cells of a page, in page sizes */
	CHAINED_TIMES = 4, /* limit for the overflow pages of all chains, in file sizes */
};

/* Page 1 starts with the file header. */
static size_t header_at(uint32_t number)
{
	return number == 1 ? FILE_HEADER : 0;
}

void cells_init(struct cells *c, const struct pages *pages)
{
	uint64_t bytes = pages->with_data * pages->size;

	*c = (struct cells){.pages = pages, .chained_left = CHAINED_TIMES * pages->with_data};
	buf_init(&c->spill, bytes < ROW_MAX ? (size_t)bytes : ROW_MAX);
}

void cells_free(struct cells *c)
{
	buf_free(&c->spill);
}

uint32_t cells_begin(struct cells *c, const unsigned char *page, uint32_t number)
{
	const unsigned char *header = page + header_at(number);
	uint32_t n = pages_be16(header + 3);

	c->local_left = LOCAL_TIMES * c->pages->size;
	if (header[0] != LEAF_OF_TABLE || header_at(number) + LEAF_HEADER + 2 * (size_t)n > c->pages->size)
		return 0;
	return n;
}

/* Reads an integer of 1 to 9 bytes at *at and advances *at. */
static bool take_varint(struct slice s, size_t *at, uint64_t *ret)
{
	uint64_t v = 0;

	for (int i = 0; i < 9; i++) {
		unsigned char c;

		if (*at >= s.n)
			return false;
		c = (unsigned char)s.p[(*at)++];
		if (i == 8) {
			*ret = v << 8 | c;
			return true;
		}
		v = v << 7 | (c & 0x7f);
		if (!(c & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* Returns how many bytes of a payload are stored on the page itself. */
static size_t local_part(uint64_t total, size_t usable)
{
	size_t most = usable - 35, least = (usable - 12) * 32 / 255 - 23, n;

	if (total <= most)
		return (size_t)total;
	n = least + (size_t)((total - least) % (usable - 4));
	return n <= most ? n : least;
}

/* Reads the rest of the payload from a chain of overflow pages, each starting with the number of
 * the next. A cyclic chain ends with the payload, which cannot be longer than the file. */
static int read_chain(struct cells *c, uint32_t number, size_t left)
{
	const struct pages *p = c->pages;
	unsigned char *page = malloc(p->size);
	int r = page ? 0 : -ENOMEM;

	while (r == 0 && left > 0) {
		size_t n = left < p->usable - 4 ? left : p->usable - 4;

		if (c->chained_left == 0 || pages_read(p, number, page) < 0) {
			r = -E_DAMAGED;
			break;
		}
		c->chained_left--;
		r = buf_append(&c->spill, page + 4, n);
		number = pages_be32(page);
		left -= n;
	}
	free(page);
	return r;
}

static size_t width_of(uint64_t type)
{
	static const size_t widths[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};

	return type < 10 ? widths[type] : (size_t)(type - 12) / 2;
}

static bool take_value(struct slice record, size_t at, uint64_t type, struct cell_value *ret)
{
	size_t width = width_of(type);

	if (type == 7 || type == 10 || type == 11 || (type >= 12 && !(type & 1)))
		return false; /* none of our tables contains floating-point numbers or blobs */
	if (type > 2 * (uint64_t)record.n + 13 || width > record.n - at)
		return false;
	*ret = (struct cell_value){.type = type == 0 ? '-' : 'i', .number = type == 9};
	if (type >= 13) {
		*ret = (struct cell_value){.type = 't', .text = {record.p + at, width}};
		return utf8_check(ret->text.p, ret->text.n) == ret->text.n;
	}
	for (size_t i = 0; i < width; i++) {
		unsigned char c = (unsigned char)record.p[at + i];

		ret->number = i == 0 ? (signed char)c : (int64_t)((uint64_t)ret->number << 8 | c);
	}
	return true;
}

static int read_record(struct slice record, struct cell *ret)
{
	size_t at = 0, value_at;
	uint64_t header_size, type;

	if (!take_varint(record, &at, &header_size) || header_size > record.n)
		return -E_DAMAGED;
	value_at = (size_t)header_size;
	for (ret->n = 0; at < header_size; ret->n++) {
		if (ret->n == CELL_VALUES_MAX || !take_varint(record, &at, &type) || at > header_size ||
		    !take_value(record, value_at, type, &ret->values[ret->n]))
			return -E_DAMAGED;
		value_at += width_of(type);
	}
	return value_at == record.n ? 0 : -E_DAMAGED;
}

static int read_spilled(struct cells *c, struct slice local, uint32_t first, uint64_t total, struct cell *ret)
{
	int r;

	if (total > c->spill.max)
		return -E_DAMAGED;
	buf_clear(&c->spill);
	r = buf_append_slice(&c->spill, local);
	if (r == 0)
		r = read_chain(c, first, (size_t)total - local.n);
	return r == 0 ? read_record(buf_slice(&c->spill), ret) : r;
}

int cells_read(struct cells *c, const unsigned char *page, uint32_t number, uint32_t index, struct cell *ret)
{
	const struct slice whole = {(const char *)page, c->pages->usable};
	size_t at = pages_be16(page + header_at(number) + LEAF_HEADER + 2 * (size_t)index), local;
	uint64_t total;

	if (!take_varint(whole, &at, &total) || !take_varint(whole, &at, &ret->id))
		return -E_DAMAGED;
	local = local_part(total, c->pages->usable);
	if (local > whole.n - at || local > c->local_left)
		return -E_DAMAGED;
	c->local_left -= local;
	if (local == total)
		return read_record((struct slice){whole.p + at, local}, ret);
	if (local + 4 > whole.n - at)
		return -E_DAMAGED;
	return read_spilled(c, (struct slice){whole.p + at, local}, pages_be32(page + at + local), total, ret);
}
