/* pause.c - when nothing of a stream is sent: an operator's pause or the file's, and changes by an operator */
#include "delivery/delivery_private.h"

bool stream_is_paused(const struct stream *s)
{
	switch (s->pause_word) {
	case PAUSE_PAUSED:
		return true;
	case PAUSE_RESUMED:
		return false;
	case PAUSE_UNSET:
		break;
	}
	return s->conf_paused;
}

void delivery_pause(struct delivery *d, uint32_t sid, bool paused)
{
	for (size_t i = 0; i < d->n_streams; i++)
		if (sid == 0 || d->streams[i]->sid == sid)
			d->streams[i]->pause_word = paused ? PAUSE_PAUSED : PAUSE_RESUMED;
	loop_again(d->loop);
}

void delivery_suspend_starts(struct delivery *d, bool suspended)
{
	d->starts_suspended = suspended;
	loop_again(d->loop);
}
