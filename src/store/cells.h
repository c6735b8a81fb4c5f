/* cells.h - rows as they lie in the leaf pages of a table */
#ifndef STORE_CELLS_H
#define STORE_CELLS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"
#include "store/pages.h"

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

/* How many cells a page has; 0 when it is no leaf of a table. */
uint32_t cells_count(const unsigned char *page, uint32_t number, size_t size);
/* Reads the index-th. Texts live in page or in spill (for what lies on other pages) until the next call. 0; -EUCLEAN:
 * nothing that could be a row; negative errno. */
int cells_read(const struct pages *p, const unsigned char *page, uint32_t number, uint32_t index, struct buf *spill,
               struct cell *ret) MUST_CHECK;

#endif
