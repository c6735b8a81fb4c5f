/* tally.c - counts by key, with a limit on the number of keys */
#include "base/collections/tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void tally_init(struct tally *t)
{
	*t = (struct tally){0};
	hash_key_init(&t->hash);
}

void tally_free(struct tally *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->entries[i].key);
	free(t->entries);
	free(t->slots);
	*t = (struct tally){0};
}

/* Returns the key's slot, or the empty slot where it belongs. */
static uint32_t *find_slot(const struct tally *t, struct slice key)
{
	size_t i = hash_bytes(&t->hash, key.p, key.n) & (t->n_slots - 1);

	while (t->slots[i]) {
		const struct tally_entry *e = &t->entries[t->slots[i] - 1];

		if (slice_eq((struct slice){e->key, e->key_n}, key))
			break;
		i = (i + 1) & (t->n_slots - 1);
	}
	return &t->slots[i];
}

static int grow(struct tally *t)
{
	size_t cap = t->cap ? t->cap * 2 : 16;
	struct tally_entry *entries = realloc(t->entries, cap * sizeof(*entries));
	uint32_t *slots;

	if (!entries)
		return -ENOMEM;
	t->entries = entries;
	slots = calloc(cap * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->n_slots = cap * 2;
	t->cap = cap;
	for (size_t i = 0; i < t->n; i++)
		*find_slot(t, (struct slice){t->entries[i].key, t->entries[i].key_n}) = (uint32_t)(i + 1);
	return 0;
}

static int add_entry(struct tally *t, struct slice key, uint64_t rank, uint64_t n)
{
	struct tally_entry *e;
	int r = t->n == t->cap ? grow(t) : 0;

	if (r < 0)
		return r;
	e = &t->entries[t->n];
	*e = (struct tally_entry){.key = malloc(key.n + 1), .key_n = key.n, .count = n, .rank = rank};
	if (!e->key)
		return -ENOMEM;
	if (key.n)
		memcpy(e->key, key.p, key.n);
	e->key[key.n] = '\0';
	*find_slot(t, key) = (uint32_t)++t->n;
	return 0;
}

int tally_add(struct tally *t, struct slice key, uint64_t rank, uint64_t n)
{
	uint32_t *slot = t->n_slots ? find_slot(t, key) : NULL;

	if (slot && *slot) {
		t->entries[*slot - 1].count += n;
		return 0;
	}
	if (t->n >= TALLY_KEYS_MAX) {
		t->other += n;
		return 0;
	}
	return add_entry(t, key, rank, n);
}

static int compare(const void *left, const void *right)
{
	const struct tally_entry *a = left, *b = right;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return strcmp(a->key, b->key);
}

void tally_sort(struct tally *t)
{
	if (t->n > 0)
		qsort(t->entries, t->n, sizeof(*t->entries), compare);
}

const char *tally_age_key(int64_t age_us, char buf[16], uint64_t *ret_rank)
{
	uint32_t minutes = 1;
	uint64_t rank = 1;

	/* 2^30 minutes are two thousand years. */
	while (rank < 31 && age_us >= (int64_t)minutes * US_PER_MIN) {
		minutes *= 2;
		rank++;
	}
	snprintf(buf, 16, "<%" PRIu32 "m", minutes);
	*ret_rank = rank;
	return buf;
}
