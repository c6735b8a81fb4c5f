/* dead.c - the words for an event's state and for why it died */
#include "model/dead.h"

const char *event_state_name(enum event_state s)
{
	switch (s) {
	case STATE_QUEUED:
		return "queued";
	case STATE_HELD:
		return "held";
	case STATE_DEAD:
		return "dead";
	case STATE_DELIVERED:
		return "delivered";
	case STATE_COUNT:
		break;
	}
	return "unknown";
}

const char *dead_reason_name(enum dead_reason r)
{
	switch (r) {
	case DEAD_NONE:
		return "";
	case DEAD_REFUSED:
		return "refused";
	case DEAD_TOO_LARGE:
		return "too-large";
	case DEAD_EXPIRED:
		return "expired";
	case DEAD_AMBIGUOUS:
		return "ambiguous";
	case DEAD_CORRUPT:
		return "corrupt";
	case DEAD_COUNT:
		break;
	}
	return "unknown";
}
