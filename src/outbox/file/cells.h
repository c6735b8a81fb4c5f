/* cells.h - rows as they lie in the leaf pages of a table */
#ifndef OUTBOX_FILE_CELLS_H
#define OUTBOX_FILE_CELLS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"
#include "outbox/file/pages.h"

enum { CELL_VALUES_MAX = 12 };

struct cell_value {
	char type; /* '-' null, 'i' whole number, 't' text */
	int64_t number;
	struct slice text;
};

struct cell {
	uint64_t id; /* the rowid */
	size_t n;
	struct cell_value values[CELL_VALUES_MAX];
};

/* Reads them of one file after the other. What is read stays in proportion to the file, whatever stands in it: the
 * cells of a page share no bytes, and so do the chains of pages that hold what does not fit on one. A damaged file
 * may break that a few times, a crafted one as often as it likes. */
struct cells {
	const struct pages *pages;
	struct buf spill;      /* of a cell that continues on other pages */
	uint64_t chained_left; /* pages of such chains that may still be read */
	size_t local_left;     /* bytes of the page at hand that may still be read */
};

void cells_init(struct cells *c, const struct pages *pages);
void cells_free(struct cells *c);
/* Another page; how many cells it has: 0 when it is no leaf of a table. */
uint32_t cells_begin(struct cells *c, const unsigned char *page, uint32_t number);
/* Reads the index-th. Texts live in page or in c until the next call. 0; -EUCLEAN: nothing that could be a row;
 * -ENOMEM. */
int cells_read(struct cells *c, const unsigned char *page, uint32_t number, uint32_t index,
               struct cell *ret) MUST_CHECK;

#endif
