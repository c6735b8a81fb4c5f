/* scheduler_group.h - waiting events by envelope, and the order of a client's envelopes; private to the scheduler */
#ifndef DAEMON_DELIVERY_SCHEDULER_GROUP_H
#define DAEMON_DELIVERY_SCHEDULER_GROUP_H

#include "daemon/delivery/scheduler.h"

/* A place in a chained hash table; lies first in its object. */
struct bucket_node {
	struct bucket_node *next;
	uint64_t hash;
};
struct bucket_table {
	struct bucket_node **buckets;
	size_t n_buckets, len;
};

/* The groups of one client_id in a lane: they start in the order of their first events. */
struct client {
	struct bucket_node node;
	struct heap groups;
	struct group *listed; /* on the lane's full list: only its oldest may be */
	struct lane *lane;
};

/* Waiting events of one envelope, ids ascending. Lives as long as it has any. */
struct group {
	struct bucket_node node;
	struct heap_node by_id;     /* lane->groups */
	struct heap_node of_client; /* client->groups */
	TAILQ_ENTRY(group) full_link;
	struct due_list events;
	struct due *last;
	struct due *hint; /* where the last event out of order went in */
	struct client *client;
	struct lane *lane;
	size_t n, bytes; /* bytes: of the events, without the envelope */
	size_t n_alone;  /* payloads without events among them: each goes alone */
	size_t envelope_bytes;
	/* Its own copy: an event that comes to the others reads nothing of theirs, which is in no cache any more. */
	size_t n_envelope;
	char envelope[];
};

struct bucket_table *bucket_table_new(void);
struct bucket_table *bucket_table_free(struct bucket_table *t);

/* Puts an event into its group. near: an event of the same submission that is in a group already, or NULL; with it
 * the envelope is neither hashed nor compared again. 0 or -ENOMEM. */
int group_add(struct lane *l, struct due *d, const struct due *near) MUST_CHECK;
/* Takes an event out; a group that becomes empty is freed. */
void group_remove(struct group *g, struct due *d);
/* Takes up to a batch of events from its front into b; the group may be freed. */
void group_take(struct group *g, struct batch *b);
bool group_is_full(const struct group *g);

static inline struct group *group_oldest(const struct lane *l)
{
	return l->groups.top ? CONTAINER_OF(l->groups.top, struct group, by_id) : NULL;
}

#endif
