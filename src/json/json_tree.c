/* json_tree.c - lookups in a parsed JSON document */
#include "json/json_tree.h"

const struct json_node *json_member(const struct json_doc *d, const struct json_node *object, const char *name)
{
	struct slice wanted = slice_of(name);

	for (const struct json_node *m = json_first(d, object); m; m = json_next(d, object, m))
		if (slice_eq(json_key(d, m), wanted))
			return m;
	return NULL;
}
