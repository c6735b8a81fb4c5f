/* id_list.c - lookups in arrays of ids in ascending order */
#include "base/collections/id_list.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

void id_list_sort(uint64_t *ids, size_t n)
{
	if (n > 0)
		qsort(ids, n, sizeof(*ids), compare);
}

bool id_list_has(const uint64_t *ids, size_t n, uint64_t id)
{
	return n > 0 && bsearch(&id, ids, n, sizeof(id), compare) != NULL;
}
