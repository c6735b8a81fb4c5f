/* tap.h - live view of events: intake and delivery report each step, whoever follows is told
 *
 * Costs one branch per step while nobody follows. Loop thread only. */
#ifndef EVENT_TAP_H
#define EVENT_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"
#include "event/event_state.h"

enum tap_what { TAP_ACCEPTED, TAP_SENT, TAP_DELIVERED, TAP_FORWARDED, TAP_DEAD, TAP_FAILED };

/* One step of one event. Valid during the call only. */
struct tap_event {
	enum tap_what what;
	const struct submission *sub;
	uint32_t index; /* of sub->events */
	uint64_t id;
	enum dead_reason reason; /* for TAP_DEAD */
	uint32_t attempts;
	int last_status;         /* 0: none */
	const char *last_error;  /* "": none */
	int64_t next_attempt_ms; /* -1: none */
	bool maybe_sent;
};

/* The follower sets and clears on_event; NULL: nobody follows. */
struct tap {
	void (*on_event)(void *arg, const struct tap_event *e);
	void *arg;
};
static inline bool tap_wanted(const struct tap *t)
{
	return t->on_event != NULL;
}

#endif
