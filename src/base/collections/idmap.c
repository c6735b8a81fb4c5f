/* idmap.c - a hash map from ids to pointers, with open addressing */
#include "base/collections/idmap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/collections/hash.h"

enum { FIRST_CAP = 64 };

void idmap_init(struct idmap *m)
{
	*m = (struct idmap){0};
}

void idmap_free(struct idmap *m)
{
	free(m->keys);
	free(m->values);
	idmap_init(m);
}

/* Ids are mostly added and removed in sequence. Eight consecutive ids share a cache line, and
 * these groups of eight are spread over the table. The multiplication leaves the best bits on
 * top, and hash_u64() folds them down. */
static inline size_t home_of(const struct idmap *m, uint64_t id)
{
	return ((size_t)hash_u64(id >> 3) << 3 | (id & 7)) & (m->cap - 1);
}

/* Returns the slot that holds id, or the empty slot where it belongs. The map is never full. */
static size_t find_place(const struct idmap *m, uint64_t id)
{
	size_t at = home_of(m, id);

	while (m->keys[at] != 0 && m->keys[at] != id)
		at = (at + 1) & (m->cap - 1);
	return at;
}

static int grow(struct idmap *m)
{
	struct idmap bigger = {.cap = m->cap ? m->cap * 2 : FIRST_CAP, .len = m->len};

	bigger.keys = calloc(bigger.cap, sizeof(*bigger.keys));
	bigger.values = malloc(bigger.cap * sizeof(*bigger.values));
	if (!bigger.keys || !bigger.values) {
		idmap_free(&bigger);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->cap; i++) {
		size_t at;

		if (m->keys[i] == 0)
			continue;
		at = find_place(&bigger, m->keys[i]);
		bigger.keys[at] = m->keys[i];
		bigger.values[at] = m->values[i];
	}
	free(m->keys);
	free(m->values);
	*m = bigger;
	return 0;
}

/* Grows the table when it is three quarters full, so that probes stay short. */
static int make_room(struct idmap *m)
{
	return m->len + 1 > m->cap / 4 * 3 ? grow(m) : 0;
}

int idmap_add(struct idmap *m, uint64_t id, void *value)
{
	int r = make_room(m);
	size_t at;

	if (r < 0)
		return r;
	at = find_place(m, id);
	if (m->keys[at] != 0)
		return 0;
	m->keys[at] = id;
	m->values[at] = value;
	m->len++;
	return 1;
}

int idmap_put(struct idmap *m, uint64_t id, void *value)
{
	int r = idmap_add(m, id, value);

	if (r == 0)
		idmap_replace(m, id, value);
	return r < 0 ? r : 0;
}

void idmap_replace(struct idmap *m, uint64_t id, void *value)
{
	m->values[find_place(m, id)] = value;
}

void *idmap_get(const struct idmap *m, uint64_t id)
{
	size_t at;

	if (m->len == 0 || id == 0)
		return NULL;
	at = find_place(m, id);
	return m->keys[at] ? m->values[at] : NULL;
}

/* Moves entries back into the empty slot at `hole`, so that every entry stays reachable from its
 * home slot. */
static void close_hole(struct idmap *m, size_t hole)
{
	size_t mask = m->cap - 1;

	for (size_t at = (hole + 1) & mask; m->keys[at] != 0; at = (at + 1) & mask) {
		size_t from_home = (at - home_of(m, m->keys[at])) & mask;

		if (from_home < ((at - hole) & mask))
			continue; /* its home lies after the hole, so it stays */
		m->keys[hole] = m->keys[at];
		m->values[hole] = m->values[at];
		hole = at;
	}
	m->keys[hole] = 0;
}

void *idmap_remove(struct idmap *m, uint64_t id)
{
	void *value;
	size_t at;

	if (m->len == 0 || id == 0)
		return NULL;
	at = find_place(m, id);
	if (m->keys[at] == 0)
		return NULL;
	value = m->values[at];
	close_hole(m, at);
	m->len--;
	return value;
}

void *idmap_next(const struct idmap *m, size_t *at, uint64_t *ret_id)
{
	while (*at < m->cap) {
		size_t i = (*at)++;

		if (m->keys[i] == 0)
			continue;
		*ret_id = m->keys[i];
		return m->values[i];
	}
	return NULL;
}
