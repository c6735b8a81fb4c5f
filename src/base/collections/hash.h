/* hash.h - a keyed 64-bit hash whose collisions a client cannot predict (SipHash-1-3) */
#ifndef BASE_COLLECTIONS_HASH_H
#define BASE_COLLECTIONS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

/* Draws a key from random_bytes(); use one key per table. */
void hash_key_init(struct hash_key *key);
uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t n);
/* A cheap unkeyed hash for integers that this program numbers itself. */
static inline uint64_t hash_u64(uint64_t v)
{
	v ^= v >> 32;
	v *= UINT64_C(0x9e3779b97f4a7c15);
	return v ^ (v >> 29);
}

#endif
