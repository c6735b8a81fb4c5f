/* private.h - what the files of the facade share */
#ifndef DAEMON_DELIVERY_PRIVATE_H
#define DAEMON_DELIVERY_PRIVATE_H

#include "daemon/delivery/delivery.h"
#include "daemon/delivery/dispatch.h"
#include "daemon/delivery/expiry.h"
#include "daemon/delivery/scheduler.h"

enum { STREAMS_MAX = 256 };

struct delivery {
	struct loop *loop;
	struct writer *writer;
	struct loop_timer *timer;
	struct http_client *http; /* NULL in tests that bring their own endpoint */
	struct scheduler scheduler;
	struct dispatch dispatch;
	struct expiry expiry;
	struct outlet *outlets[STREAMS_MAX]; /* removed ones included until nothing of theirs is in flight */
	size_t n_outlets;
	struct outlet *by_sid[STREAMS_MAX];
	size_t turn;        /* whose turn it is to start first */
	bool more_to_start; /* in the next turn: this one has done enough */
	bool draining;
	bool starts_suspended; /* an operator's change is at the writer */
	int64_t stats_at_us;   /* when the outbox's counters were last looked at */
};

/* When the next turn must come though nothing else happens; monotonic, INT64_MAX: never. */
int64_t delivery_next_us(const struct delivery *d, const struct now *now);

/* streams.c: conf to outlets. */
int streams_apply(struct delivery *d, const struct streams *streams, struct err *err) MUST_CHECK;
/* Frees removed outlets that have nothing in flight or settling. */
void streams_reap_removed(struct delivery *d);
struct outlet *outlet_free(struct delivery *d, struct outlet *o);

#endif
