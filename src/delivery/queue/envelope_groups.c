/* envelope_groups.c - waiting events by envelope, and the order of a client's envelopes
 *
 * Events share a request only if their envelopes are equal, byte for byte: client, consent, user properties. So
 * consents are kept apart here. A client's groups go in the order of their first events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/collections/hash.h"
#include "delivery/queue/queue_private.h"
#include "event/payload.h"

struct envelope_groups {
	struct hash_key key;
	struct idmap envelopes, clients; /* by hash, with the queue's sid in it */
};

/* The groups of one client_id in a queue. */
struct group_client {
	uint64_t hash;
	struct heap groups;            /* by the id of their first event */
	struct envelope_group *listed; /* on the queue's list of full groups: only the oldest may be */
	struct stream_queue *queue;
};

/* Waiting events of one envelope, ids ascending. Lives as long as it has any. */
struct envelope_group {
	uint64_t hash;
	struct heap_node by_id;     /* queue->groups */
	struct heap_node of_client; /* client->groups */
	TAILQ_ENTRY(envelope_group) full_link;
	struct queued_event_list events;
	struct queued_event *last;
	struct queued_event *hint; /* where the last event out of order went in */
	struct group_client *client;
	struct stream_queue *queue;
	size_t n, bytes; /* bytes: of the events, without the envelope */
	size_t n_alone;  /* payloads without events among them: each goes alone */
	size_t envelope_bytes;
	/* A copy: adding an event reads nothing of the others, which are in no cache any more. */
	size_t n_envelope;
	char envelope[];
};

struct envelope_groups *envelope_groups_new(void)
{
	struct envelope_groups *all = malloc(sizeof(*all));
	if (!all)
		return NULL;
	hash_key_init(&all->key);
	idmap_init(&all->envelopes);
	idmap_init(&all->clients);
	return all;
}

struct envelope_groups *envelope_groups_free(struct envelope_groups *all)
{
	if (all) {
		idmap_free(&all->envelopes);
		idmap_free(&all->clients);
	}
	free(all);
	return NULL;
}

/* What is of another client or envelope and has the same hash, one time in 2^64, pushes it on to the next one. When
 * the first of them goes, a second group of the same envelope may come: packed less well, still right. */
static uint64_t hash_of(const struct stream_queue *q, struct slice bytes)
{
	return (hash_bytes(&q->queues->groups->key, bytes.p, bytes.n) ^ hash_u64(q->sid)) | 1;
}

static struct envelope_group *client_top(const struct group_client *c)
{
	return c->groups.top ? CONTAINER_OF(c->groups.top, struct envelope_group, of_client) : NULL;
}

/* Any of the group's submissions: the client id is equal in all of them. */
static struct submission *group_sub(const struct envelope_group *g)
{
	return queued_event_sub(TAILQ_FIRST(&g->events));
}

static size_t group_memory(const struct envelope_group *g)
{
	return sizeof(*g) + g->n_envelope;
}

/* A payload without events. */
static bool goes_alone(const struct queued_event *e)
{
	return queued_event_get(e)->body.n == 0;
}

static struct group_client *client_get(struct stream_queue *q, struct slice id)
{
	struct idmap *clients = &q->queues->groups->clients;
	uint64_t hash = hash_of(q, id);
	struct group_client *c;
	for (; (c = idmap_get(clients, hash)) != NULL; hash += 2)
		if (c->queue == q && slice_eq(group_sub(client_top(c))->client, id))
			return c;
	c = calloc(1, sizeof(*c));
	if (!c || idmap_put(clients, hash, c) < 0) {
		free(c);
		return NULL;
	}
	c->hash = hash;
	c->queue = q;
	queue_charge(q, sizeof(*c));
	return c;
}

static void client_put(struct group_client *c)
{
	if (c->groups.top)
		return;
	idmap_remove(&c->queue->queues->groups->clients, c->hash);
	queue_discharge(c->queue, sizeof(*c));
	free(c);
}

bool envelope_group_is_full(const struct envelope_group *g)
{
	return g->n >= g->queue->queues->config.max_batch || g->envelope_bytes + g->bytes >= LIMIT_REQUEST_BYTES ||
	       (g->n_alone > 0 && goes_alone(TAILQ_FIRST(&g->events)));
}

/* Keeps the queue's list of full groups: of a client's groups only the oldest may be on it. */
static void client_review(struct group_client *c)
{
	struct envelope_group *top = client_top(c);
	struct envelope_group *should = top && envelope_group_is_full(top) ? top : NULL;
	if (c->listed == should)
		return;
	if (c->listed)
		TAILQ_REMOVE(&c->queue->full, c->listed, full_link);
	if (should)
		TAILQ_INSERT_TAIL(&c->queue->full, should, full_link);
	c->listed = should;
}

static void group_link_heaps(struct envelope_group *g)
{
	uint64_t key = TAILQ_FIRST(&g->events)->id;
	heap_insert(&g->queue->groups, &g->by_id, key);
	heap_insert(&g->client->groups, &g->of_client, key);
}

static void group_unlink_heaps(struct envelope_group *g)
{
	heap_remove(&g->queue->groups, &g->by_id);
	heap_remove(&g->client->groups, &g->of_client);
}

static struct envelope_group *group_new(struct stream_queue *q, const struct submission *sub, uint64_t hash)
{
	struct slice envelope = sub->envelope;
	struct envelope_group *g = malloc(sizeof(*g) + envelope.n);
	struct group_client *c = g ? client_get(q, sub->client) : NULL;
	if (!c || idmap_put(&q->queues->groups->envelopes, hash, g) < 0) {
		if (c)
			client_put(c);
		free(g);
		return NULL;
	}
	*g = (struct envelope_group){.hash = hash,
	                             .queue = q,
	                             .client = c,
	                             .envelope_bytes = payload_envelope_size(sub),
	                             .n_envelope = envelope.n};
	if (envelope.n)
		memcpy(g->envelope, envelope.p, envelope.n);
	TAILQ_INIT(&g->events);
	queue_charge(q, group_memory(g));
	return g;
}

/* The place of an id that is not the newest: rows come back from the disk in ascending order, so the search
 * starts where the last one went in. */
static void insert_sorted(struct envelope_group *g, struct queued_event *e)
{
	struct queued_event *at = g->hint && g->hint->id < e->id ? g->hint : NULL;
	struct queued_event *next = at ? TAILQ_NEXT(at, link) : TAILQ_FIRST(&g->events);
	while (next && next->id < e->id) {
		at = next;
		next = TAILQ_NEXT(next, link);
	}
	if (at)
		TAILQ_INSERT_AFTER(&g->events, at, e, link);
	else
		TAILQ_INSERT_HEAD(&g->events, e, link);
	g->hint = e;
}

static void insert_event(struct envelope_group *g, struct queued_event *e)
{
	if (!g->last || g->last->id < e->id) {
		TAILQ_INSERT_TAIL(&g->events, e, link);
		g->last = e;
	} else {
		insert_sorted(g, e);
	}
	g->n++;
	g->bytes += e->size;
	g->n_alone += goes_alone(e);
}

static struct envelope_group *group_of(struct stream_queue *q, const struct submission *sub)
{
	uint64_t hash = hash_of(q, sub->envelope);
	struct envelope_group *g;
	for (; (g = idmap_get(&q->queues->groups->envelopes, hash)) != NULL; hash += 2)
		if (g->queue == q && slice_eq((struct slice){g->envelope, g->n_envelope}, sub->envelope))
			return g;
	return group_new(q, sub, hash);
}

int envelope_group_add(struct stream_queue *q, struct queued_event *e, const struct queued_event *near)
{
	struct envelope_group *g = near ? near->group : group_of(q, queued_event_sub(e));
	if (!g)
		return -ENOMEM;
	bool is_new = g->n == 0;
	bool new_first = is_new || e->id < g->by_id.key;
	if (new_first && !is_new)
		group_unlink_heaps(g);
	insert_event(g, e);
	q->n_waiting++;
	e->group = g;
	e->state = EVENT_WAITING;
	if (new_first)
		group_link_heaps(g);
	if (new_first || envelope_group_is_full(g))
		client_review(g->client);
	return 0;
}

static void unlink_event(struct envelope_group *g, struct queued_event *e)
{
	if (g->last == e)
		g->last = TAILQ_PREV(e, queued_event_list, link);
	TAILQ_REMOVE(&g->events, e, link);
	if (g->hint == e)
		g->hint = NULL;
	g->n--;
	g->bytes -= e->size;
	if (g->n_alone > 0)
		g->n_alone -= goes_alone(e);
	g->queue->n_waiting--;
	e->group = NULL;
}

/* After events left; the heaps were unlinked. They follow the new first event, or the group goes. */
static void group_relink(struct envelope_group *g)
{
	struct group_client *c = g->client;
	if (g->n > 0) {
		group_link_heaps(g);
		client_review(c);
		return;
	}
	if (c->listed == g) {
		TAILQ_REMOVE(&g->queue->full, g, full_link);
		c->listed = NULL;
	}
	client_review(c);
	client_put(c);
	idmap_remove(&g->queue->queues->groups->envelopes, g->hash);
	queue_discharge(g->queue, group_memory(g));
	free(g);
}

void envelope_group_remove(struct queued_event *e)
{
	struct envelope_group *g = e->group;
	group_unlink_heaps(g);
	unlink_event(g, e);
	group_relink(g);
}

void envelope_group_take(struct envelope_group *g, struct batch *b)
{
	unsigned max = g->queue->queues->config.max_batch;
	size_t bytes = g->envelope_bytes;
	b->envelope_hash = g->hash;
	group_unlink_heaps(g);
	for (struct queued_event *e; (e = TAILQ_FIRST(&g->events)) != NULL && b->n < max;) {
		bool alone = g->n_alone > 0 && goes_alone(e);
		if (b->n > 0 && (alone || bytes + e->size >= LIMIT_REQUEST_BYTES))
			break;
		bytes += e->size;
		unlink_event(g, e);
		e->batch = b;
		e->state = EVENT_IN_FLIGHT;
		b->events[b->n++] = e;
		if (alone)
			break;
	}
	group_relink(g);
}

uint64_t envelope_group_hash(const struct envelope_group *g)
{
	return g->hash;
}

struct queued_event *envelope_group_first(const struct envelope_group *g)
{
	return TAILQ_FIRST(&g->events);
}

bool envelope_group_is_clients_oldest(const struct envelope_group *g)
{
	return g->client->groups.top == &g->of_client;
}

struct envelope_group *envelope_group_oldest(const struct stream_queue *q)
{
	return q->groups.top ? CONTAINER_OF(q->groups.top, struct envelope_group, by_id) : NULL;
}

struct envelope_group *envelope_group_another(const struct stream_queue *q)
{
	struct heap_node *child = q->groups.top ? q->groups.top->child : NULL;
	return child ? CONTAINER_OF(child, struct envelope_group, by_id) : NULL;
}
