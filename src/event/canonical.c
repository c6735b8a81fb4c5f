/* canonical.c - the one text of a value, and of an envelope */
#include "event/canonical.h"

#include <errno.h>
#include <stdlib.h>

#include "ga4/cookie.h"
#include "json/json_text.h"

enum { KEEP_ORDER = 4096, INSERTION_MAX = 16 };

void canonical_free(struct canonical *c)
{
	free(c->order);
	*c = (struct canonical){0};
}

void canonical_trim(struct canonical *c)
{
	if (c->cap > KEEP_ORDER)
		canonical_free(c);
}

static int reserve(struct canonical *c, size_t n)
{
	uint32_t *order;

	if (n <= c->cap)
		return 0;
	order = realloc(c->order, n * sizeof(*order));
	if (!order)
		return -ENOMEM;
	c->order = order;
	c->cap = n;
	return 0;
}

static int compare_keys(const struct json_doc *d, uint32_t a, uint32_t b)
{
	struct slice ka = json_name(d, &d->nodes[a]), kb = json_name(d, &d->nodes[b]);
	size_t n = ka.n < kb.n ? ka.n : kb.n;
	int r = n ? memcmp(ka.p, kb.p, n) : 0;

	return r ? r : (ka.n > kb.n) - (ka.n < kb.n);
}

static int compare_members(const void *a, const void *b, void *doc)
{
	return compare_keys(doc, *(const uint32_t *)a, *(const uint32_t *)b);
}

static void sort_members(const struct json_doc *d, uint32_t *order, size_t n)
{
	if (n > INSERTION_MAX) {
		qsort_r(order, n, sizeof(*order), compare_members, (void *)(uintptr_t)d);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		uint32_t member = order[i];
		size_t at = i;

		for (; at > 0 && compare_keys(d, order[at - 1], member) > 0; at--)
			order[at] = order[at - 1];
		order[at] = member;
	}
}

/* What a member means, where its text is not only copied. */
enum place { PLACE_PLAIN, PLACE_PROPERTIES, PLACE_PROPERTY };

static int append_value(struct canonical *c, const struct json_doc *d, const struct json_node *node, enum place place,
                        struct buf *out);

static int append_key(const struct json_doc *d, const struct json_node *node, bool first, struct buf *out)
{
	int r = first ? 0 : buf_append_char(out, ',');

	if (r == 0)
		r = json_text_append_string(out, json_name(d, node));
	return r < 0 ? r : buf_append_char(out, ':');
}

static int append_member(struct canonical *c, const struct json_doc *d, const struct json_node *node,
                         enum place place, struct buf *out)
{
	int64_t time_us;

	/* A property's time goes out as a whole number, however it was written (with validation off it may be none).
	 */
	if (place == PLACE_PROPERTY && slice_eq(json_name(d, node), SLICE_LIT("timestamp_micros")) &&
	    micros_read_time(d, node, &time_us) >= 0)
		return buf_append_i64(out, time_us);
	return append_value(c, d, node, place == PLACE_PROPERTIES ? PLACE_PROPERTY : PLACE_PLAIN, out);
}

static int append_object(struct canonical *c, const struct json_doc *d, const struct json_node *node,
                         enum place place, struct buf *out)
{
	size_t base = c->used, n = 0;
	int r = buf_append_char(out, '{');

	for (const struct json_node *m = json_first(d, node); m; m = json_next(d, node, m))
		c->order[base + n++] = (uint32_t)(m - d->nodes);
	sort_members(d, c->order + base, n);
	c->used = base + n;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct json_node *m = &d->nodes[c->order[base + i]];

		r = append_key(d, m, i == 0, out);
		if (r == 0)
			r = append_member(c, d, m, place, out);
	}
	c->used = base;
	return r < 0 ? r : buf_append_char(out, '}');
}

static int append_array(struct canonical *c, const struct json_doc *d, const struct json_node *node, struct buf *out)
{
	int r = buf_append_char(out, '[');
	bool first = true;

	for (const struct json_node *m = json_first(d, node); r == 0 && m; m = json_next(d, node, m)) {
		if (!first)
			r = buf_append_char(out, ',');
		first = false;
		if (r == 0)
			r = append_value(c, d, m, PLACE_PLAIN, out);
	}
	return r < 0 ? r : buf_append_char(out, ']');
}

/* ASCII letters only: what is folded is a hash or a state of consent. */
static int append_string(const struct json_doc *d, const struct json_node *node, struct buf *out)
{
	size_t at = out->len;
	int r = json_text_append_string(out, json_value(d, node));

	if (r < 0 || !(node->lower || node->upper))
		return r;
	for (; at < out->len; at++) {
		char c = out->data[at];

		if (node->lower && c >= 'A' && c <= 'Z')
			out->data[at] = (char)(c | 0x20);
		else if (node->upper && c >= 'a' && c <= 'z')
			out->data[at] = (char)(c & ~0x20);
	}
	return r;
}

/* Recursion ends at LIMIT_DEPTH: the parser saw to it. */
static int append_value(struct canonical *c, const struct json_doc *d, const struct json_node *node, enum place place,
                        struct buf *out)
{
	switch ((enum json_type)node->type) {
	case JSON_NULL:
		return buf_append_slice(out, SLICE_LIT("null"));
	case JSON_BOOL:
		return buf_append_slice(out, node->truth ? SLICE_LIT("true") : SLICE_LIT("false"));
	case JSON_NUMBER:
		return buf_append_slice(out, json_value(d, node));
	case JSON_STRING:
		return append_string(d, node, out);
	case JSON_OBJECT:
		return append_object(c, d, node, place, out);
	case JSON_ARRAY:
		return append_array(c, d, node, out);
	}
	return -EINVAL;
}

/* Members that GA4 does not know are here only with validation off: they are the request's. */
static bool belongs_to_envelope(const struct judge *j, const struct json_node *node)
{
	int member = name_index_find(&j->rules->root, json_name(j->doc, node));

	if (member < 0)
		return true;
	return root_rules[member].in_envelope || (member == ROOT_PARAMS && j->shape == SHAPE_PAYLOAD);
}

static int append_root_member(struct canonical *c, const struct judge *j, const struct json_node *node,
                              struct buf *out)
{
	bool client = node == j->root[ROOT_CLIENT_ID] && j->type == STREAM_WEB;

	if (client)
		return json_text_append_string(out, j->client);
	return append_value(c, j->doc, node, node == j->root[ROOT_USER_PROPERTIES] ? PLACE_PROPERTIES : PLACE_PLAIN,
	                    out);
}

int canonical_envelope(struct canonical *c, const struct judge *j, struct buf *out)
{
	const struct json_doc *d = j->doc;
	size_t n = 0;
	int r = reserve(c, d->n);

	if (r < 0)
		return r;
	for (const struct json_node *m = json_first(d, &d->nodes[0]); m; m = json_next(d, &d->nodes[0], m))
		if (belongs_to_envelope(j, m))
			c->order[n++] = (uint32_t)(m - d->nodes);
	sort_members(d, c->order, n);
	c->used = n;
	r = buf_append_char(out, '{');
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct json_node *m = &d->nodes[c->order[i]];

		r = append_key(d, m, i == 0, out);
		if (r == 0)
			r = append_root_member(c, j, m, out);
	}
	return r < 0 ? r : buf_append_char(out, '}');
}
