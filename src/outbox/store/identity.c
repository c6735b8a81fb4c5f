/* identity.c - the outbox's uuid: made with it, and anew when a copy is recognised */
#include <endian.h>
#include <string.h>

#include "base/random.h"
#include "outbox/store/store_private.h"

static void get(const struct store *st, int key, uint8_t uuid[16])
{
	const uint64_t halves[2] = {htobe64((uint64_t)st->counters.now[key]),
	                            htobe64((uint64_t)st->counters.now[key + 1])};

	memcpy(uuid, halves, sizeof(halves));
}

static void copy(struct store *st, int to, int from)
{
	stored_counters_set(&st->counters, to, st->counters.now[from]);
	stored_counters_set(&st->counters, to + 1, st->counters.now[from + 1]);
}

/* Random, with the bits of RFC 9562 that say so. */
static void draw(struct store *st)
{
	uint64_t high = (random_u64() & ~UINT64_C(0xf000)) | 0x4000;
	uint64_t low = (random_u64() >> 2) | UINT64_C(1) << 63;

	stored_counters_set(&st->counters, STORED_UUID, (int64_t)high);
	stored_counters_set(&st->counters, STORED_UUID + 1, (int64_t)low);
}

void store_begin_identity(struct store *st)
{
	if (st->counters.now[STORED_UUID] == 0)
		draw(st);
}

void store_renew_identity(struct store *st)
{
	copy(st, STORED_UUID_FORMER, STORED_UUID);
	draw(st);
	stored_counters_set(&st->counters, STORED_UUID_SINCE, st->counters.now[STORED_NEXT_ID]);
}

void store_get_identity(const struct store *st, struct outbox_identity *ret)
{
	get(st, STORED_UUID, ret->uuid);
	get(st, STORED_UUID_FORMER, ret->former);
	ret->since = (uint64_t)st->counters.now[STORED_UUID_SINCE];
}
