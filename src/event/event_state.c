/* event_state.c - the words for an event's state and for why it died */
#include "event/event_state.h"

const char *event_state_name(enum event_state s)
{
	static const char *const names[STATE_COUNT] = {
	        [STATE_QUEUED] = "queued",
	        [STATE_HELD] = "held",
	        [STATE_DEAD] = "dead",
	        [STATE_DELIVERED] = "delivered",
	};
	return (unsigned)s < STATE_COUNT ? names[s] : "unknown";
}

const char *dead_reason_name(enum dead_reason r)
{
	static const char *const names[DEAD_COUNT] = {
	        [DEAD_NONE] = "",           [DEAD_REFUSED] = "refused",     [DEAD_TOO_LARGE] = "too-large",
	        [DEAD_EXPIRED] = "expired", [DEAD_AMBIGUOUS] = "ambiguous", [DEAD_CORRUPT] = "corrupt",
	};
	return (unsigned)r < DEAD_COUNT ? names[r] : "unknown";
}
