/* in_flight_mark.h - the high-water mark of events that a crash may send twice
 *
 * Requests start only under a mark that the outbox knows already, so that the start after a crash can report it.
 * Events count while they are in flight, and until their outcomes are committed. */
#ifndef DELIVERY_IN_FLIGHT_MARK_H
#define DELIVERY_IN_FLIGHT_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "delivery/queue/outbox_jobs.h"

/* Private to in_flight_mark.c. */
struct in_flight_mark {
	struct outbox_jobs *jobs; /* outlives it */
	uint64_t known, asked;    /* by the outbox; for which it was asked last */
	int64_t idle_since_us;    /* nothing exposed since; INT64_MIN: busy */
};

void in_flight_mark_init(struct in_flight_mark *m, struct outbox_jobs *jobs);
/* May this many events in all be exposed? Asks the outbox for a higher mark ahead of time. */
bool in_flight_mark_allows(struct in_flight_mark *m, uint64_t events);
/* Once per turn: with nothing exposed for ten seconds the mark falls to 0. */
void in_flight_mark_review(struct in_flight_mark *m, uint64_t exposed, int64_t mono_us);
/* Monotonic time of the next review that has something to do; INT64_MAX: none. */
int64_t in_flight_mark_next_us(const struct in_flight_mark *m);

#endif
