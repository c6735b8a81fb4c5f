/* json_duplicates.h - has this object a member of that name already? Cheap for small objects, linear for hostile ones
 */
#ifndef JSON_JSON_DUPLICATES_H
#define JSON_JSON_DUPLICATES_H

#include <stdint.h>

#include "base/collections/hash.h"
#include "base/macros.h"
#include "json/json_tree.h"

enum { JSON_DUP_DEPTH = 32 };

struct json_dup_slot {
	uint32_t object; /* node of the object, plus one; 0: empty */
	uint32_t member;
};

struct json_dup {
	uint64_t seen[JSON_DUP_DEPTH]; /* per level: a bit for each name so far, so that most names need no comparing
	                                */
	struct json_dup_slot *slots;   /* members of objects that outgrew comparing; cap is 0 or a power of two */
	uint32_t cap, len;
	struct hash_key key;
};

int json_dup_init(struct json_dup *d) MUST_CHECK;
void json_dup_free(struct json_dup *d);
/* Before each document. */
void json_dup_clear(struct json_dup *d);
/* An object begins at that level (0: the root). */
static inline void json_dup_open(struct json_dup *d, unsigned level)
{
	d->seen[level] = 0;
}
/* Before the member is added to doc. 0, -EEXIST, -ENOMEM. */
int json_dup_check(struct json_dup *d, const struct json_doc *doc, uint32_t object, unsigned level,
                   struct slice name) MUST_CHECK;

#endif
