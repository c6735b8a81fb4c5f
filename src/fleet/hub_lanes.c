/* hub_lanes.c - leases: lanes are taken, renewed while the hub works, and released when nothing of them is left to do
 */
#include "fleet/hub_private.h"
#include "fleet/hub_sql.h"

enum {
	TAKE_IDLE_US = 250 * 1000, /* between two looks while nothing is queued */
	TAKE_FAILED_US = 1000 * 1000,
	LANES_ACTIVE = 64, /* of 256: others want some too */
	LANES_A_TAKE = 32,
	RENEWALS = 3,     /* of a lease before it ends */
	LEASE_MARGIN = 6, /* the last sixth of a lease starts no request: answers come meanwhile */
};

static void lose(struct hub *h, struct lane *l)
{
	l->mine = l->releasing = false;
	h->n_mine--;
}

static uint8_t number(const struct hub *h, const struct lane *l)
{
	return (uint8_t)(l - h->lanes);
}

static bool is_lane(int64_t n)
{
	return n >= 0 && n < FLEET_LANES;
}

/* ---- take ---- */

static void taken(struct hub *h, int64_t n, int64_t up_to)
{
	struct lane *l = &h->lanes[n];

	if (l->mine)
		return; /* its lease ended, and it was taken again before that was noticed */
	*l = (struct lane){.mine = true,
	                   .until_us = h->take_sent_us + h->lease_us,
	                   .taken = up_to,
	                   .held = l->held,
	                   .untried = l->untried};
	h->n_mine++;
}

static void on_taken(void *arg, const struct pg_answer *answer)
{
	struct hub *h = arg;
	unsigned n = pg_rows(answer);

	h->taking = false;
	if (answer->outcome != PG_COMMITTED) {
		h->take_not_before_us = h->now.mono_us + TAKE_FAILED_US;
		if (answer->outcome == PG_REFUSED)
			hub_log_refused(h, "no lanes can be leased", answer);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		if (is_lane(pg_i64(answer, i, 0)))
			taken(h, pg_i64(answer, i, 0), pg_i64(answer, i, 1));
	h->take_not_before_us = h->now.mono_us + (n == LANES_A_TAKE ? 0 : TAKE_IDLE_US);
	loop_again(h->loop);
}

/* Lanes of which everything was tried and failed wait for their next try, and hold up no others. */
static unsigned active_lanes(const struct hub *h)
{
	unsigned n = 0;

	for (size_t i = 0; i < FLEET_LANES; i++)
		n += h->lanes[i].mine && (h->lanes[i].untried > 0 || h->lanes[i].held == 0);
	return n;
}

void hub_lanes_take(struct hub *h)
{
	if (h->taking || h->now.mono_us < h->take_not_before_us || h->n_events >= h->limit / 2 ||
	    active_lanes(h) + LANES_A_TAKE > LANES_ACTIVE)
		return;
	pg_args_clear(&h->args);
	pg_arg_text(&h->args, slice_of(h->owner));
	pg_arg_i64(&h->args, h->lease_us);
	pg_arg_i64(&h->args, LANES_A_TAKE);
	if (pg_send(h->pg, &SQL_HUB_TAKE, &h->args, PG_ANY, on_taken, h) < 0)
		return;
	h->taking = true;
	h->take_sent_us = h->now.mono_us;
}

/* ---- renew ---- */

static void on_renewed(void *arg, const struct pg_answer *answer)
{
	struct hub *h = arg;

	h->renewing = false;
	if (answer->outcome != PG_COMMITTED) {
		h->renew_at_us = h->now.mono_us + TAKE_FAILED_US;
		if (answer->outcome == PG_REFUSED)
			hub_log_refused(h, "leases cannot be renewed", answer);
		return;
	}
	for (unsigned i = 0; i < pg_rows(answer); i++) {
		int64_t n = pg_i64(answer, i, 0);

		if (!is_lane(n))
			continue;
		if (!h->lanes[n].mine) /* the answer to its taking was lost */
			taken(h, n, INT64_MAX);
		if (h->lanes[n].until_us < h->renew_sent_us + h->lease_us)
			h->lanes[n].until_us = h->renew_sent_us + h->lease_us;
	}
}

void hub_lanes_renew(struct hub *h)
{
	if (h->renewing || h->now.mono_us < h->renew_at_us)
		return;
	h->renew_at_us = h->now.mono_us + h->lease_us / RENEWALS;
	pg_args_clear(&h->args);
	pg_arg_text(&h->args, slice_of(h->owner));
	pg_arg_i64(&h->args, h->lease_us);
	if (pg_send(h->pg, &SQL_HUB_RENEW, &h->args, PG_ANY, on_renewed, h) < 0)
		return;
	h->renewing = true;
	h->renew_sent_us = h->now.mono_us;
}

/* ---- end ---- */

void hub_lanes_check(struct hub *h)
{
	unsigned lost = 0, events = 0;

	for (size_t i = 0; i < FLEET_LANES; i++) {
		struct lane *l = &h->lanes[i];

		if (!l->mine || l->until_us - h->lease_us / LEASE_MARGIN > h->now.mono_us)
			continue;
		lost++;
		events += l->held;
		lose(h, l);
		hub_events_take_back(h, (uint8_t)i);
	}
	h->leases_lost += lost;
	if (lost > 0 && !h->draining)
		log_warning("fleet: %u leases ended before they could be renewed: their %u events are left to "
		            "whichever hub reaches the database first",
		            lost, events);
}

static void on_released(void *arg, const struct pg_answer *answer)
{
	struct hub *h = arg;

	h->releasing--;
	for (size_t i = 0; i < FLEET_LANES; i++) {
		struct lane *l = &h->lanes[i];

		if (!l->mine || !l->releasing)
			continue;
		if (answer->outcome == PG_COMMITTED)
			lose(h, l);
		l->releasing = false;
	}
	loop_again(h->loop);
}

/* While draining, all of it: delivery has stopped, and what it was given and did not send is taken back. */
static bool may_release(const struct hub *h, const struct lane *l)
{
	if (!l->mine || l->releasing)
		return false;
	return h->draining ? true : l->held == 0 && l->read_once && (l->ended || lane_visit_is_over(l));
}

void hub_lanes_release(struct hub *h)
{
	uint8_t which[FLEET_LANES];
	size_t n = 0;

	if (h->releasing > 0 || h->reading || h->renewing)
		return;
	for (size_t i = 0; i < FLEET_LANES; i++)
		if (may_release(h, &h->lanes[i]))
			which[n++] = number(h, &h->lanes[i]);
	if (n == 0)
		return;
	pg_args_clear(&h->args);
	pg_arg_text(&h->args, slice_of(h->owner));
	pg_arg_i64s(&h->args, n);
	for (size_t i = 0; i < n; i++)
		pg_arg_next_i64(&h->args, which[i]);
	if (pg_send(h->pg, &SQL_HUB_RELEASE, &h->args, PG_ANY, on_released, h) < 0)
		return;
	h->releasing++;
	for (size_t i = 0; i < n; i++)
		h->lanes[which[i]].releasing = true;
}
