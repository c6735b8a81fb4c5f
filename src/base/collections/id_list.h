/* id_list.h - arrays of ids in ascending order */
#ifndef BASE_COLLECTIONS_ID_LIST_H
#define BASE_COLLECTIONS_ID_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void id_list_sort(uint64_t *ids, size_t n);
/* True if id is in ids. ids must be ascending, and may be NULL when n is 0. */
bool id_list_has(const uint64_t *ids, size_t n, uint64_t id);

#endif
