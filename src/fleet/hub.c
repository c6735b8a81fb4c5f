/* hub.c - the hub's life: how its parts are put together, and what they do in a turn of the loop */
#include "fleet/hub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/random.h"
#include "fleet/hub_private.h"

enum { ARGS_BYTES = 4 << 20 /* of a statement: outcomes of HUB_PARCEL events, with answers */ };
enum { AWAKE_US = 100 * 1000, IDLE_US = 250 * 1000, DOWN_US = 1000 * 1000 };

/* The tail decides; the timer only makes the turn come. */
static void on_timer(void *arg UNUSED) {}

static void on_state(void *arg)
{
	struct hub *h = arg;

	if (!h->pg)
		return; /* within pg_open() */
	hub_log_engine(h);
	h->clock_known = false;
	h->clock_at_us = h->renew_at_us = 0;
	loop_again(h->loop);
}

/* A new one at every start: leases of the process before it end by themselves. */
static void name_owner(struct hub *h)
{
	char host[64] = "";

	if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
		snprintf(host, sizeof(host), "host");
	snprintf(h->owner, sizeof(h->owner), "%s/%08" PRIx32, host, (uint32_t)random_u64());
}

static void set_times(struct hub *h, const struct hub_config *config)
{
	h->lease_us = config->lease_us;
	h->keep_keys_us = config->keep_keys_us;
	h->keep_dead_us = config->keep_dead_us;
}

static void init(struct hub *h, struct loop *loop, struct delivery *delivery, const struct hub_config *config)
{
	h->loop = loop;
	h->delivery = delivery;
	h->lender = (struct lender){.arg = h, .settle = hub_on_settle, .returned = hub_on_returned};
	h->next_id = LENT_ID_FIRST;
	h->limit = HUB_EVENTS_MIN;
	h->unknown_log = h->refused_log = (struct log_limit){.interval_us = US_PER_MIN, .burst = 1};
	TAILQ_INIT(&h->outcomes[0]);
	TAILQ_INIT(&h->outcomes[1]);
	idmap_init(&h->by_id);
	idmap_init(&h->by_seq);
	pg_args_init(&h->args, ARGS_BYTES);
	set_times(h, config);
	name_owner(h);
	clock_now(&h->now);
}

int hub_new(struct hub **ret, struct loop *loop, struct delivery *delivery, const struct hub_config *config,
            struct err *err)
{
	struct hub *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_set(err, -ENOMEM, "fleet: no memory");
	init(h, loop, delivery, config);
	h->timer = loop_timer_new(loop, on_timer, h);
	r = h->timer ? pg_open(&h->pg, loop, &config->pg, on_state, h, err)
	             : err_set(err, -ENOMEM, "fleet: no memory");
	if (r < 0) {
		hub_free(h);
		return r;
	}
	delivery_set_lender(delivery, &h->lender);
	loop_timer_set(h->timer, 0);
	*ret = h;
	return 0;
}

struct hub *hub_free(struct hub *h)
{
	if (!h)
		return NULL;
	delivery_set_lender(h->delivery, NULL);
	pg_free(h->pg);
	hub_events_free_all(h);
	pg_args_free(&h->args);
	loop_timer_free(h->timer);
	free(h);
	return NULL;
}

int hub_set_config(struct hub *h, const struct hub_config *config, struct err *err)
{
	int r = pg_set_config(h->pg, &config->pg, err);

	if (r == 0)
		set_times(h, config);
	return r;
}

/* ---- the turn ---- */

/* How much may be in memory: what the last second's pace needs. A slow hub leaves the rest to others. */
static void set_limit(struct hub *h)
{
	unsigned wanted;

	if (h->now.mono_us - h->second_us < US_PER_S)
		return;
	wanted = h->recorded_now * 4;
	h->limit = wanted < HUB_EVENTS_MIN ? HUB_EVENTS_MIN : wanted > HUB_EVENTS ? HUB_EVENTS : wanted;
	h->recorded_now = 0;
	h->second_us = h->now.mono_us;
}

void hub_check_leases(struct hub *h, const struct now *now)
{
	h->now = *now;
	if (h->n_mine > 0)
		hub_lanes_check(h);
}

static void work(struct hub *h)
{
	hub_maintenance(h);
	hub_outcomes_send(h);
	if (h->n_mine > 0 || h->taking)
		hub_lanes_renew(h);
	if (!h->draining && h->clock_known && !h->clock_wrong) {
		hub_lanes_take(h);
		hub_read(h);
	}
	if (!h->draining || (delivery_drained(h->delivery) && h->n_unrecorded == 0))
		hub_lanes_release(h);
}

void hub_pump(struct hub *h, const struct now *now)
{
	bool up = hub_engine_is_up(h);

	h->now = *now;
	set_limit(h);
	if (up)
		work(h);
	loop_timer_set(h->timer, !up ? DOWN_US : h->n_mine > 0 || h->n_unrecorded > 0 ? AWAKE_US : IDLE_US);
}

/* ---- the end ---- */

void hub_drain(struct hub *h)
{
	h->draining = true;
	loop_again(h->loop);
}

bool hub_drained(struct hub *h)
{
	return h->abandoned || (h->n_unrecorded == 0 && (h->n_mine == 0 || !hub_engine_is_up(h)));
}

unsigned hub_abandon(struct hub *h)
{
	h->abandoned = true;
	return (unsigned)h->n_unrecorded;
}

void hub_get_status(const struct hub *h, struct hub_status *ret)
{
	*ret = (struct hub_status){
	        .owner = h->owner,
	        .lanes = h->n_mine,
	        .events = h->n_events,
	        .unrecorded = h->n_unrecorded,
	        .taken = h->taken,
	        .leases_lost = h->leases_lost,
	        .unknown_stream = h->unknown_stream,
	        .clock_difference_us = h->clock_difference_us,
	        .clock_wrong = h->clock_wrong,
	        .oldest_age_us = h->oldest_age_us,
	};
	pg_get_status(h->pg, &ret->pg);
}
