/* hub_events.c - the events that the hub holds: by delivery's id and by the engine's order */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/hub_private.h"

static void forget_seq(struct hub *h, const struct borrowed *b)
{
	if (idmap_get(&h->by_seq, (uint64_t)b->seq) == b)
		idmap_remove(&h->by_seq, (uint64_t)b->seq);
}

static void mark_tried(struct hub *h, struct borrowed *b)
{
	if (!b->tried)
		h->lanes[b->lane].untried--;
	b->tried = true;
}

void hub_event_free(struct hub *h, struct borrowed *b)
{
	if (b->listed)
		hub_outcomes_remove(h, b);
	mark_tried(h, b);
	forget_seq(h, b);
	idmap_remove(&h->by_id, b->id);
	h->lanes[b->lane].held--;
	h->n_events--;
	h->bytes -= b->bytes;
	free(b->note);
	free(b);
}

/* ---- they come ---- */

static struct borrowed *keep(struct hub *h, const struct arrival *a, uint64_t id)
{
	struct borrowed *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return NULL;
	b->id = id;
	b->seq = a->seq;
	b->key = a->key;
	b->lane = a->lane;
	b->bytes = (uint32_t)(a->body.n + a->envelope.n);
	snprintf(b->outbox, sizeof(b->outbox), "%.*s", SLICE_ARG(a->outbox));
	r = idmap_put(&h->by_id, id, b);
	if (r == 0 && idmap_put(&h->by_seq, (uint64_t)a->seq, b) < 0) {
		idmap_remove(&h->by_id, id);
		r = -ENOMEM;
	}
	if (r < 0) {
		free(b);
		return NULL;
	}
	h->n_events++;
	h->bytes += b->bytes;
	h->lanes[b->lane].held++;
	h->lanes[b->lane].untried++;
	return b;
}

/* An event whose text is not as an outbox writes it: it must not spoil its neighbours' request. */
static bool bury_corrupt(struct hub *h, const struct arrival *a, uint64_t id)
{
	const struct lent_outcome corrupt = {
	        .end = LENT_DEAD, .reason = DEAD_CORRUPT, .when_us = h->now.wall_us, .error = "", .answer = ""};
	struct borrowed *b = keep(h, a, id);

	if (b)
		hub_on_settle(h, id, &corrupt);
	return b != NULL;
}

static int lend(struct hub *h, const struct arrival *a, uint64_t id, uint32_t sid, struct slice name)
{
	const struct submission head = {
	        .sid = sid,
	        .accepted_us = a->accepted_us,
	        .envelope = a->envelope,
	        .client = a->client,
	        .first_id = id,
	};
	const struct event event = {.body = a->body, .name = name, .time_us = a->time_us, .props_us = a->props_us};
	struct submission *sub = submission_of_one(&head, &event);
	int r = sub ? delivery_lend(h->delivery, sub, &a->past, &h->now) : -ENOMEM;

	submission_unref(sub);
	return r;
}

enum arrived hub_events_arrive(struct hub *h, const struct arrival *a)
{
	uint32_t sid = delivery_stream_sid(h->delivery, a->stream);
	uint64_t id = h->next_id;
	struct slice name;
	struct borrowed *b;

	if (idmap_get(&h->by_seq, (uint64_t)a->seq))
		return KNOWN;
	if (sid == 0)
		return UNKNOWN_STREAM;
	h->next_id++;
	if (a->envelope.n == 0 || a->seq <= 0 || !event_body_name(a->body, &name))
		return bury_corrupt(h, a, id) ? ARRIVED : NO_ROOM;
	b = keep(h, a, id);
	if (!b)
		return NO_ROOM;
	if (lend(h, a, id, sid, name) < 0) {
		hub_event_free(h, b);
		return NO_ROOM;
	}
	return ARRIVED;
}

/* ---- delivery speaks of them ---- */

static void keep_note(struct borrowed *b, const struct lent_outcome *o)
{
	size_t n_error = strlen(o->error), n_answer = strlen(o->answer);
	struct note *n = malloc(sizeof(*n) + n_error + n_answer + 2);

	if (!n)
		return; /* it is retried, or dies, without its reason */
	free(b->note);
	b->note = n;
	*n = (struct note){
	        .reason = o->reason,
	        .attempts = o->attempts,
	        .maybe_sent = o->maybe_sent,
	        .status = o->status,
	        .n_error = n_error,
	};
	memcpy(n->text, o->error, n_error + 1);
	memcpy(n->text + n_error + 1, o->answer, n_answer + 1);
}

void hub_on_settle(void *arg, uint64_t id, const struct lent_outcome *outcome)
{
	struct hub *h = arg;
	struct borrowed *b = idmap_get(&h->by_id, id);

	if (!b)
		return;
	mark_tried(h, b);
	if (outcome->end == LENT_DELIVERED)
		b->where = DELIVERED;
	else
		keep_note(b, outcome);
	if (outcome->end == LENT_DEAD)
		b->where = DEAD;
	hub_outcomes_add(h, b);
}

void hub_on_returned(void *arg, uint64_t id)
{
	struct hub *h = arg;
	struct borrowed *b = idmap_get(&h->by_id, id);

	if (!b)
		return;
	b->where = RETURNED;
	mark_tried(h, b);
	forget_seq(h, b);
	if (!b->listed && !b->sent)
		hub_event_free(h, b);
}

void hub_events_take_back(struct hub *h, uint8_t lane)
{
	uint64_t *ids = malloc((h->by_id.len + 1) * sizeof(*ids)), id;
	size_t at = 0, n = 0;
	const struct borrowed *b;

	if (!ids)
		return; /* the next turn tries again */
	while ((b = idmap_next(&h->by_id, &at, &id)) != NULL)
		if (b->lane == lane && b->where == WITH_DELIVERY)
			ids[n++] = id;
	delivery_forget(h->delivery, ids, n);
	free(ids);
}

void hub_events_free_all(struct hub *h)
{
	struct borrowed *b;
	uint64_t id;
	size_t at = 0;

	while ((b = idmap_next(&h->by_id, &at, &id)) != NULL) {
		free(b->note);
		free(b);
	}
	idmap_free(&h->by_id);
	idmap_free(&h->by_seq);
}
