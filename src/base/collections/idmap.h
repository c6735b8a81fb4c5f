/* idmap.h - ids to pointers: open addressing, linear probing, backward-shift deletion */
#ifndef BASE_COLLECTIONS_IDMAP_H
#define BASE_COLLECTIONS_IDMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct idmap {
	uint64_t *keys; /* 0 is an empty place: ids start at 1 */
	void **values;
	size_t cap, len; /* cap is 0 or a power of two */
};

void idmap_init(struct idmap *m);
void idmap_free(struct idmap *m);
/* 0 or -ENOMEM; replaces the value of a key that is there. id != 0, value != NULL. */
int idmap_put(struct idmap *m, uint64_t id, void *value) MUST_CHECK;
/* 1: is there now; 0: an older value was there and stays; -ENOMEM. */
int idmap_add(struct idmap *m, uint64_t id, void *value) MUST_CHECK;
/* NULL when missing: a missing id is normal. */
void *idmap_get(const struct idmap *m, uint64_t id);
/* The key must be there. */
void idmap_replace(struct idmap *m, uint64_t id, void *value);
/* The removed value, or NULL. */
void *idmap_remove(struct idmap *m, uint64_t id);
/* Walks in no order: `size_t at = 0; while ((v = idmap_next(&m, &at, &id)))`; no put or remove meanwhile. */
void *idmap_next(const struct idmap *m, size_t *at, uint64_t *ret_id);

#endif
