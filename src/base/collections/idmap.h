/* idmap.h - a hash map from ids to pointers, with open addressing */
#ifndef BASE_COLLECTIONS_IDMAP_H
#define BASE_COLLECTIONS_IDMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct idmap {
	uint64_t *keys; /* 0 marks an empty slot, because ids start at 1 */
	void **values;
	size_t cap, len; /* cap is 0 or a power of two */
};

void idmap_init(struct idmap *m);
void idmap_free(struct idmap *m);
/* Adds the key or replaces its value; id must not be 0, value not NULL. Returns 0 or -ENOMEM. */
int idmap_put(struct idmap *m, uint64_t id, void *value) MUST_CHECK;
/* Adds the key unless it exists. Returns 1 if added, 0 if the key exists (its value is
 * unchanged), or -ENOMEM. */
int idmap_add(struct idmap *m, uint64_t id, void *value) MUST_CHECK;
/* Returns NULL if the id is missing, which is normal. */
void *idmap_get(const struct idmap *m, uint64_t id);
/* Replaces the value of an existing key. */
void idmap_replace(struct idmap *m, uint64_t id, void *value);
/* Returns the removed value, or NULL. */
void *idmap_remove(struct idmap *m, uint64_t id);
/* Iterates in no particular order: `size_t at = 0; while ((v = idmap_next(&m, &at, &id)))`. Do
 * not put or remove during the iteration. */
void *idmap_next(const struct idmap *m, size_t *at, uint64_t *ret_id);

#endif
