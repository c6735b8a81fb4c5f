/* tally.h - counts by key, with a bound on the keys: what `count --by` gathers */
#ifndef BASE_COLLECTIONS_TALLY_H
#define BASE_COLLECTIONS_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/collections/hash.h"
#include "base/macros.h"
#include "base/slice.h"

enum { TALLY_KEYS_MAX = 10000 }; /* whoever writes events chooses the names; the rest is counted as "(other)" */

struct tally_entry {
	char *key;
	size_t key_n;
	uint64_t count;
	uint64_t rank; /* orders entries of keys that are no names (ages); 0 otherwise */
};
struct tally {
	struct tally_entry *entries; /* in order of appearance until tally_sort() */
	size_t n, cap;
	uint32_t *slots; /* index of an entry plus one; n_slots is 0 or a power of two */
	size_t n_slots;
	struct hash_key hash;
	uint64_t other; /* beyond TALLY_KEYS_MAX */
};

void tally_init(struct tally *t);
void tally_free(struct tally *t);
/* 0 or -ENOMEM. */
int tally_add(struct tally *t, struct slice key, uint64_t rank, uint64_t n) MUST_CHECK;
/* By rank, then the greatest count first, then by key. Nothing may be added afterwards. */
void tally_sort(struct tally *t);

/* The doubling bucket of an age: "<1m" "<2m" "<4m" …; *ret_rank orders them. buf of 16 bytes; returns buf. */
const char *tally_age_key(int64_t age_us, char buf[16], uint64_t *ret_rank);

#endif
