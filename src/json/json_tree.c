/* json_tree.c - looking things up in a parsed document, and editing it */
#include "json/json_tree.h"

const struct json_node *json_member(const struct json_doc *d, const struct json_node *object, const char *name)
{
	struct slice wanted = slice_of(name);

	for (const struct json_node *m = json_first(d, object); m; m = json_next(d, object, m))
		if (slice_eq(json_name(d, m), wanted))
			return m;
	return NULL;
}

void json_drop(const struct json_node *parent, const struct json_node *node)
{
	json_editable(node)->absent = true;
	json_editable(parent)->count--;
	json_editable(parent)->edited = true;
}

void json_rename(const struct json_doc *d, const struct json_node *node, const struct slice *names, uint8_t index)
{
	((struct json_doc *)(uintptr_t)d)->names = names;
	json_editable(node)->alias = (uint8_t)(index + 1);
}

void json_narrow(const struct json_doc *d, const struct json_node *node, struct slice part)
{
	struct json_node *n = json_editable(node);

	n->val_off += (uint32_t)(part.p - json_value(d, node).p);
	n->val_len = (uint32_t)part.n;
	n->edited = true;
}
