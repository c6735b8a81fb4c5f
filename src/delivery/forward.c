/* forward.c - instead of requests to endpoints: whole batches, of any streams, to a place that keeps them
 *
 * The batches are picked as for requests, so a pause, a hold and the order of a client's events mean the same. */
#include <stdlib.h>

#include "delivery/delivery_private.h"

/* An event that is refused by itself. */
#define REFUSED_WAIT_US (60 * US_PER_S)

/* The events of one statement. */
struct parcel {
	struct delivery *delivery;
	size_t n; /* events */
	unsigned n_batches;
	struct batch *batches[]; /* in flight */
};

static void count_in_flight(struct parcel *p, int sign)
{
	for (unsigned i = 0; i < p->n_batches; i++) {
		struct stream *s = batch_stream(p->batches[i]);
		uint64_t n = p->batches[i]->n;

		s->in_flight += (unsigned)sign;
		s->in_flight_events += sign > 0 ? n : -n;
		p->delivery->in_flight_events += sign > 0 ? n : -n;
	}
}

/* ---- the end ---- */

static bool all_of(const bool *stored, unsigned n)
{
	while (n > 0)
		if (!stored[--n])
			return false;
	return true;
}

static void leave_some(struct delivery *d, struct batch *b, const bool *stored)
{
	static const struct departure forwarded = {.as = LEAVE_FORWARDED};

	for (unsigned i = b->n; i-- > 0;) {
		struct queued_event *e = b->events[i];
		if (!stored[i])
			continue;
		batch_drop_event(b, i);
		leave(d, &e, 1, &forwarded);
	}
}

static void end_batch(struct delivery *d, struct batch *b, const bool *stored, bool refused)
{
	static const struct departure forwarded = {.as = LEAVE_FORWARDED};

	if (all_of(stored, b->n)) {
		leave(d, b->events, b->n, &forwarded);
		batch_free(b);
		return;
	}
	leave_some(d, b, stored);
	if (!batch_let_forgotten_go(d, b))
		return;
	if (refused)
		batch_park(b, d->now.mono_us + REFUSED_WAIT_US);
	else
		batch_again(b);
}

static void on_done(void *arg, const struct forwarded *what)
{
	struct parcel *p = arg;
	struct delivery *d = p->delivery;
	const bool *stored = what->stored;

	clock_now(&d->now);
	count_in_flight(p, -1);
	for (unsigned i = 0; i < p->n_batches; i++) {
		unsigned n = p->batches[i]->n;

		end_batch(d, p->batches[i], stored, what->refused);
		stored += n;
	}
	free(p);
}

/* ---- the start ---- */

static struct batch *pick_of(struct delivery *d, struct stream *s)
{
	static const struct pick_choice anything = {.clean = true, .suspects = true, .idle_suspects = true};

	while (!s->removed && !stream_is_paused(s) && s->queue.n_events > 0) {
		struct batch *b = queue_pick(&s->queue, &anything, d->now.mono_us);
		if (!b)
			return NULL;
		b = dispatch_drop_expired(d, b);
		if (b)
			return b;
	}
	return NULL;
}

/* Streams in turn. */
static struct batch *pick(struct delivery *d)
{
	for (size_t i = 0; i < d->n_streams; i++) {
		struct batch *b = pick_of(d, d->streams[d->turn++ % d->n_streams]);
		if (b)
			return b;
	}
	return NULL;
}

/* As many batches as fit, and one at least. */
static void fill(struct parcel *p, size_t room)
{
	while (p->n == 0 || p->n + LIMIT_EVENTS_PER_REQUEST <= room) {
		struct batch *b = pick(p->delivery);
		if (!b)
			return;
		p->batches[p->n_batches++] = b;
		p->n += b->n;
	}
}

static size_t describe(const struct parcel *p, struct forward_event *events)
{
	size_t n = 0;

	for (unsigned i = 0; i < p->n_batches; i++) {
		const struct batch *b = p->batches[i];
		const char *stream = batch_stream(b)->name;

		for (unsigned k = 0; k < b->n; k++)
			events[n++] = (struct forward_event){.sub = queued_event_sub(b->events[k]),
			                                     .index = b->events[k]->index,
			                                     .id = b->events[k]->id,
			                                     .stream = stream,
			                                     .maybe_sent = b->events[k]->maybe_sent,
			                                     .no_expiry = b->events[k]->no_expiry};
	}
	return n;
}

static void take_back(struct parcel *p)
{
	for (unsigned i = 0; i < p->n_batches; i++)
		batch_again(p->batches[i]);
	free(p);
}

/* False: nothing to send, or it could not be sent. */
static bool send_parcel(struct delivery *d, size_t room)
{
	struct parcel *p = malloc(sizeof(*p) + room * sizeof(struct batch *));
	struct forward_event *events;
	int r = -1;

	if (!p)
		return false;
	*p = (struct parcel){.delivery = d};
	fill(p, room);
	events = p->n > 0 ? malloc(p->n * sizeof(*events)) : NULL;
	if (events)
		r = d->forwarder->send(d->forwarder->arg, events, describe(p, events), on_done, p);
	free(events);
	if (r < 0) {
		take_back(p);
		return false;
	}
	count_in_flight(p, 1);
	for (unsigned i = 0; i < p->n_batches; i++)
		tap_batch(d, TAP_SENT, p->batches[i], NULL);
	return true;
}

void forward_start(struct delivery *d)
{
	d->more_to_start = false;
	while (*d->phase == PHASE_RUNNING && !d->starts_suspended && !settler_is_full(d->settler)) {
		size_t room = d->forwarder->room(d->forwarder->arg);
		if (room == 0 || !send_parcel(d, room < FORWARD_EVENTS_MAX ? room : FORWARD_EVENTS_MAX))
			return;
	}
}
