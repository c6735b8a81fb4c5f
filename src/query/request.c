/* request.c - a request of ga4relay-ctl: a JSON object whose members are read by name */
#include "query/request.h"

#include <errno.h>
#include <stdlib.h>

#include "base/parse.h"

struct slice request_text(const struct request *r, const char *name)
{
	const struct json_node *m = json_member(r->doc, r->doc->nodes, name);

	return m && m->type == JSON_STRING ? json_value(r->doc, m) : (struct slice){NULL, 0};
}

bool request_flag(const struct request *r, const char *name)
{
	const struct json_node *m = json_member(r->doc, r->doc->nodes, name);

	return m && m->type == JSON_BOOL && m->truth;
}

int request_u64(const struct request *r, const char *name, uint64_t *ret, struct err *err)
{
	const struct json_node *m = json_member(r->doc, r->doc->nodes, name);

	if (!m)
		return 0;
	if (m->type != JSON_NUMBER || parse_u64(json_value(r->doc, m), ret) < 0)
		return err_set(err, -EINVAL, "request: %s is not a whole number", name);
	return 0;
}

int request_ids(const struct request *r, uint64_t **ret, size_t *ret_n, struct err *err)
{
	const struct json_node *list = json_member(r->doc, r->doc->nodes, "ids");
	uint64_t *ids;
	size_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	if (!list || list->type != JSON_ARRAY || list->count == 0)
		return 0;
	if (list->count > QUERY_IDS_MAX)
		return err_set(err, -EINVAL, "request: more than %d ids", QUERY_IDS_MAX);
	ids = calloc(list->count, sizeof(*ids));
	if (!ids)
		return err_set(err, -ENOMEM, "out of memory");
	for (const struct json_node *m = json_first(r->doc, list); m; m = json_next(r->doc, list, m)) {
		if (m->type != JSON_NUMBER || parse_u64(json_value(r->doc, m), &ids[n]) < 0) {
			free(ids);
			return err_set(err, -EINVAL, "request: an id is not a whole number");
		}
		n++;
	}
	*ret = ids;
	*ret_n = n;
	return 0;
}
