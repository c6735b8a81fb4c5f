/* cells.h - a reader of the rows in the leaf pages of a table */
#ifndef OUTBOX_FILE_CELLS_H
#define OUTBOX_FILE_CELLS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"
#include "outbox/file/pages.h"

enum { CELL_VALUES_MAX = 12 };

struct cell_value {
	char type; /* '-' null, 'i' integer, 't' text */
	int64_t number;
	struct slice text;
};

struct cell {
	uint64_t id; /* rowid */
	size_t n;
	struct cell_value values[CELL_VALUES_MAX];
};

/* A reader of the cells of one file. The bytes read are limited in proportion to the file size
 * whatever it contains: in a sound file the cells of a page share no bytes and overflow chains
 * share no pages. A damaged file may violate that a few times, a crafted one as often as it
 * likes. */
struct cells {
	const struct pages *pages;
	struct buf spill;      /* payload of a cell with overflow pages */
	uint64_t chained_left; /* number of overflow pages that may still be read */
	size_t local_left;     /* bytes of the current page that may still be read */
};

void cells_init(struct cells *c, const struct pages *pages);
void cells_free(struct cells *c);
/* Starts a page. Returns its number of cells, or 0 if it is not a leaf page of a table. */
uint32_t cells_begin(struct cells *c, const unsigned char *page, uint32_t number);
/* Reads the cell with that index. Texts point into page or into c and are valid until the next
 * call. Returns 0, -E_DAMAGED (not a valid row) or -ENOMEM. */
int cells_read(struct cells *c, const unsigned char *page, uint32_t number, uint32_t index,
               struct cell *ret) MUST_CHECK;

#endif
