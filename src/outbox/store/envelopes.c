/* envelopes.c - the envelopes, each stored once, and a bounded cache of them */
#include "outbox/store/envelopes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct envelope {
	struct envelope *next_hash, *next_id;
	uint64_t id, hash;
	uint32_t sid, slot;
	bool used; /* since the clock hand passed */
	uint32_t body_len, client_len;
	char bytes[]; /* body, then client */
};

static struct slice body_of(const struct envelope *v)
{
	return (struct slice){v->bytes, v->body_len};
}

static struct slice client_of(const struct envelope *v)
{
	return (struct slice){v->bytes + v->body_len, v->client_len};
}

static size_t size_of(const struct envelope *v)
{
	return sizeof(*v) + v->body_len + v->client_len;
}

static size_t head_of(uint64_t hash)
{
	return (size_t)(hash % ENVELOPES_CACHE_MAX);
}

int envelopes_init(struct envelopes *e, const struct hash_key *key, uint64_t next_id)
{
	*e = (struct envelopes){.key = *key, .next_id = next_id};
	e->by_hash = calloc(ENVELOPES_CACHE_MAX, sizeof(struct envelope *));
	e->by_id = calloc(ENVELOPES_CACHE_MAX, sizeof(struct envelope *));
	e->slots = calloc(ENVELOPES_CACHE_MAX, sizeof(struct envelope *));
	if (e->by_hash && e->by_id && e->slots)
		return 0;
	envelopes_free(e);
	return -ENOMEM;
}

static void unlink_chains(struct envelopes *e, struct envelope *v)
{
	struct envelope **at;

	for (at = &e->by_hash[head_of(v->hash)]; *at != v; at = &(*at)->next_hash)
		;
	*at = v->next_hash;
	for (at = &e->by_id[head_of(hash_u64(v->id))]; *at != v; at = &(*at)->next_id)
		;
	*at = v->next_id;
}

static void evict(struct envelopes *e, struct envelope *v)
{
	unlink_chains(e, v);
	e->n--;
	e->bytes -= size_of(v);
	e->slots[v->slot] = e->slots[e->n];
	e->slots[v->slot]->slot = v->slot;
	e->slots[e->n] = NULL;
	free(v);
}

static void make_room(struct envelopes *e, size_t size)
{
	while (e->n > 0 && (e->n >= ENVELOPES_CACHE_MAX || e->bytes + size > ENVELOPES_CACHE_BYTES)) {
		struct envelope *v;

		if (e->hand >= e->n)
			e->hand = 0;
		v = e->slots[e->hand];
		if (!v->used)
			evict(e, v);
		else
			v->used = false;
		e->hand++;
	}
}

/* Adds a copy to the cache. Returns NULL if out of memory, which callers can ignore. */
static struct envelope *add(struct envelopes *e, uint64_t id, uint64_t hash, uint32_t sid, struct slice body,
                            struct slice client)
{
	struct envelope *v;
	size_t size = sizeof(*v) + body.n + client.n;

	make_room(e, size);
	v = malloc(size);
	if (!v)
		return NULL;
	*v = (struct envelope){.id = id,
	                       .hash = hash,
	                       .sid = sid,
	                       .slot = (uint32_t)e->n,
	                       .used = true,
	                       .body_len = (uint32_t)body.n,
	                       .client_len = (uint32_t)client.n};
	if (body.n)
		memcpy(v->bytes, body.p, body.n);
	if (client.n)
		memcpy(v->bytes + body.n, client.p, client.n);
	v->next_hash = e->by_hash[head_of(hash)];
	e->by_hash[head_of(hash)] = v;
	v->next_id = e->by_id[head_of(hash_u64(id))];
	e->by_id[head_of(hash_u64(id))] = v;
	e->slots[e->n++] = v;
	e->bytes += size;
	return v;
}

static struct envelope *find_bytes(struct envelopes *e, uint64_t hash, uint32_t sid, struct slice body)
{
	struct envelope *v;

	for (v = e->by_hash[head_of(hash)]; v; v = v->next_hash) {
		/* The hash only finds candidates: envelopes of two clients must never be
		 * confused. */
		if (v->hash == hash && v->sid == sid && slice_eq(body_of(v), body))
			break;
	}
	return v;
}

static struct envelope *find_id(struct envelopes *e, uint64_t id)
{
	struct envelope *v;

	for (v = e->by_id[head_of(hash_u64(id))]; v && v->id != id; v = v->next_id)
		;
	return v;
}

/* Returns 1 if found, 0 if not. */
static int find_row(struct db *db, uint64_t hash, uint32_t sid, struct slice body, uint64_t *ret)
{
	int r;

	db_int(db, SQL_FIND_ENVELOPE, 1, (int64_t)hash);
	while ((r = db_row(db, SQL_FIND_ENVELOPE)) > 0) {
		if (db_col(db, SQL_FIND_ENVELOPE, 1) != sid || !slice_eq(db_col_text(db, SQL_FIND_ENVELOPE, 2), body))
			continue;
		*ret = (uint64_t)db_col(db, SQL_FIND_ENVELOPE, 0);
		db_reset(db, SQL_FIND_ENVELOPE);
		return 1;
	}
	return r;
}

static int add_row(struct db *db, uint64_t id, uint64_t hash, uint32_t sid, struct slice body, struct slice client)
{
	db_int(db, SQL_ADD_ENVELOPE, 1, (int64_t)id);
	db_int(db, SQL_ADD_ENVELOPE, 2, sid);
	db_int(db, SQL_ADD_ENVELOPE, 3, (int64_t)hash);
	db_text(db, SQL_ADD_ENVELOPE, 4, client);
	db_text(db, SQL_ADD_ENVELOPE, 5, body);
	return db_run(db, SQL_ADD_ENVELOPE);
}

int envelopes_intern(struct envelopes *e, struct db *db, uint32_t sid, struct slice body, struct slice client,
                     uint64_t *ret)
{
	uint64_t hash = hash_bytes(&e->key, body.p, body.n) ^ hash_u64(sid);
	struct envelope *v = find_bytes(e, hash, sid, body);
	uint64_t id = 0;
	int r;

	if (likely(v)) {
		v->used = true;
		id = v->id;
	} else {
		r = find_row(db, hash, sid, body, &id);
		if (r == 0) {
			id = e->next_id++;
			r = add_row(db, id, hash, sid, body, client);
		}
		if (r < 0)
			return r;
		(void)add(e, id, hash, sid, body, client);
	}
	envelopes_mark(&e->marks, id);
	*ret = id;
	return 0;
}

static int read_row(struct envelopes *e, struct db *db, uint64_t id, struct envelope **ret)
{
	int r;

	db_int(db, SQL_ENVELOPE, 1, (int64_t)id);
	r = db_row(db, SQL_ENVELOPE);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = add(e, id, (uint64_t)db_col(db, SQL_ENVELOPE, 1), (uint32_t)db_col(db, SQL_ENVELOPE, 0),
	           db_col_text(db, SQL_ENVELOPE, 3), db_col_text(db, SQL_ENVELOPE, 2));
	db_reset(db, SQL_ENVELOPE);
	return *ret ? 0 : -ENOMEM;
}

int envelopes_get(struct envelopes *e, struct db *db, uint64_t id, struct slice *ret_body, struct slice *ret_client)
{
	struct envelope *v = find_id(e, id);

	if (v) {
		v->used = true;
	} else {
		int r = read_row(e, db, id, &v);

		if (r < 0)
			return r;
	}
	*ret_body = body_of(v);
	*ret_client = client_of(v);
	return 0;
}

void envelopes_forget(struct envelopes *e, uint64_t id)
{
	struct envelope *v = find_id(e, id);

	if (v)
		evict(e, v);
}

void envelopes_clear(struct envelopes *e)
{
	while (e->n > 0)
		evict(e, e->slots[e->n - 1]);
}

void envelopes_free(struct envelopes *e)
{
	if (e->slots)
		envelopes_clear(e);
	free(e->by_hash);
	free(e->by_id);
	free(e->slots);
	free(e->marks.bits);
	*e = (struct envelopes){.n = 0};
}
