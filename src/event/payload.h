/* payload.h - events of one envelope to the body of one request */
#ifndef EVENT_PAYLOAD_H
#define EVENT_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/macros.h"
#include "event/event.h"

struct payload_event {
	const struct submission *sub; /* all of one envelope */
	uint32_t index;               /* of sub->events */
};

/* Exact bytes that payload_write() would write, without writing. */
size_t payload_size(const struct payload_event *events, size_t n);
/* An envelope measured once, for the sizes of many requests. */
struct envelope_size {
	size_t bytes;     /* without its braces and without the digits of the times that are added */
	size_t n_undated; /* user properties that get a time */
	bool empty;
};
struct envelope_size payload_measure_envelope(struct slice envelope);
/* Equals payload_size() of a request with this event alone. */
size_t payload_lone_size(const struct envelope_size *envelope, const struct event *event);
/* What one event adds to a request (itself, its timestamp, a comma), and what the envelope costs once. */
size_t payload_event_size(const struct event *event);
size_t payload_envelope_size(const struct submission *sub);
/* Appends the body. 0, -ENOBUFS, -ENOMEM. */
int payload_write(struct buf *out, const struct payload_event *events, size_t n) MUST_CHECK;
/* One line that the event socket accepts and that becomes this event again: `line` of show and export.
 * Without a stream's name it has no `stream`. */
int payload_write_line(struct buf *out, const struct submission *sub, uint32_t index,
                       struct slice stream_name) MUST_CHECK;

#endif
