/* envelopes.h - the envelopes, each stored once, and a bounded cache of them */
#ifndef OUTBOX_STORE_ENVELOPES_H
#define OUTBOX_STORE_ENVELOPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/collections/hash.h"
#include "base/macros.h"
#include "base/slice.h"
#include "outbox/db/db.h"

/* Limits of the cache: it should hold 10,000 active clients and stay within the memory budget. */
enum { ENVELOPES_CACHE_MAX = 32768, ENVELOPES_CACHE_BYTES = 6 << 20 };

struct envelope;

/* The numbers in [base, base + span) that events use, while garbage collection runs
 * (garbage_collection.c). */
struct envelope_marks {
	bool active;
	uint64_t base, span;
	uint8_t *bits;
};

struct envelopes {
	struct hash_key key;
	struct envelope **by_hash, **by_id; /* hash chains with ENVELOPES_CACHE_MAX heads */
	struct envelope **slots;            /* for the clock algorithm */
	size_t n, hand, bytes;
	uint64_t next_id;
	struct envelope_marks marks;
};

int envelopes_init(struct envelopes *e, const struct hash_key *key, uint64_t next_id) MUST_CHECK;
void envelopes_free(struct envelopes *e);
/* Empties the cache, because after a rollback numbers in it may not exist. */
void envelopes_clear(struct envelopes *e);

/* Returns the number of an envelope, which is stored if it is new. Returns 0, -EIO with
 * db->trouble set, or -ENOMEM. */
int envelopes_intern(struct envelopes *e, struct db *db, uint32_t sid, struct slice body, struct slice client,
                     uint64_t *ret) MUST_CHECK;
/* Returns the envelope of a number. The slices are valid until the next call. -ENOENT: there is
 * none. */
int envelopes_get(struct envelopes *e, struct db *db, uint64_t id, struct slice *ret_body,
                  struct slice *ret_client) MUST_CHECK;
/* Removes an envelope from the cache after its row was deleted. */
void envelopes_forget(struct envelopes *e, uint64_t id);
static inline void envelopes_mark(struct envelope_marks *m, uint64_t id)
{
	if (m->active && id - m->base < m->span)
		m->bits[(id - m->base) / 8] |= (uint8_t)(1u << (id - m->base) % 8);
}
static inline bool envelopes_is_marked(const struct envelope_marks *m, uint64_t id)
{
	return m->bits[(id - m->base) / 8] & 1u << (id - m->base) % 8;
}

#endif
