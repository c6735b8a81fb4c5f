/* forward.h - where events go instead of to their endpoints: another place that keeps them (src/fleet)
 *
 * Delivery picks and packs them, the forwarder sends them and reports which are safe there. Loop thread only. */
#ifndef EVENT_FORWARD_H
#define EVENT_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "event/event.h"

enum { FORWARD_EVENTS_MAX = 1000 }; /* in one go */

struct forward_event {
	const struct submission *sub; /* stays until done() */
	uint32_t index;               /* of sub->events */
	uint64_t id;
	const char *stream; /* its name; copied by send() */
	bool maybe_sent, no_expiry;
};

/* stored[i]: events[i] is safe there, and leaves. refused: the others would be refused again as they are; otherwise
 * they may go again as soon as there is room. Valid during the call. */
struct forwarded {
	const bool *stored;
	bool refused;
};
typedef void forward_done_fn(void *arg, const struct forwarded *what);

struct forwarder {
	void *arg;
	/* How many events may go now; 0: none, and whoever changes that calls loop_again() */
	size_t (*room)(void *arg);
	/* done() is called exactly once, never before this returns. Negative: not sent, and done() is not called. */
	int (*send)(void *arg, const struct forward_event *events, size_t n, forward_done_fn *done, void *done_arg);
};

#endif
