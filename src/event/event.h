/* event.h - what a line became: one envelope and its events, in one block of memory */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"

/* One event as it is stored. body is what goes into "events":[…] less timestamp_micros, always a JSON
 * object whose first member is "name": {"name":"refund","params":{…}}; parameters byte for byte as written.
 * A payload without events has one event with an empty body. */
struct event {
	struct slice body;
	struct slice name; /* inside body, without quotes; empty without events */
	int64_t time_us;   /* when it happened, since 1970: sent as timestamp_micros */
	int64_t props_us;  /* the payload's own timestamp_micros when it had one, else 0: dates user properties */
};

/* Events that came in one line or one row, all of one envelope. One malloc: every slice points into it.
 * Lives from the line's acceptance until its last event has left its stream's queue. */
struct submission {
	void *block;            /* what free() takes: the submission may lie inside a larger struct */
	uint32_t refs;          /* loop thread only */
	uint32_t sid;           /* the stream's number in the outbox (store_stream_id) */
	int64_t accepted_us;    /* wall clock at acceptance */
	struct slice envelope;  /* canonical JSON object of the request-level members: sorted keys, no space */
	struct slice client;    /* client_id or app_instance_id as it will be sent, decoded */
	struct slice dedup_key; /* decoded; n == 0: none */
	uint64_t first_id;      /* of events[0]; the others follow; 0 until the store gave it */
	uint32_t n_events;      /* 1 to LIMIT_EVENTS_PER_LINE */
	struct event events[];
};

static inline struct submission *submission_ref(struct submission *s)
{
	s->refs++;
	return s;
}
/* A submission of one event, in a block of its own with copies of all texts: all members of `head` but its events,
 * and the event. NULL: no memory. */
struct submission *submission_of_one(const struct submission *head, const struct event *event) MUST_CHECK;
/* Frees the block with the last reference; takes NULL; returns NULL. */
struct submission *submission_unref(struct submission *s);

/* Returns the value of the body's first member, "name", without its quotes; false if the body
 * does not start with it. An empty body (a payload without events) has an empty name. */
bool event_body_name(struct slice body, struct slice *ret);

#endif
