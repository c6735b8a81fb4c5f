/* event_state.h - states an event can be in, and why one died */
#ifndef EVENT_EVENT_STATE_H
#define EVENT_EVENT_STATE_H

/* The numbers are in the outbox file: append only. In flight is a state of the process and never stored. */
enum event_state { STATE_QUEUED = 0, STATE_HELD = 1, STATE_DEAD = 2, STATE_DELIVERED = 3, STATE_COUNT };
enum dead_reason {
	DEAD_NONE = 0,
	DEAD_REFUSED = 1,
	DEAD_TOO_LARGE = 2,
	DEAD_EXPIRED = 3,
	DEAD_AMBIGUOUS = 4,
	DEAD_CORRUPT = 5,
	DEAD_COUNT
};

const char *event_state_name(enum event_state s); /* "queued" … */
const char *dead_reason_name(enum dead_reason r); /* "refused", "too-large", …; "" for none */

#endif
