/* json_tree.h - a parsed JSON document as a flat array of nodes in document order */
#ifndef JSON_JSON_TREE_H
#define JSON_JSON_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_OBJECT, JSON_ARRAY };

/* Offsets are into doc->text, or into doc->decoded where a flag says so. */
struct json_node {
	uint32_t raw_off, raw_len; /* the value as written, with quotes or brackets */
	uint32_t key_off, key_len; /* decoded member name; key_len 0 and !is_member: an array element or the root */
	uint32_t val_off, val_len; /* JSON_STRING: decoded; JSON_NUMBER: as written */
	uint32_t end;              /* index of the first node after this one's subtree: its next sibling, if any */
	uint32_t count;            /* number of members or elements */
	uint8_t type;              /* enum json_type */
	bool truth;                /* JSON_BOOL */
	bool is_member : 1;
	bool key_decoded : 1; /* the key is in doc->decoded */
	bool val_decoded : 1; /* the value is in doc->decoded */
};

struct json_doc {
	struct slice text;
	const char *decoded;
	/* nodes[0] is the root; the children of node i start at i + 1 */
	const struct json_node *nodes;
	uint32_t n;
};

static inline struct slice json_raw(const struct json_doc *d, const struct json_node *n)
{
	return (struct slice){d->text.p + n->raw_off, n->raw_len};
}
static inline struct slice json_key(const struct json_doc *d, const struct json_node *n)
{
	return (struct slice){(n->key_decoded ? d->decoded : d->text.p) + n->key_off, n->key_len};
}
static inline struct slice json_value(const struct json_doc *d, const struct json_node *n)
{
	return (struct slice){(n->val_decoded ? d->decoded : d->text.p) + n->val_off, n->val_len};
}
/* Iterates over children: `for (const struct json_node *m = json_first(d, obj); m; m =
 * json_next(d, obj, m))` */
static inline const struct json_node *json_first(const struct json_doc *d, const struct json_node *parent)
{
	return parent->count ? &d->nodes[(uint32_t)(parent - d->nodes) + 1] : NULL;
}
static inline const struct json_node *json_next(const struct json_doc *d, const struct json_node *parent,
                                                const struct json_node *at)
{
	return at->end < parent->end ? &d->nodes[at->end] : NULL;
}
/* Returns the member of that name, or NULL. */
const struct json_node *json_member(const struct json_doc *d, const struct json_node *object, const char *name);

#endif
