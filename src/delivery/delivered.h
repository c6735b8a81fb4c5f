/* delivered.h - what is remembered of delivered events, for `ga4relay-ctl show`: in memory, the last ones only
 *
 * 24 bytes per event, allocated as it fills. Loop thread only. */
#ifndef DELIVERY_DELIVERED_H
#define DELIVERY_DELIVERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "delivery/delivery.h"

struct delivered_log;

/* max: events to remember; 0: none. NULL: no memory. */
struct delivered_log *delivered_log_new(size_t max) MUST_CHECK;
struct delivered_log *delivered_log_free(struct delivered_log *l);

struct delivered_request {
	uint32_t sid;
	int64_t when_us; /* wall clock: when the answer came */
	int status;
	unsigned n_events;
};
/* Call for a request, then for each of its events, in the order of their ids. Without memory it is not remembered. */
void delivered_log_begin(struct delivered_log *l, const struct delivered_request *request);
void delivered_log_add(struct delivered_log *l, uint64_t id, uint32_t attempts);
/* False if it is not remembered. Looks at all that is: a million takes about a millisecond. */
bool delivered_log_find(const struct delivered_log *l, uint64_t id, struct delivered_event *ret);

#endif
