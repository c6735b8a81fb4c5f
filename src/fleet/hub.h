/* hub.h - the hub's part of a fleet: leases events that edges forwarded, lends them to delivery, records what came of
 * them
 *
 * Events belong to one of 256 lanes, by their stream and client. Who has the lease of a lane owns all of its events,
 * so a client's events go in order and whole envelopes together. A lease is renewed while the hub works; when it
 * ends, another hub takes the lane. Loop thread only. */
#ifndef FLEET_HUB_H
#define FLEET_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macros.h"
#include "delivery/delivery.h"
#include "net/loop.h"
#include "net/postgres/postgres.h"

struct hub;

struct hub_config {
	struct pg_config pg;
	int64_t lease_us, keep_keys_us, keep_dead_us;
};

/* loop and delivery outlive it. Makes itself delivery's lender and begins to connect. */
int hub_new(struct hub **ret, struct loop *loop, struct delivery *delivery, const struct hub_config *config,
            struct err *err) MUST_CHECK;
/* Before delivery_free(), from which nothing of it comes any more. Takes NULL, returns NULL. */
struct hub *hub_free(struct hub *h);
/* For a reload; on an error nothing is changed. */
int hub_set_config(struct hub *h, const struct hub_config *config, struct err *err) MUST_CHECK;

/* The hub's part of the loop's tail, before delivery's: leases that ended are given up. */
void hub_check_leases(struct hub *h, const struct now *now);
/* … and after it: outcomes, renewals, more lanes and events, what is due in the engine's own housekeeping. */
void hub_pump(struct hub *h, const struct now *now);

/* Takes nothing new from now on. */
void hub_drain(struct hub *h);
/* Every outcome is recorded and every lease released, or the engine could not be reached. delivery_drained() first.
 */
bool hub_drained(struct hub *h);
/* The time to drain is over: leases end by themselves, and what is not recorded may be sent twice. Returns how many
 * outcomes that are. */
unsigned hub_abandon(struct hub *h);

struct hub_status {
	struct pg_status pg;
	const char *owner;           /* as the table of lanes names it */
	unsigned lanes;              /* leases that it has */
	uint64_t events;             /* that it holds in memory */
	uint64_t unrecorded;         /* outcomes that the engine does not have yet */
	uint64_t taken, leases_lost; /* since the start: events; lanes */
	uint64_t unknown_stream;     /* events seen of streams that are not configured here, since the start */
	int64_t clock_difference_us; /* this host's clock less the server's */
	bool clock_wrong;            /* … so much that nothing is taken */
	int64_t oldest_age_us;       /* of what is queued in the engine, as of the last minute; 0: nothing is */
};
void hub_get_status(const struct hub *h, struct hub_status *ret);

#endif
