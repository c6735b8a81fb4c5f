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
	bool key_decoded : 1; /* key lies in doc->decoded */
	bool val_decoded : 1; /* value lies in doc->decoded */
	/* Set by the edits below, where a line means something else than it says. */
	bool absent : 1; /* left out: no walk finds it */
	bool edited : 1; /* the raw text does not show the value: members were left out, or it was replaced */
	bool lower : 1;  /* JSON_STRING: its value in lower case is meant */
	bool twin : 1;   /* a member that was there before, by its other name */
	bool upper : 1;  /* JSON_STRING: its value in upper case is meant */
	uint8_t alias;   /* the member's meant name: 1 + index into doc->names; 0: as written */
};

struct json_doc {
	struct slice text;
	const char *decoded;
	/* nodes[0] is the root; the children of node i start at i + 1 */
	const struct json_node *nodes;
	uint32_t n;
	const struct slice *names; /* what alias refers to; set with the first alias */
};

static inline struct slice json_raw(const struct json_doc *d, const struct json_node *n)
{
	return (struct slice){d->text.p + n->raw_off, n->raw_len};
}
static inline struct slice json_key(const struct json_doc *d, const struct json_node *n)
{
	return (struct slice){(n->key_decoded ? d->decoded : d->text.p) + n->key_off, n->key_len};
}
/* The name that is meant: differs from the key as written where json_rename() was called. */
static inline struct slice json_name(const struct json_doc *d, const struct json_node *n)
{
	return n->alias ? d->names[n->alias - 1] : json_key(d, n);
}
static inline struct slice json_value(const struct json_doc *d, const struct json_node *n)
{
	return (struct slice){(n->val_decoded ? d->decoded : d->text.p) + n->val_off, n->val_len};
}
/* The first node from `at` on, a child of parent, that was not left out. */
static inline const struct json_node *json_present(const struct json_doc *d, const struct json_node *parent,
                                                   uint32_t at)
{
	while (at < parent->end && d->nodes[at].absent)
		at = d->nodes[at].end;
	return at < parent->end ? &d->nodes[at] : NULL;
}
/* `for (const struct json_node *m = json_first(d, obj); m; m = json_next(d, obj, m))` */
static inline const struct json_node *json_first(const struct json_doc *d, const struct json_node *parent)
{
	return json_present(d, parent, (uint32_t)(parent - d->nodes) + 1);
}
static inline const struct json_node *json_next(const struct json_doc *d, const struct json_node *parent,
                                                const struct json_node *at)
{
	return json_present(d, parent, at->end);
}
/* The member that is meant by that name, or NULL. */
const struct json_node *json_member(const struct json_doc *d, const struct json_node *object, const char *name);

/* ---- edits: the nodes are the reader's own memory, so a const pointer to one may be written through here ---- */

static inline struct json_node *json_editable(const struct json_node *n)
{
	return (struct json_node *)(uintptr_t)n;
}
/* Leaves a member or an element out. */
void json_drop(const struct json_node *parent, const struct json_node *node);
/* names[index] is what the member is meant to be called; one table of names per document. */
void json_rename(const struct json_doc *d, const struct json_node *node, const struct slice *names, uint8_t index);
/* A string's value becomes that part of it. */
void json_narrow(const struct json_doc *d, const struct json_node *node, struct slice part);

#endif
