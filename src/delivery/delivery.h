/* delivery.h - from the outbox to the endpoints: the schedule, the destinations and the requests in flight
 *
 * A line's way: delivery_accept() puts committed events into their stream's queue (queue.c, refill.c), dispatch.c
 * picks batches, delivery_request.c sends them, outcome_apply.c carries out what came of it, and leave.c is the only
 * way out. Invariant 2 holds below it: an event leaves only through a job that records why (settle.c). Loop thread
 * only. */
#ifndef DELIVERY_DELIVERY_H
#define DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macros.h"
#include "base/phase.h"
#include "conf/conf.h"
#include "event/forward.h"
#include "event/lent.h"
#include "event/tap.h"
#include "ga4/stream_rules.h"
#include "metrics/counters.h"
#include "net/http_client/http_client.h"
#include "net/loop.h"
#include "outbox/writer.h"
#include "policy/destination.h"

struct delivery;

/* All outlive the delivery. */
struct delivery_context {
	struct loop *loop;
	struct writer *writer;
	struct counters *counters;
	const struct tap *tap;
	const enum phase *phase;
	const struct forwarder *forwarder; /* NULL: events go to their endpoints */
};
/* rules[i].sid belongs to conf->streams[i]; neither is kept. */
int delivery_new(struct delivery **ret, const struct delivery_context *context, const struct conf *conf,
                 const struct stream_rules *rules, const struct now *now, struct err *err) MUST_CHECK;
/* After writer_stop(), whose done() calls need it. Takes NULL. */
struct delivery *delivery_free(struct delivery *d);
/* For a reload: streams that stay keep their windows, removed ones are forgotten (their events stay on disk). */
int delivery_set_streams(struct delivery *d, const struct conf *conf, const struct stream_rules *rules,
                         struct err *err) MUST_CHECK;

/* Just committed. Takes a reference. */
void delivery_accept(struct delivery *d, struct submission *sub, const struct now *now);
/* Events of a queue elsewhere. The lender outlives the delivery, or is replaced by NULL, when nothing is lent. */
void delivery_set_lender(struct delivery *d, const struct lender *lender);
/* By which the ages of lent events go: the lender's wall clock less this host's boot-time clock. Before the first is
 * lent. */
void delivery_set_lent_clock(struct delivery *d, int64_t base_us);
/* Of a configured stream; 0: there is none of that name. */
uint32_t delivery_stream_sid(const struct delivery *d, struct slice name);
/* One event, whose first_id is a new one from LENT_ID_FIRST up; ids ascend in the order in which a client's events
 * are to go. Takes a reference. 0, -ENOENT: no such stream, or -ENOMEM. */
int delivery_lend(struct delivery *d, struct submission *sub, const struct lent_past *past,
                  const struct now *now) MUST_CHECK;
/* The lender has recorded the outcome that it was given. */
void delivery_lent_settled(struct delivery *d, uint64_t id);
/* Delivery's part of the loop's tail: reaps finished requests, applies outcomes, expires, refills, starts requests,
 * submits jobs. */
void delivery_pump(struct delivery *d, const struct now *now);

/* Operators. sid 0: every stream. */
void delivery_pause(struct delivery *d, uint32_t sid, bool paused);
/* Linger and backoff end now. */
void delivery_flush_waiting(struct delivery *d);
/* While an operator's change is at the writer no request starts: what it changes cannot go out beside it. */
void delivery_suspend_starts(struct delivery *d, bool suspended);
/* Held, dropped, lent no longer, or to be read anew: no longer in memory, and nothing brings it back but the outbox
 * as it is now. */
void delivery_forget(struct delivery *d, const uint64_t *ids, size_t n);
/* Something at or above that id became queued. */
void delivery_requeued(struct delivery *d, uint64_t lowest_id);
/* Ids in flight now, ascending; malloc'd into *ret (free()). 0 or -ENOMEM. */
int delivery_in_flight_ids(const struct delivery *d, uint64_t **ret, size_t *ret_n) MUST_CHECK;
/* In flight for an operator: also while the outcome is not committed yet. */
bool delivery_is_in_flight(const struct delivery *d, uint64_t id);
/* A delivered event that is still remembered (outbox.remember_delivered). */
struct delivered_event {
	uint64_t id;
	uint32_t sid;
	int64_t when_us; /* wall clock: when the answer came */
	unsigned attempts;
	int status;
	/* Its request: how many events it carried, and the first and the last of them that are remembered. */
	unsigned n_events;
	uint64_t first_id, last_id;
};
bool delivery_find_delivered(const struct delivery *d, uint64_t id, struct delivered_event *ret);
/* Milliseconds until the event may be tried again (0: now); -1: not in memory, or in flight. */
int64_t delivery_next_attempt_ms(const struct delivery *d, uint64_t id, int64_t mono_us);

struct delivery_stream_status {
	uint32_t sid;
	const char *name;
	enum destination_state state;
	int64_t retry_in_us;        /* while backing off; else 0 */
	unsigned window, in_flight; /* requests */
	uint64_t in_flight_events, in_memory;
	int64_t oldest_age_us; /* of its events; 0: none */
	char last_error[192];  /* "": none since the last success */
	int64_t down_since_wall_us;
};
struct expiry_status {
	int64_t oldest_time_us;  /* time of the oldest undelivered event, by the trusted clock; INT64_MAX: none */
	int64_t oldest_age_us;   /* 0: none */
	int64_t first_expiry_us; /* from now; -1: nothing waits that can expire */
	bool suspended; /* a tenth of the backlog would have expired at start: nothing does for ten minutes */
};
struct expiry_of_stream {
	int64_t oldest_age_us;   /* of the oldest event in memory, where the oldest ids are; 0: none */
	int64_t first_expiry_us; /* likewise; not too late, if more is in the outbox; -1: nothing waits that can
	                            expire */
};
struct delivery_status {
	struct delivery_stream_status streams[STORE_STREAMS_MAX];
	size_t n_streams;
	uint64_t in_flight_events;
	struct expiry_status expiry;
};
/* 70 KB: not for the stack. */
void delivery_get_status(const struct delivery *d, const struct now *now, struct delivery_status *ret);

/* The phase is PHASE_DRAINING from now on: nothing lingers, no new batches beyond what free requests take at once,
 * outcomes go on being settled. */
void delivery_drain(struct delivery *d, const struct now *now);
/* Nothing in flight and every outcome committed, or refused by the disk: those events are sent again. */
bool delivery_drained(const struct delivery *d);
/* The phase is PHASE_ABORTING from now on: takes the answers that have arrived and cuts off what else is in flight
 * (recorded as maybe sent). Returns the number of requests cut off. */
unsigned delivery_abort(struct delivery *d);
/* Frees what is kept for the next burst; connections stay. */
void delivery_give_back(struct delivery *d);

#endif
