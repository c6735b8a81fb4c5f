/* row_json.h - an event as list, show, export and tap print it: the public fields of ga4relay-ctl(8) */
#ifndef EVENT_ROW_JSON_H
#define EVENT_ROW_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"

struct row_view {
	uint64_t id;
	const char *state;             /* "queued", "inflight", "held", "dead", "delivered", "rejected" */
	const char *reason;            /* NULL unless dead */
	struct slice stream;           /* n 0: null */
	struct slice client, name;     /* n 0: null */
	int64_t accepted_us, event_us; /* event_us 0: null */
	uint32_t attempts;
	int last_status;         /* 0: null */
	struct slice last_error; /* n 0: null */
	int64_t next_attempt_ms; /* negative: null */
	bool maybe_sent;
	uint32_t bytes;
	/* of an event in a fleet's queue; n 0: none of this */
	struct slice outbox; /* the uuid of the outbox that it comes from, … */
	uint64_t outbox_id;  /* … and its id there */

	/* of a delivered event that left the outbox and is remembered; 0: none of this */
	int64_t delivered_us;
	unsigned request_events;
	uint64_t request_first, request_last; /* ids of its request that are remembered */

	/* show and export */
	bool with_line;
	struct slice envelope, body; /* an event's: its line is made of them */
	int64_t props_us;
	struct slice line; /* a rejected line as it came; p NULL: made of the above */
	/* show */
	bool with_tries;
	struct slice tries;  /* JSON array; n 0: [] */
	struct slice answer; /* n 0: left out */
	/* a rejected line; code NULL: it is an event */
	const char *code;
	struct slice field, message;
	uint32_t uid, pid;
	struct slice address; /* of a TCP client, instead of uid and pid; n 0: a local process */
};

/* Appends one object and a LF. 0, -ENOBUFS, -ENOMEM; out is untouched on failure. */
int row_write(struct buf *out, const struct row_view *row) MUST_CHECK;

#endif
