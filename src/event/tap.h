/* tap.h - live view of lines and events: intake and delivery report each step to whoever follows
 *
 * Costs one branch per step while nobody follows. Loop thread only. */
#ifndef EVENT_TAP_H
#define EVENT_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "event/event.h"
#include "event/event_state.h"
#include "ga4/verdict.h"

enum tap_what { TAP_ACCEPTED, TAP_SENT, TAP_DELIVERED, TAP_FORWARDED, TAP_DEAD, TAP_FAILED };

/* An operator's change to events that were waiting or dead. */
enum tap_act { TAP_QUEUED, TAP_HELD, TAP_DROPPED };

/* One step of one event. Valid during the call only. */
struct tap_event {
	enum tap_what what;
	const struct submission *sub;
	uint32_t index; /* of sub->events */
	uint64_t id;
	enum dead_reason reason; /* for TAP_DEAD */
	uint32_t attempts;
	uint32_t request_events; /* of its request; 0: none */
	int last_status;         /* 0: none */
	const char *last_error;  /* "": none */
	int64_t next_attempt_ms; /* -1: none */
	bool maybe_sent;
};

/* The fate of one line: refused, a duplicate, or committed. An accepted line is reported before the TAP_ACCEPTED
 * of its events. Valid during the call only. */
struct tap_line {
	struct slice line;             /* as it came; empty if it came before the first follower that wants lines */
	const struct finding *refusal; /* NULL: accepted */
	const struct submission *sub;  /* NULL: refused */
	uint64_t first_id;             /* of its events; a duplicate's are those of the earlier line */
	bool is_duplicate;
	struct slice warnings_json; /* in the form of struct line_result */
};

/* Belongs to the follower, and must stay in place until tap_unfollow(). */
struct tap_follower {
	LIST_ENTRY(tap_follower) link;
	void (*on_event)(void *arg, const struct tap_event *e);                      /* NULL: wants none */
	void (*on_line)(void *arg, const struct tap_line *l);                        /* NULL: wants none */
	void (*on_act)(void *arg, enum tap_act what, const uint64_t *ids, size_t n); /* likewise */
	void *arg;
	bool follows;
};

/* Zero is a tap that nobody follows. */
struct tap {
	LIST_HEAD(, tap_follower) followers;
	unsigned n_lines; /* followers that want lines, which cost a copy each */
};

/* Both may be repeated. */
void tap_follow(struct tap *t, struct tap_follower *f);
void tap_unfollow(struct tap *t, struct tap_follower *f);
void tap_event(const struct tap *t, const struct tap_event *e);
void tap_line(const struct tap *t, const struct tap_line *l);
void tap_act(const struct tap *t, enum tap_act what, const uint64_t *ids, size_t n);

static inline bool tap_wanted(const struct tap *t)
{
	return !LIST_EMPTY(&t->followers);
}
static inline bool tap_wants_lines(const struct tap *t)
{
	return t->n_lines > 0;
}

#endif
