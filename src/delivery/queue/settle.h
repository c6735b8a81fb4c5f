/* settle.h - outcomes of events on their way into the outbox: gathered, committed, tried again when that fails */
#ifndef DELIVERY_QUEUE_SETTLE_H
#define DELIVERY_QUEUE_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "delivery/queue/queue.h"

enum {
	UNCOMMITTED_MAX = 10000, /* outcomes that wait for their commit: then no request starts */
	GATHERED_MAX = 64        /* outcomes that wait for company: they may go twice after a crash */
};

struct settler;

/* Both outlive it. An outcome waits for up to gather_us to be committed together with new events. NULL: no memory. */
struct settler *settler_new(struct outbox_jobs *jobs, struct queues *queues, int64_t gather_us) MUST_CHECK;
/* What could not be committed is forgotten: those events stay queued and are sent again. Takes NULL. */
struct settler *settler_free(struct settler *s);

struct settlement {
	enum settle_kind kind;
	enum dead_reason reason; /* for SETTLE_DEAD */
	bool alone;              /* SETTLE_DELIVERED: the outbox keeps the attempt of each batch */
	struct settle_attempt attempt;
};
/* Records the outcome of at least one event, all of one stream and with ids that ascend; that of a lent one with its
 * lender. Without memory for the record the events stay queued
 * in the outbox, and are sent again after a restart at the latest. */
void settle(struct settler *s, struct queued_event *const events[], unsigned n, const struct settlement *what);
/* The turn's end: what was gathered goes out, and what could not be committed once more; at_once: it waits for no
 * company. */
void settler_flush(struct settler *s, int64_t mono_us, bool at_once);
/* Monotonic time at which settler_flush() has something to do without any other event; INT64_MAX: never. */
int64_t settler_next_us(const struct settler *s);
/* Outcomes that are not committed yet. */
uint64_t settler_uncommitted(const struct settler *s);
/* UNCOMMITTED_MAX or more. */
bool settler_is_full(const struct settler *s);

#endif
