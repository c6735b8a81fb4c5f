/* expiry.h - events that grow too old become dead letters, and no wrong or stepped clock makes them so
 *
 * An event's age is its age at acceptance plus the boot-time clock since then; ages are compared in the common time
 * line of policy/clock_skew.h. Events in memory are judged when they are about to be sent, the rest of the outbox is
 * searched in slices. */
#ifndef DELIVERY_EXPIRY_H
#define DELIVERY_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "delivery/delivery.h"
#include "delivery/queue/queue.h"

struct expiry;

/* The search made a dead letter of that event. */
typedef void expiry_found_fn(void *arg, uint64_t id, uint32_t sid);

/* jobs and queues outlive it. NULL: no memory. */
struct expiry *expiry_new(struct outbox_jobs *jobs, const struct queues *queues, const struct now *now,
                          expiry_found_fn *found, void *arg) MUST_CHECK;
struct expiry *expiry_free(struct expiry *e);
void expiry_set_max_age(struct expiry *e, int64_t max_age_us);
/* The lender's wall clock less this host's boot-time clock: the ages of lent events go by it, whatever
 * this host's wall clock does. */
void expiry_set_lent_clock(struct expiry *e, int64_t base_us);
/* Committed just now. */
void expiry_accept(struct expiry *e, const struct submission *sub, const struct now *now);
/* Something old may have become queued: searches again. */
void expiry_unknown(struct expiry *e);
/* That many events expired: logged at most once a minute. */
void expiry_report(struct expiry *e, unsigned n);

enum expiry_verdict { EXPIRY_NO, EXPIRY_YES, EXPIRY_WAIT /* looks too old, but the clock is not trusted yet */ };
/* Of an event that is about to be sent. */
enum expiry_verdict expiry_decide(const struct expiry *e, const struct queued_event *event, const struct now *now);
/* Until when an event that must wait does; monotonic. */
int64_t expiry_wait_until_us(const struct expiry *e, const struct now *now);

/* Once per turn: a slice of the search when one is due, the log's lines. */
void expiry_pump(struct expiry *e, const struct now *now);
/* Monotonic time at which expiry_pump() has something to do; INT64_MAX: never. */
int64_t expiry_next_us(const struct expiry *e, const struct now *now);

/* of[STORE_STREAMS_MAX] is filled in, by sid. */
void expiry_get_status(const struct expiry *e, const struct now *now, struct expiry_status *ret,
                       struct expiry_of_stream of[]);

#endif
