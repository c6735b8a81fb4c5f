/* tap.h - who follows events live; costs one branch when nobody does */
#ifndef DAEMON_CONTROL_TAP_H
#define DAEMON_CONTROL_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/dead.h"
#include "model/event.h"

enum tap_what { TAP_ACCEPTED, TAP_SENT, TAP_DELIVERED, TAP_DEAD, TAP_FAILED };

struct tap_event {
	enum tap_what what;
	const struct submission *sub;
	uint32_t index; /* of sub->events */
	uint64_t id;
	enum dead_reason reason;
	uint32_t attempts;
	int last_status;
	const char *last_error;  /* "" : none */
	int64_t next_attempt_ms; /* -1: none */
	bool maybe_sent;
};

/* Filled in by control.c, called by ingest and delivery; on_event NULL: nobody listens. */
struct tap {
	void (*on_event)(void *arg, const struct tap_event *e);
	void *arg;
};
static inline bool tap_wanted(const struct tap *t)
{
	return t->on_event != NULL;
}

#endif
