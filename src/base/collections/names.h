/* names.h - a fixed set of names with a small hash index, for the tables in rules.c */
#ifndef BASE_COLLECTIONS_NAMES_H
#define BASE_COLLECTIONS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { NAME_SLOTS = 256, NAME_ROWS_MAX = 100 };

/* The rows are structs whose first member is `struct slice name`; rows without a name are
 * skipped. */
struct name_index {
	const char *rows; /* not owned */
	size_t stride, n;
	uint32_t factor;           /* of the hash */
	uint8_t slots[NAME_SLOTS]; /* row + 1; 0: empty slot */
};

void name_index_init(struct name_index *x, const void *rows, size_t stride, size_t n);
/* Returns the row's index, or -1. */
int name_index_find(const struct name_index *x, struct slice name);
/* Returns the known name that was probably meant, or NULL. */
const char *name_index_nearest(const struct name_index *x, struct slice name);

/* True for [A-Za-z][A-Za-z0-9_]* of at most max characters (all ASCII, so bytes). */
bool name_is_valid(struct slice name, size_t max);
bool name_has_prefix(struct slice name, const struct slice prefixes[], size_t n);

#endif
