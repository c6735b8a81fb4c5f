/* hub_outcomes.c - what came of events, on its way into the engine: in statements of many, again until it has them */
#include <errno.h>
#include <stdlib.h>

#include "event/event_state.h"
#include "fleet/hub_private.h"
#include "fleet/hub_sql.h"

enum { AGAIN_US = 1000 * 1000 }; /* after a statement that failed */

/* One statement under way. */
struct parcel {
	struct hub *hub;
	size_t n;
	struct borrowed *events[HUB_PARCEL];
};

static void enlist(struct hub *h, struct borrowed *b, bool first)
{
	b->listed = &h->outcomes[b->where == DELIVERED];
	if (first)
		TAILQ_INSERT_HEAD(b->listed, b, link);
	else
		TAILQ_INSERT_TAIL(b->listed, b, link);
}

static void delist(struct borrowed *b)
{
	TAILQ_REMOVE(b->listed, b, link);
	b->listed = NULL;
}

void hub_outcomes_add(struct hub *h, struct borrowed *b)
{
	if (b->sent) {
		b->again = true;
		return;
	}
	if (b->listed)
		delist(b);
	else
		h->n_unrecorded++;
	enlist(h, b, false);
}

void hub_outcomes_remove(struct hub *h, struct borrowed *b)
{
	delist(b);
	h->n_unrecorded--;
}

/* ---- the answer ---- */

static void recorded(struct hub *h, struct borrowed *b)
{
	h->n_unrecorded--;
	b->sent = false;
	if (b->again) {
		b->again = false;
		hub_outcomes_add(h, b);
		return;
	}
	free(b->note);
	b->note = NULL;
	switch (b->where) {
	case WITH_DELIVERY:
		return;
	case DELIVERED:
	case DEAD:
		h->recorded_now++;
		delivery_lent_settled(h->delivery, b->id);
		break;
	case RETURNED:
		break;
	}
	hub_event_free(h, b);
}

static void not_recorded(struct hub *h, struct borrowed *b)
{
	b->sent = b->again = false;
	enlist(h, b, true);
}

static void on_answer(void *arg, const struct pg_answer *answer)
{
	struct parcel *p = arg;
	struct hub *h = p->hub;

	h->parcels--;
	if (answer->outcome != PG_COMMITTED)
		h->outcomes_not_before_us = h->now.mono_us + AGAIN_US;
	if (answer->outcome == PG_REFUSED)
		hub_log_refused(h, "outcomes are not recorded", answer);
	for (size_t i = p->n; i-- > 0;) {
		if (answer->outcome == PG_COMMITTED)
			recorded(h, p->events[i]);
		else
			not_recorded(h, p->events[i]);
	}
	free(p);
	loop_again(h->loop);
}

/* ---- the statements ---- */

/* Without memory for a note the event is retried, or dies, without its details. */
static struct slice error_of(const struct borrowed *b)
{
	return slice_of(b->note ? b->note->text : "");
}

static struct slice answer_of(const struct borrowed *b)
{
	return slice_of(b->note ? b->note->text + b->note->n_error + 1 : "");
}

static struct slice reason_of(const struct borrowed *b)
{
	return slice_of(dead_reason_name(b->note ? b->note->reason : DEAD_NONE));
}

enum number { NUMBER_STATE, NUMBER_ATTEMPTS, NUMBER_FLAGS, NUMBER_STATUS };

static int64_t number_of(const struct borrowed *b, enum number which)
{
	switch (which) {
	case NUMBER_STATE:
		return b->where == DEAD ? STATE_DEAD : STATE_QUEUED;
	case NUMBER_ATTEMPTS:
		return b->note ? b->note->attempts : 0;
	case NUMBER_FLAGS:
		return b->note && b->note->maybe_sent ? FLEET_MAYBE_SENT : 0;
	case NUMBER_STATUS:
		return b->note ? b->note->status : 0;
	}
	return 0;
}

static void arg_numbers(struct hub *h, const struct parcel *p, enum number which)
{
	pg_arg_i64s(&h->args, p->n);
	for (size_t i = 0; i < p->n; i++)
		pg_arg_next_i64(&h->args, number_of(p->events[i], which));
}

static void arg_texts(struct hub *h, const struct parcel *p, struct slice (*text_of)(const struct borrowed *b))
{
	pg_arg_texts(&h->args, p->n);
	for (size_t i = 0; i < p->n; i++)
		pg_arg_next_text(&h->args, text_of(p->events[i]));
}

static struct slice outbox_of(const struct borrowed *b)
{
	return slice_of(b->outbox);
}

static void arg_keys(struct hub *h, const struct parcel *p)
{
	arg_texts(h, p, outbox_of);
	pg_arg_i64s(&h->args, p->n);
	for (size_t i = 0; i < p->n; i++)
		pg_arg_next_i64(&h->args, p->events[i]->key);
}

static void arg_notes(struct hub *h, const struct parcel *p)
{
	arg_numbers(h, p, NUMBER_STATE);
	arg_texts(h, p, reason_of);
	arg_numbers(h, p, NUMBER_ATTEMPTS);
	arg_numbers(h, p, NUMBER_FLAGS);
	arg_numbers(h, p, NUMBER_STATUS);
	arg_texts(h, p, error_of);
	arg_texts(h, p, answer_of);
}

static struct parcel *fill(struct hub *h, struct borrowed_list *from)
{
	struct parcel *p = malloc(sizeof(*p));
	struct borrowed *b;

	if (!p)
		return NULL;
	p->hub = h;
	p->n = 0;
	while (p->n < HUB_PARCEL && (b = TAILQ_FIRST(from)) != NULL) {
		delist(b);
		b->sent = true;
		p->events[p->n++] = b;
	}
	return p;
}

static int send_parcel(struct hub *h, struct borrowed_list *from)
{
	bool delivered = from == &h->outcomes[1];
	struct parcel *p = fill(h, from);
	int r;

	if (!p)
		return -ENOMEM;
	pg_args_clear(&h->args);
	arg_keys(h, p);
	if (!delivered)
		arg_notes(h, p);
	r = pg_send(h->pg, delivered ? &SQL_HUB_DONE : &SQL_HUB_NOTE, &h->args, PG_ANY, on_answer, p);
	if (r == 0) {
		h->parcels++;
		return 0;
	}
	while (p->n > 0)
		not_recorded(h, p->events[--p->n]);
	free(p);
	return r;
}

void hub_outcomes_send(struct hub *h)
{
	if (h->now.mono_us < h->outcomes_not_before_us)
		return;
	for (size_t kind = 0; kind < ARRAY_LEN(h->outcomes); kind++)
		while (!TAILQ_EMPTY(&h->outcomes[kind]) && h->parcels < HUB_PARCELS)
			if (send_parcel(h, &h->outcomes[kind]) < 0) {
				h->outcomes_not_before_us = h->now.mono_us + AGAIN_US;
				return;
			}
}
