/* key.c - an event's content in one number, and its client's lane */
#include "fleet/key.h"

#include <endian.h>

#include "base/collections/hash.h"
#include "fleet/sql.h"

/* Any two numbers: each relay must have the same. */
static const struct hash_key seed = {UINT64_C(0x6761347265667469), UINT64_C(0x666c656574206b31)};

/* A part's length is part of the hash, so that no two divisions of the same bytes are equal. */
static uint64_t add(uint64_t hash, const void *p, size_t n)
{
	const struct hash_key key = {seed.k0 ^ hash, seed.k1 ^ n};

	return hash_bytes(&key, p, n);
}

int64_t fleet_content_hash(const struct forward_event *e)
{
	const struct event *event = &e->sub->events[e->index];
	const uint64_t times[] = {htole64((uint64_t)e->sub->accepted_us), htole64((uint64_t)event->time_us),
	                          htole64((uint64_t)event->props_us)};
	struct slice stream = slice_of(e->stream);
	uint64_t hash = add(0, stream.p, stream.n);

	hash = add(hash, e->sub->envelope.p, e->sub->envelope.n);
	hash = add(hash, event->body.p, event->body.n);
	return (int64_t)add(hash, times, sizeof(times));
}

int64_t fleet_lane(const struct forward_event *e)
{
	struct slice stream = slice_of(e->stream), client = e->sub->client;

	return (int64_t)(add(add(0, stream.p, stream.n), client.p, client.n) % FLEET_LANES);
}
