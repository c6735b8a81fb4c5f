/* hash.c - SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF") */
#include "base/collections/hash.h"

#include <endian.h>
#include <string.h>

#include "base/random.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate_left(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 = rotate_left(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

void hash_key_init(struct hash_key *key)
{
	random_bytes(key, sizeof(*key));
}

uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t n)
{
	/* The constants spell "somepseudorandomlygeneratedbytes". */
	struct sip s = {
	        .v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
	        .v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
	        .v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
	        .v3 = key->k1 ^ UINT64_C(0x7465646279746573),
	};
	const unsigned char *at = p;
	uint64_t word, last = (uint64_t)n << 56;
	size_t left;

	for (left = n; left >= 8; left -= 8, at += 8) {
		memcpy(&word, at, 8);
		sip_word(&s, le64toh(word));
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)at[i] << (8 * i);
	sip_word(&s, last);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
