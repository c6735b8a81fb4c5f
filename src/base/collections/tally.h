/* tally.h - counts by key for `count --by`, with a limit on the number of keys */
#ifndef BASE_COLLECTIONS_TALLY_H
#define BASE_COLLECTIONS_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/collections/hash.h"
#include "base/macros.h"
#include "base/slice.h"

/* Clients choose the names, so their number is limited; further names count as "(other)" */
enum { TALLY_KEYS_MAX = 10000 };

struct tally_entry {
	char *key;
	size_t key_n;
	uint64_t count;
	uint64_t rank; /* sort order of keys that are not names (ages); otherwise 0 */
};
struct tally {
	struct tally_entry *entries; /* in order of appearance until tally_sort() */
	size_t n, cap;
	uint32_t *slots; /* index of an entry plus one; n_slots is 0 or a power of two */
	size_t n_slots;
	struct hash_key hash;
	uint64_t other; /* count of all keys beyond TALLY_KEYS_MAX */
};

void tally_init(struct tally *t);
void tally_free(struct tally *t);
/* Adds n to the key's count. Returns 0 or -ENOMEM. */
int tally_add(struct tally *t, struct slice key, uint64_t rank, uint64_t n) MUST_CHECK;
/* Sorts by rank, then by descending count, then by key. Do not add entries afterwards. */
void tally_sort(struct tally *t);

/* Returns the age bucket, each twice as wide as the one before: "<1m" "<2m" "<4m" …; *ret_rank
 * is its sort order. buf has 16 bytes and is returned. */
const char *tally_age_key(int64_t age_us, char buf[16], uint64_t *ret_rank);

#endif
