/* scheduler.c - which events go next: lanes, what of the backlog is in memory, and the order of picking */
#include "daemon/delivery/scheduler.h"

#include <errno.h>
#include <stdlib.h>

#include "base/id_list.h"
#include "daemon/delivery/scheduler_group.h"
#include "daemon/delivery/scheduler_private.h"

enum {
	OLDEST_EVERY = 16,                 /* of so many picks one goes to the oldest event, full or not … */
	OLDEST_AFTER_US = 5 * 1000 * 1000, /* … when it has been in memory for so long: nothing starves */
	PARKED_EVERY = 32,                 /* of so many picks one goes to a batch whose own waiting is over */
};

int scheduler_init(struct scheduler *s, const struct scheduler_config *config)
{
	*s = (struct scheduler){.config = *config, .flush_until_us = INT64_MIN};
	idmap_init(&s->by_id);
	hash_key_init(&s->key);
	STAILQ_INIT(&s->jobs);
	s->envelopes = bucket_table_new();
	s->clients = bucket_table_new();
	if (s->envelopes && s->clients)
		return 0;
	scheduler_free(s);
	return -ENOMEM;
}

void scheduler_free(struct scheduler *s)
{
	idmap_free(&s->by_id);
	s->envelopes = bucket_table_free(s->envelopes);
	s->clients = bucket_table_free(s->clients);
}

struct lane *scheduler_lane_new(struct scheduler *s, uint32_t sid, bool from_disk)
{
	struct lane *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->scheduler = s;
	l->sid = sid;
	l->disk_more = from_disk;
	l->settling.state = DUE_SETTLING;
	TAILQ_INIT(&l->full);
	TAILQ_INIT(&l->again);
	s->n_lanes++;
	return l;
}

/* The bytes a lane may still take: of the shared part as long as there is any, else of its own. */
static size_t lane_room_bytes(const struct lane *l)
{
	const struct scheduler *s = l->scheduler;
	size_t own = SCHEDULER_OWN_BYTES / (s->n_lanes ? s->n_lanes : 1);
	size_t shared = s->bytes < SCHEDULER_SHARED_BYTES ? SCHEDULER_SHARED_BYTES - s->bytes : 0;
	size_t mine = l->bytes < own ? own - l->bytes : 0;
	return shared > mine ? shared : mine;
}

struct lane_room lane_room(const struct lane *l)
{
	return (struct lane_room){
	        .events = l->n_events < SCHEDULER_LANE_EVENTS ? SCHEDULER_LANE_EVENTS - l->n_events : 0,
	        .bytes = lane_room_bytes(l),
	};
}

/* With what malloc takes, and each id's place in the map. */
static size_t load_bytes(const struct submission *sub)
{
	size_t n = sizeof(struct load) + sizeof(*sub) + 32 + sub->envelope.n + sub->client.n + sub->dedup_key.n;
	for (uint32_t i = 0; i < sub->n_events; i++)
		n += sub->events[i].body.n + sizeof(struct event) + sizeof(struct due) + 4 * sizeof(void *);
	return n;
}

static void load_put(struct load *load)
{
	if (--load->left > 0)
		return;
	load->lane->bytes -= load->bytes;
	load->lane->scheduler->bytes -= load->bytes;
	bool lodger = load->lodger;
	submission_unref(load->sub);
	if (!lodger)
		free(load);
}

/* 1: in; 0: it is here already; -ENOMEM. */
static int due_enter(struct lane *l, struct due *d, const struct due *near)
{
	struct scheduler *s = l->scheduler;
	int r = idmap_add(&s->by_id, d->id, d);
	if (r <= 0)
		return r;
	r = group_add(l, d, near);
	if (r < 0) {
		idmap_remove(&s->by_id, d->id);
		return r;
	}
	l->n_events++;
	return 1;
}

int lane_load(struct lane *l, struct submission *sub, const struct load_past *past, int64_t mono_us)
{
	bool lodger = sub->room >= LOAD_ROOM && sub->n_events == 1;
	struct load *load = lodger ? sub->block : malloc(sizeof(*load) + sub->n_events * sizeof(load->due[0]));
	if (!load)
		return -ENOMEM;
	*load = (struct load){.sub = submission_ref(sub),
	                      .lane = l,
	                      .left = 1, /* ours, until all are in */
	                      .bytes = (uint32_t)load_bytes(sub),
	                      .lodger = lodger};
	if (lodger)
		sub->room = 0;
	l->bytes += load->bytes;
	l->scheduler->bytes += load->bytes;
	const struct due *near = NULL;
	int r = 0;
	for (uint32_t i = 0; i < sub->n_events && r >= 0; i++) {
		struct due *d = &load->due[i];
		*d = (struct due){.id = sub->first_id + i,
		                  .index = i,
		                  .since_us = mono_us,
		                  .size = (uint32_t)payload_event_size(&sub->events[i]),
		                  .attempts = past->attempts,
		                  .lingered = past->lingered,
		                  .has_note = past->has_note,
		                  .maybe_sent = past->maybe_sent,
		                  .no_expiry = past->no_expiry};
		r = due_enter(l, d, near);
		load->left += r > 0;
		near = r > 0 ? d : near;
	}
	load_put(load);
	return r < 0 ? r : 0;
}

void due_release(struct scheduler *s, struct due *d)
{
	struct load *load = due_load(d);
	if (d->group)
		group_remove(d->group, d);
	idmap_remove(&s->by_id, d->id);
	load->lane->n_events--;
	load_put(load);
}

void due_settle(struct scheduler *s, struct due *d)
{
	struct load *load = due_load(d);
	struct lane *l = load->lane;
	idmap_replace(&s->by_id, d->id, &l->settling);
	l->n_settling++;
	l->n_events--;
	load_put(load);
}

void scheduler_settled(struct scheduler *s, uint64_t id)
{
	struct due *d = scheduler_find(s, id);
	if (!d || d->state != DUE_SETTLING)
		return;
	idmap_remove(&s->by_id, id);
	CONTAINER_OF(d, struct lane, settling)->n_settling--;
}

static void batch_remove_event(struct batch *b, const struct due *d)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->events[i] == d) {
			batch_drop_event(b, i);
			return;
		}
}

struct due *scheduler_find(const struct scheduler *s, uint64_t id)
{
	return id ? idmap_get(&s->by_id, id) : NULL;
}

bool due_is_out(const struct due *d)
{
	return d->state == DUE_IN_FLIGHT || d->state == DUE_SETTLING;
}

int scheduler_in_flight_ids(const struct scheduler *s, uint64_t **ret, size_t *ret_n)
{
	size_t n = 0, at = 0;
	uint64_t id, *ids = malloc((s->by_id.len + 1) * sizeof(*ids));
	const struct due *d;
	if (!ids)
		return -ENOMEM;
	while ((d = idmap_next(&s->by_id, &at, &id)) != NULL)
		if (due_is_out(d))
			ids[n++] = id;
	id_list_sort(ids, n);
	*ret = ids;
	*ret_n = n;
	return 0;
}

void scheduler_forget(struct scheduler *s, uint64_t id)
{
	struct due *d = scheduler_find(s, id);
	if (!d)
		return;
	switch ((enum due_state)d->state) {
	case DUE_IN_FLIGHT:
		d->forgotten = true;
		return;
	case DUE_SETTLING: /* leaves by itself */
		return;
	case DUE_BATCHED:
		batch_remove_event(d->batch, d);
		break;
	case DUE_WAITING:
	case DUE_TAKEN:
		break;
	}
	due_release(s, d);
}

void scheduler_flush(struct scheduler *s, int64_t mono_us)
{
	s->flush_until_us = mono_us;
}

static bool due_lingered(const struct scheduler *s, const struct due *d, int64_t mono_us)
{
	return d->lingered || s->draining || d->since_us <= s->flush_until_us ||
	       mono_us - d->since_us >= s->config.linger_us;
}

int64_t due_next_us(const struct due *d)
{
	const struct scheduler *s = due_load(d)->lane->scheduler;
	switch ((enum due_state)d->state) {
	case DUE_WAITING:
		return due_lingered(s, d, INT64_MIN / 2) ? INT64_MIN : d->since_us + s->config.linger_us;
	case DUE_BATCHED:
		return d->batch->state == BATCH_PARKED ? d->batch->not_before_us : INT64_MIN;
	case DUE_IN_FLIGHT:
	case DUE_TAKEN:
	case DUE_SETTLING:
		break;
	}
	return INT64_MAX;
}

static struct batch *take_group(struct lane *l, struct group *g)
{
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->lane = l;
	b->state = BATCH_IN_FLIGHT;
	group_take(g, b);
	for (unsigned i = 0; i < b->n; i++)
		if (b->events[i]->attempts > b->attempts)
			b->attempts = b->events[i]->attempts;
	return b;
}

/* Full ones first; then, unless the window is still filling with what would make them fuller, the oldest that has
 * waited long enough. Every so often the oldest goes before, when it has waited very long. */
static struct group *pick_group(struct lane *l, int64_t mono_us)
{
	struct group *oldest = group_oldest(l), *full = TAILQ_FIRST(&l->full);
	if (!oldest)
		return NULL;
	const struct due *d = TAILQ_FIRST(&oldest->events);
	if (full && (l->picks++ % OLDEST_EVERY || mono_us - d->since_us < OLDEST_AFTER_US))
		return full;
	if (!full && l->thin && !l->scheduler->draining)
		return NULL;
	return full || due_lingered(l->scheduler, d, mono_us) ? oldest : NULL;
}

static struct batch *pick_again(struct lane *l, const struct pick_choice *choice)
{
	struct batch *b;
	TAILQ_FOREACH(b, &l->again, link)
	if (b->suspect ? choice->suspects : choice->clean) {
		batch_start(b);
		return b;
	}
	return NULL;
}

static bool parked_is_due(const struct lane *l, int64_t mono_us)
{
	return l->parked.top && CONTAINER_OF(l->parked.top, struct batch, by_time)->not_before_us <= mono_us;
}

static struct batch *pick_parked(struct lane *l, int64_t mono_us)
{
	if (!parked_is_due(l, mono_us))
		return NULL;
	struct batch *b = CONTAINER_OF(l->parked.top, struct batch, by_time);
	l->passed_over = 0;
	batch_start(b);
	return b;
}

/* A waiting batch that did not fail last, of another envelope where there is one. */
static struct batch *other_batch(struct lane *l, const struct pick_choice *choice)
{
	struct batch *b, *same_envelope = NULL;
	TAILQ_FOREACH(b, &l->again, link)
	{
		if (b == choice->failed_last)
			continue;
		if (b->envelope_hash != choice->failed_envelope)
			return b;
		if (!same_envelope)
			same_envelope = b;
	}
	return same_envelope;
}

/* Any group, of another envelope than this one where there is one. */
static struct group *other_group(struct lane *l, uint64_t envelope)
{
	struct group *full = TAILQ_FIRST(&l->full), *oldest = group_oldest(l);
	if (full && full->node.hash != envelope)
		return full;
	if (oldest && oldest->node.hash == envelope && oldest->by_id.child)
		return CONTAINER_OF(oldest->by_id.child, struct group, by_id);
	return oldest;
}

/* A probe carries what did not fail last, of another envelope where there is one; what never failed goes before what
 * did: two batches that the endpoint cannot take would be tried in turn for ever. */
static struct batch *pick_probe(struct lane *l, const struct pick_choice *choice, int64_t mono_us)
{
	struct batch *b = other_batch(l, choice);
	struct group *g = other_group(l, choice->failed_envelope);
	if (g && (!b || g->node.hash != choice->failed_envelope || b->envelope_hash == choice->failed_envelope))
		return take_group(l, g);
	if (!b)
		b = TAILQ_FIRST(&l->again);
	if (!b)
		return pick_parked(l, mono_us);
	batch_start(b);
	return b;
}

/* Past an envelope that hangs: a group of another one that is ready, and its client's oldest. */
static struct group *pick_past(struct lane *l, uint64_t crowding, int64_t mono_us)
{
	struct group *g = other_group(l, crowding);
	if (!g || g->node.hash == crowding || g->client->groups.top != &g->of_client)
		return NULL;
	return group_is_full(g) || due_lingered(l->scheduler, TAILQ_FIRST(&g->events), mono_us) ? g : NULL;
}

struct batch *lane_pick(struct lane *l, const struct pick_choice *choice, int64_t mono_us)
{
	if (choice->probe)
		return pick_probe(l, choice, mono_us);
	struct group *g = choice->crowding ? pick_past(l, choice->crowding, mono_us) : NULL;
	if (g)
		return take_group(l, g);
	struct batch *b = pick_again(l, choice);
	if (b)
		return b;
	/* whatever else there is: behind a backlog that never ends it would wait until it expires */
	if (choice->suspects && parked_is_due(l, mono_us) && ++l->passed_over >= PARKED_EVERY)
		return pick_parked(l, mono_us);
	g = choice->clean ? pick_group(l, mono_us) : NULL;
	if (g)
		return take_group(l, g);
	return choice->suspects ? pick_parked(l, mono_us) : NULL;
}

int64_t lane_next_us(const struct lane *l, int64_t mono_us)
{
	int64_t next = INT64_MAX;
	const struct group *oldest = group_oldest(l);
	if (oldest && !l->thin) {
		const struct due *d = TAILQ_FIRST(&oldest->events);
		next = due_lingered(l->scheduler, d, mono_us) ? mono_us
		                                              : d->since_us + l->scheduler->config.linger_us;
	}
	if (l->parked.top) {
		int64_t at = CONTAINER_OF(l->parked.top, struct batch, by_time)->not_before_us;
		if (at < next)
			next = at;
	}
	int64_t look = lane_refill_at_us(l);
	return look > mono_us && look < next ? look : next;
}

void lane_clear(struct lane *l)
{
	struct group *g;
	struct batch *b;
	while ((g = group_oldest(l)) != NULL)
		due_release(l->scheduler, TAILQ_FIRST(&g->events));
	while ((b = TAILQ_FIRST(&l->again)) != NULL)
		batch_abandon(b);
	while (l->parked.top)
		batch_abandon(CONTAINER_OF(l->parked.top, struct batch, by_time));
}
