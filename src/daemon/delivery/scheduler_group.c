/* scheduler_group.c - waiting events by envelope, and the order of a client's envelopes */
#include "daemon/delivery/scheduler_group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 256 };

struct bucket_table *bucket_table_new(void)
{
	struct bucket_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->n_buckets = FIRST_BUCKETS;
	t->buckets = calloc(t->n_buckets, sizeof(*t->buckets));
	if (!t->buckets) {
		free(t);
		return NULL;
	}
	return t;
}

struct bucket_table *bucket_table_free(struct bucket_table *t)
{
	if (t)
		free(t->buckets);
	free(t);
	return NULL;
}

/* Without memory for more buckets the chains grow longer: slower, still right. */
static void table_grow(struct bucket_table *t)
{
	size_t n = t->n_buckets * 2;
	struct bucket_node **buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return;
	for (size_t i = 0; i < t->n_buckets; i++)
		for (struct bucket_node *at = t->buckets[i], *next; at; at = next) {
			next = at->next;
			at->next = buckets[at->hash & (n - 1)];
			buckets[at->hash & (n - 1)] = at;
		}
	free(t->buckets);
	t->buckets = buckets;
	t->n_buckets = n;
}

static void table_add(struct bucket_table *t, struct bucket_node *n, uint64_t hash)
{
	if (t->len >= t->n_buckets)
		table_grow(t);
	struct bucket_node **place = &t->buckets[hash & (t->n_buckets - 1)];
	n->hash = hash;
	n->next = *place;
	*place = n;
	t->len++;
}

static void table_remove(struct bucket_table *t, struct bucket_node *n)
{
	struct bucket_node **at = &t->buckets[n->hash & (t->n_buckets - 1)];
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	t->len--;
}

static struct bucket_node *table_first(const struct bucket_table *t, uint64_t hash)
{
	return t->buckets[hash & (t->n_buckets - 1)];
}

static struct group *client_top(const struct client *c)
{
	return c->groups.top ? CONTAINER_OF(c->groups.top, struct group, of_client) : NULL;
}

static void charge(struct lane *l, size_t bytes)
{
	l->bytes += bytes;
	l->scheduler->bytes += bytes;
}

static void discharge(struct lane *l, size_t bytes)
{
	l->bytes -= bytes;
	l->scheduler->bytes -= bytes;
}

/* The group's first event lends its client id: it is equal for all of it. */
static struct submission *group_sub(const struct group *g)
{
	return due_sub(TAILQ_FIRST(&g->events));
}

static size_t group_memory(const struct group *g)
{
	return sizeof(*g) + g->n_envelope;
}

/* A payload without events. */
static bool goes_alone(const struct due *d)
{
	return due_event(d)->body.n == 0;
}

static struct client *client_get(struct lane *l, struct slice id)
{
	struct bucket_table *t = l->scheduler->clients;
	uint64_t hash = hash_bytes(&l->scheduler->key, id.p, id.n) ^ hash_u64(l->sid);
	for (struct bucket_node *n = table_first(t, hash); n; n = n->next) {
		struct client *c = (struct client *)n;
		if (n->hash == hash && c->lane == l && slice_eq(group_sub(client_top(c))->client, id))
			return c;
	}
	struct client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->lane = l;
	table_add(t, &c->node, hash);
	charge(l, sizeof(*c));
	return c;
}

static void client_put(struct client *c)
{
	if (c->groups.top)
		return;
	table_remove(c->lane->scheduler->clients, &c->node);
	discharge(c->lane, sizeof(*c));
	free(c);
}

bool group_is_full(const struct group *g)
{
	return g->n >= g->lane->scheduler->config.max_batch || g->envelope_bytes + g->bytes >= REQUEST_BYTES ||
	       (g->n_alone > 0 && goes_alone(TAILQ_FIRST(&g->events)));
}

/* Keeps the lane's list of full groups: of a client's groups only the oldest may be there. */
static void client_review(struct client *c)
{
	struct group *top = client_top(c);
	struct group *should = top && group_is_full(top) ? top : NULL;
	if (c->listed == should)
		return;
	if (c->listed)
		TAILQ_REMOVE(&c->lane->full, c->listed, full_link);
	if (should)
		TAILQ_INSERT_TAIL(&c->lane->full, should, full_link);
	c->listed = should;
}

static void group_link_heaps(struct group *g)
{
	uint64_t key = TAILQ_FIRST(&g->events)->id;
	heap_insert(&g->lane->groups, &g->by_id, key);
	heap_insert(&g->client->groups, &g->of_client, key);
}

static void group_unlink_heaps(struct group *g)
{
	heap_remove(&g->lane->groups, &g->by_id);
	heap_remove(&g->client->groups, &g->of_client);
}

static struct group *group_find(struct lane *l, struct slice envelope, uint64_t hash)
{
	for (struct bucket_node *n = table_first(l->scheduler->envelopes, hash); n; n = n->next) {
		struct group *g = (struct group *)n;
		if (n->hash == hash && g->lane == l && slice_eq((struct slice){g->envelope, g->n_envelope}, envelope))
			return g;
	}
	return NULL;
}

static struct group *group_new(struct lane *l, struct due *first, uint64_t hash)
{
	struct submission *sub = due_sub(first);
	struct slice envelope = sub->envelope;
	struct group *g = malloc(sizeof(*g) + envelope.n);
	struct client *c = g ? client_get(l, sub->client) : NULL;
	if (!c) {
		free(g);
		return NULL;
	}
	*g = (struct group){
	        .lane = l, .client = c, .envelope_bytes = payload_envelope_size(sub), .n_envelope = envelope.n};
	if (envelope.n)
		memcpy(g->envelope, envelope.p, envelope.n);
	TAILQ_INIT(&g->events);
	charge(l, group_memory(g));
	table_add(l->scheduler->envelopes, &g->node, hash);
	return g;
}

/* The place of an id that is not the newest: rows come back from the disk in ascending order, so the search goes on
 * where the last one went in. */
static void insert_sorted(struct group *g, struct due *d)
{
	struct due *at = g->hint && g->hint->id < d->id ? g->hint : NULL;
	struct due *next = at ? TAILQ_NEXT(at, link) : TAILQ_FIRST(&g->events);
	while (next && next->id < d->id) {
		at = next;
		next = TAILQ_NEXT(next, link);
	}
	if (at)
		TAILQ_INSERT_AFTER(&g->events, at, d, link);
	else
		TAILQ_INSERT_HEAD(&g->events, d, link);
	g->hint = d;
}

static void insert_event(struct group *g, struct due *d)
{
	if (!g->last || g->last->id < d->id) {
		TAILQ_INSERT_TAIL(&g->events, d, link);
		g->last = d;
	} else {
		insert_sorted(g, d);
	}
	g->n++;
	g->bytes += d->size;
	g->n_alone += goes_alone(d);
}

static struct group *group_of(struct lane *l, struct due *d)
{
	struct slice envelope = due_sub(d)->envelope;
	uint64_t hash = hash_bytes(&l->scheduler->key, envelope.p, envelope.n) ^ hash_u64(l->sid);
	struct group *g = group_find(l, envelope, hash);
	return g ? g : group_new(l, d, hash);
}

int group_add(struct lane *l, struct due *d, const struct due *near)
{
	struct group *g = near ? near->group : group_of(l, d);
	if (!g)
		return -ENOMEM;
	bool is_new = g->n == 0;
	bool new_first = is_new || d->id < g->by_id.key;
	if (new_first && !is_new)
		group_unlink_heaps(g);
	insert_event(g, d);
	l->n_waiting++;
	d->group = g;
	d->state = DUE_WAITING;
	if (new_first)
		group_link_heaps(g);
	if (new_first || group_is_full(g))
		client_review(g->client);
	return 0;
}

static void unlink_event(struct group *g, struct due *d)
{
	if (g->last == d)
		g->last = TAILQ_PREV(d, due_list, link);
	TAILQ_REMOVE(&g->events, d, link);
	if (g->hint == d)
		g->hint = NULL;
	g->n--;
	g->bytes -= d->size;
	if (g->n_alone > 0)
		g->n_alone -= goes_alone(d);
	g->lane->n_waiting--;
	d->group = NULL;
}

/* After events left: the heaps follow the new first one, or the group goes. The heaps were unlinked. */
static void group_settle(struct group *g)
{
	struct client *c = g->client;
	if (g->n > 0) {
		group_link_heaps(g);
		client_review(c);
		return;
	}
	if (c->listed == g) {
		TAILQ_REMOVE(&g->lane->full, g, full_link);
		c->listed = NULL;
	}
	client_review(c);
	client_put(c);
	table_remove(g->lane->scheduler->envelopes, &g->node);
	discharge(g->lane, group_memory(g));
	free(g);
}

void group_remove(struct group *g, struct due *d)
{
	group_unlink_heaps(g);
	unlink_event(g, d);
	group_settle(g);
}

void group_take(struct group *g, struct batch *b)
{
	unsigned max = g->lane->scheduler->config.max_batch;
	size_t bytes = g->envelope_bytes;
	b->envelope_hash = g->node.hash;
	group_unlink_heaps(g);
	for (struct due *d; (d = TAILQ_FIRST(&g->events)) != NULL && b->n < max;) {
		bool alone = g->n_alone > 0 && goes_alone(d);
		if (b->n > 0 && (alone || bytes + d->size >= REQUEST_BYTES))
			break;
		bytes += d->size;
		unlink_event(g, d);
		d->batch = b;
		d->state = DUE_IN_FLIGHT;
		b->events[b->n++] = d;
		if (alone)
			break;
	}
	group_settle(g);
}
