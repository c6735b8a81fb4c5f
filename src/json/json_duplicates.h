/* json_duplicates.h - detection of duplicate member names, linear even for hostile objects */
#ifndef JSON_JSON_DUPLICATES_H
#define JSON_JSON_DUPLICATES_H

#include <stdint.h>

#include "base/collections/hash.h"
#include "base/macros.h"
#include "json/json_tree.h"

enum { JSON_DUP_DEPTH = 32 };

struct json_dup_slot {
	uint32_t object; /* node index of the object, plus one; 0: empty slot */
	uint32_t member;
};

struct json_dup {
	/* Per level: one bit per name seen, so that most names need no comparison */
	uint64_t seen[JSON_DUP_DEPTH];
	/* Members of objects too large to compare; cap is 0 or a power of two */
	struct json_dup_slot *slots;
	uint32_t cap, len;
	struct hash_key key;
};

int json_dup_init(struct json_dup *d) MUST_CHECK;
void json_dup_free(struct json_dup *d);
/* Call before each document. */
void json_dup_clear(struct json_dup *d);
/* Starts an object at that level (0: the root). */
static inline void json_dup_open(struct json_dup *d, unsigned level)
{
	d->seen[level] = 0;
}
/* Call before the member is added to doc. Returns 0, -EEXIST (duplicate) or -ENOMEM. */
int json_dup_check(struct json_dup *d, const struct json_doc *doc, uint32_t object, unsigned level,
                   struct slice name) MUST_CHECK;

#endif
