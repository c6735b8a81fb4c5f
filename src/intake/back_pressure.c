/* back_pressure.c - reading stops when too much waits for its commit, and goes on at half of that
 *
 * A line that comes then waits for all of that, so the limit is little more than what makes large groups. */
#include "intake/intake_private.h"

enum { PENDING_EVENTS_MAX = 16384, PENDING_BYTES_MAX = 16 * 1024 * 1024 };

void back_pressure_apply(struct ingest *in)
{
	if (in->pending_events >= PENDING_EVENTS_MAX || in->pending_bytes >= PENDING_BYTES_MAX)
		listener_pause(in->listener, true);
}

void back_pressure_relieve(struct ingest *in)
{
	if (in->pending_events <= PENDING_EVENTS_MAX / 2 && in->pending_bytes <= PENDING_BYTES_MAX / 2)
		listener_pause(in->listener, false);
}
