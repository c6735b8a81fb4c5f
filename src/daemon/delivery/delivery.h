/* delivery.h - from the outbox to the endpoints: the schedule, the destinations and the requests in flight
 *
 * A facade over scheduler.c (which event next), destination (model/destination.h: may we send) and dispatch.c
 * (requests and outcomes). Invariant 2 lives below it: an event leaves only through a SETTLE job. */
#ifndef DAEMON_DELIVERY_DELIVERY_H
#define DAEMON_DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macros.h"
#include "daemon/streams.h"
#include "model/counters.h"
#include "model/destination.h"
#include "model/tap.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "store/writer.h"

struct delivery;

int delivery_new(struct delivery **ret, struct loop *loop, struct writer *writer, const struct streams *streams,
                 struct counters *counters, const struct tap *tap, const struct now *now, struct err *err) MUST_CHECK;
struct delivery *delivery_free(struct delivery *d);
/* For a reload: windows of streams that stay are kept, removed ones forgotten (their events stay on disk). */
int delivery_set_streams(struct delivery *d, const struct streams *streams, struct err *err) MUST_CHECK;

/* The room that a submission of one event should have for us (submission.room): else one more block is allocated. */
size_t delivery_room(void);
/* Just committed; takes references of its own. */
void delivery_accept(struct delivery *d, struct submission *sub, const struct now *now);
/* The tail's part: reaps finished requests, applies outcomes, expires, refills, starts requests, submits settles. */
void delivery_pump(struct delivery *d, const struct now *now);

/* Operators. sid 0: every stream. */
void delivery_pause(struct delivery *d, uint32_t sid, bool paused);
void delivery_flush_waiting(struct delivery *d); /* ctl flush: linger and backoff end now */
/* While an operator's change is at the writer no request starts: what it changes cannot go out beside it. */
void delivery_suspend_starts(struct delivery *d, bool suspended);
/* Held, dropped or to be read anew: no longer in memory, and nothing brings it back but the outbox as it is now. */
void delivery_forget(struct delivery *d, const uint64_t *ids, size_t n);
void delivery_requeued(struct delivery *d, uint64_t lowest_id); /* something at or above became queued */
/* Ids in flight now, ascending; malloc'd into *ret (free()). 0 or -ENOMEM. */
int delivery_in_flight_ids(const struct delivery *d, uint64_t **ret, size_t *ret_n) MUST_CHECK;
/* Millisecond until the event may be tried again (0: now), -1: not in memory or in flight. */
int64_t delivery_next_attempt_ms(const struct delivery *d, uint64_t id, int64_t mono_us);
bool delivery_is_in_flight(const struct delivery *d, uint64_t id);

struct delivery_stream_status {
	uint32_t sid;
	const char *name;
	enum destination_state state;
	bool paused;
	int64_t retry_in_us;        /* while backing off; else 0 */
	unsigned window, in_flight; /* requests */
	uint64_t in_flight_events, in_memory;
	char last_error[192]; /* "" : none since the last success */
	int64_t down_since_wall_us;
};
struct delivery_status {
	struct delivery_stream_status streams[256];
	size_t n_streams;
	uint64_t in_flight_events;
	int64_t oldest_time_us;  /* event time of the oldest undelivered known; INT64_MAX: none */
	int64_t oldest_age_us;   /* 0: none */
	int64_t first_expiry_us; /* from now; -1: none waiting */
	bool expiry_suspended;   /* a tenth would have expired at start: waiting 10 minutes */
};
void delivery_get_status(const struct delivery *d, const struct now *now, struct delivery_status *ret);

/* SIGTERM: nothing lingers, no new batches beyond what free requests take at once, outcomes go on being settled. */
void delivery_drain(struct delivery *d, const struct now *now);
/* Nothing in flight and every outcome committed. */
bool delivery_drained(const struct delivery *d);
/* drain_timeout or a second SIGTERM: cuts off what is in flight (noted maybe-sent). */
void delivery_abort(struct delivery *d);
/* Frees what is kept for the next burst; connections stay. */
void delivery_give_back(struct delivery *d);

#endif
