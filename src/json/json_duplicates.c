/* json_duplicates.c - detection of duplicate member names in JSON objects
 *
 * Objects of up to COMPARED members compare names, and only if a 64-bit filter reports a
 * possible match. Members of larger objects go into one keyed hash table per document, so that a
 * line of 100,000 members takes 100,000 steps. */
#include "json/json_duplicates.h"

#include <errno.h>
#include <stdlib.h>

enum { COMPARED = 32, FIRST_SLOTS = 256, KEEP_SLOTS = 4096 };

int json_dup_init(struct json_dup *d)
{
	*d = (struct json_dup){0};
	hash_key_init(&d->key);
	return 0;
}

void json_dup_free(struct json_dup *d)
{
	free(d->slots);
	d->slots = NULL;
	d->cap = d->len = 0;
}

void json_dup_clear(struct json_dup *d)
{
	if (d->len == 0)
		return;
	if (d->cap > KEEP_SLOTS)
		json_dup_free(d);
	else
		memset(d->slots, 0, d->cap * sizeof(*d->slots));
	d->len = 0;
}

static uint32_t slot_of(const struct json_dup *d, uint32_t object, struct slice name)
{
	uint64_t h = hash_bytes(&d->key, name.p, name.n) ^ hash_u64(object);

	return (uint32_t)(h ^ (h >> 32)) & (d->cap - 1);
}

static void put_slot(struct json_dup *d, struct slice name, struct json_dup_slot slot)
{
	uint32_t i = slot_of(d, slot.object, name);

	while (d->slots[i].object)
		i = (i + 1) & (d->cap - 1);
	d->slots[i] = slot;
}

static int grow(struct json_dup *d, const struct json_doc *doc)
{
	struct json_dup old = *d;

	d->cap = old.cap ? old.cap * 2 : FIRST_SLOTS;
	d->slots = calloc(d->cap, sizeof(*d->slots));
	if (!d->slots) {
		*d = old;
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < old.cap; i++)
		if (old.slots[i].object)
			put_slot(d, json_key(doc, &doc->nodes[old.slots[i].member]), old.slots[i]);
	free(old.slots);
	return 0;
}

static int insert(struct json_dup *d, const struct json_doc *doc, uint32_t object, uint32_t member, struct slice name)
{
	if (d->len >= d->cap / 2) {
		int r = grow(d, doc);

		if (r < 0)
			return r;
	}
	put_slot(d, name, (struct json_dup_slot){object + 1, member});
	d->len++;
	return 0;
}

static bool in_table(const struct json_dup *d, const struct json_doc *doc, uint32_t object, struct slice name)
{
	for (uint32_t i = slot_of(d, object + 1, name); d->slots[i].object; i = (i + 1) & (d->cap - 1))
		if (d->slots[i].object == object + 1 &&
		    slice_eq(json_key(doc, &doc->nodes[d->slots[i].member]), name))
			return true;
	return false;
}

static bool among_members(const struct json_doc *doc, const struct json_node *object, struct slice name)
{
	/* object->end is not set yet, but all nodes after the object are its members. */
	for (uint32_t i = (uint32_t)(object - doc->nodes) + 1; i < doc->n; i = doc->nodes[i].end)
		if (slice_eq(json_key(doc, &doc->nodes[i]), name))
			return true;
	return false;
}

static int move_to_table(struct json_dup *d, const struct json_doc *doc, uint32_t object)
{
	for (uint32_t i = object + 1; i < doc->n; i = doc->nodes[i].end) {
		int r = insert(d, doc, object, i, json_key(doc, &doc->nodes[i]));

		if (r < 0)
			return r;
	}
	return 0;
}

int json_dup_check(struct json_dup *d, const struct json_doc *doc, uint32_t object, unsigned level, struct slice name)
{
	const struct json_node *node = &doc->nodes[object];
	unsigned hint = name.n ? (unsigned)name.n * 7 + (unsigned char)name.p[0] * 13 +
	                                 (unsigned char)name.p[name.n - 1] * 31 + (unsigned char)name.p[name.n / 2]
	                       : 0;
	uint64_t bit = UINT64_C(1) << (hint & 63);
	bool maybe = d->seen[level] & bit;
	int r;

	d->seen[level] |= bit;
	if (node->count < COMPARED)
		return maybe && among_members(doc, node, name) ? -EEXIST : 0;
	if (node->count == COMPARED) {
		r = move_to_table(d, doc, object);
		if (r < 0)
			return r;
	}
	if (in_table(d, doc, object, name))
		return -EEXIST;
	/* The member's node will be the next one added. */
	return insert(d, doc, object, doc->n, name);
}
