/* dispatch.c - which streams may start requests now, how many, and with what */

#include "delivery/delivery_private.h"

enum {
	STARTS_A_ROUND = 8, /* requests that one stream may start before the next one's turn */
	/* … and all streams in one turn of the loop: 60 us each to write the body and as much to send it, during
	 * which nothing else is served; and the first body is sent before the last one is written. */
	STARTS_A_TURN = 16,
	SUSPECTS_MAX = 8, /* requests of suspects at once, while others are ready */
};

uint64_t dispatch_exposed(const struct delivery *d)
{
	if (d->forwarder) /* what is sent there twice is stored once */
		return 0;
	return d->in_flight_events + settler_uncommitted(d->settler);
}

/* What looks too old while the clock is not trusted waits; its neighbours go. */
static struct batch *hold_back(struct delivery *d, struct batch *b, uint32_t which)
{
	int64_t until_us = expiry_wait_until_us(d->expiry, &d->now);
	if (which == 0)
		return b;
	struct batch *old = which == (UINT32_C(1) << b->n) - 1 ? b : batch_cut(b, which);
	if (old && old != b) {
		batch_park(old, until_us);
		return b;
	}
	batch_park(b, until_us);
	return NULL;
}

struct batch *dispatch_drop_expired(struct delivery *d, struct batch *b)
{
	uint32_t wait = 0;
	for (unsigned i = b->n; i-- > 0;) {
		struct queued_event *e = b->events[i];
		enum expiry_verdict verdict = expiry_decide(d->expiry, e, &d->now);
		wait |= (uint32_t)(verdict == EXPIRY_WAIT) << i;
		if (verdict != EXPIRY_YES)
			continue;
		batch_drop_event(b, i);
		leave(d, &e, 1, &(struct departure){.as = LEAVE_DEAD, .reason = DEAD_EXPIRED});
	}
	if (b->n > 0)
		return hold_back(d, b, wait);
	batch_free(b);
	return NULL;
}

/* The kinds of batches that may be picked now. Suspects never take every place, since they may be what makes requests
 * fail or hang: an eighth of the window, three quarters when nothing else is ready, and one more request may start
 * when only such are in flight. */
static struct pick_choice choose(const struct delivery *d, const struct stream *s)
{
	bool up = s->destination.state == DESTINATION_UP;
	unsigned slots = destination_slots(&s->destination, s->in_flight, d->now.mono_us);
	unsigned suspects = s->queue.suspects_in_flight, window = s->destination.window.size;
	unsigned few = window / 8 < 1 ? 1 : window / 8 > SUSPECTS_MAX ? SUSPECTS_MAX : window / 8;
	unsigned most = window - window / 4;
	struct pick_choice choice = {.failed_last = s->failed_last, .failed_envelope = s->failed_envelope};
	if (s->in_flight >= d->max_per_stream)
		return (struct pick_choice){0};
	/* a window of one, after an outage, would be taken by one that hangs after another */
	bool past_hanging = up && s->in_flight < WINDOW_START && requests_all_slow(d, s);
	choice.probe = slots > 0 && !up;
	choice.parts = slots > 0 && destination_wants_parts(&s->destination);
	choice.clean = slots > 0 || (up && s->in_flight > 0 && suspects == s->in_flight);
	choice.suspects = slots > 0 && suspects < few;
	choice.idle_suspects = (slots > 0 && suspects < most) || past_hanging;
	/* nor does one envelope that hangs: one more request may start, for another */
	choice.crowding = up ? requests_crowding(d, s) : 0;
	return choice;
}

/* How many were started. */
static unsigned start_of_stream(struct delivery *d, struct stream *s, unsigned max)
{
	unsigned started = 0;
	if (*d->phase >= PHASE_ABORTING || s->removed || stream_is_paused(s))
		return 0;
	while (started < max && !settler_is_full(d->settler)) {
		struct pick_choice choice = choose(d, s);
		if (!choice.clean && !choice.idle_suspects && !choice.probe && !choice.crowding)
			break;
		if (!s->queue.n_events ||
		    !in_flight_mark_allows(&d->mark, dispatch_exposed(d) + LIMIT_EVENTS_PER_REQUEST))
			break;
		struct batch *b = queue_pick(&s->queue, &choice, d->now.mono_us);
		if (!b)
			break;
		b = dispatch_drop_expired(d, b);
		if (b && request_start(d, s, b))
			started++;
	}
	return started;
}

/* In rounds, so that streams share the loop's time fairly; which one is first goes round too. */
void dispatch_start(struct delivery *d)
{
	bool draining = *d->phase != PHASE_RUNNING;
	if (d->forwarder) {
		forward_start(d);
		return;
	}
	d->more_to_start = d->n_streams > 0 && !d->starts_suspended;
	for (unsigned started = 0; d->more_to_start && started < STARTS_A_TURN;) {
		d->more_to_start = false;
		for (size_t i = 0; i < d->n_streams; i++) {
			struct stream *s = d->streams[(d->turn + i) % d->n_streams];
			bool few = draining && s->drain_quota < STARTS_A_ROUND;
			unsigned n = start_of_stream(d, s, few ? s->drain_quota : STARTS_A_ROUND);
			if (draining)
				s->drain_quota -= n;
			d->more_to_start |= n == STARTS_A_ROUND;
			started += n;
		}
	}
	d->turn++;
}

void dispatch_limit(struct delivery *d)
{
	for (size_t i = 0; i < d->n_streams; i++) {
		struct stream *s = d->streams[i];
		s->drain_quota = destination_slots(&s->destination, s->in_flight, d->now.mono_us);
	}
}
