/* back_pressure.c - stops reading while too much input awaits its commit, and resumes at half of that
 *
 * A new line waits until all pending input is committed, so the limits are only a little above what a large group
 * commit needs. */
#include "intake/intake_private.h"

enum { PENDING_EVENTS_MAX = 16384, PENDING_BYTES_MAX = 16 * 1024 * 1024 };

void back_pressure_apply(struct intake *in)
{
	if (in->pending_events >= PENDING_EVENTS_MAX || in->pending_bytes >= PENDING_BYTES_MAX)
		listener_pause(in->listener, true);
}

void back_pressure_relieve(struct intake *in)
{
	if (in->pending_events <= PENDING_EVENTS_MAX / 2 && in->pending_bytes <= PENDING_BYTES_MAX / 2)
		listener_pause(in->listener, false);
}
