/* event_text.h - private to event_in: a judged line's texts, one behind the other, before they get their block */
#ifndef EVENT_EVENT_TEXT_H
#define EVENT_EVENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/macros.h"
#include "event/canonical.h"
#include "event/event.h"
#include "event/payload.h"
#include "ga4/validate.h"

struct event_span {
	uint32_t body, body_len;
	uint32_t name, name_len; /* from the body's start */
};

struct event_text {
	struct buf bytes;
	struct canonical canonical;
	const struct judge *judge; /* of the line that was built */
	uint32_t envelope_len;     /* at 0 */
	uint32_t client, client_len, dedup, dedup_len;
	uint32_t n_events; /* at least 1: a payload without events has one with an empty body */
	struct event_span spans[LIMIT_EVENTS_PER_LINE];
};

void event_text_init(struct event_text *t);
void event_text_free(struct event_text *t);
/* Before each line; gives back what an unusually large one needed. */
void event_text_clear(struct event_text *t);
/* 0, -ENOMEM, -ENOBUFS. */
int event_text_build(struct event_text *t, const struct judge *j) MUST_CHECK;
/* By a cheap estimate. */
bool event_text_surely_fits(const struct event_text *t, uint32_t index);
/* Exact bytes of a request with that event alone. envelope: of event_text_measure(), once per line. */
struct envelope_size event_text_measure(const struct event_text *t);
size_t event_text_request_size(const struct event_text *t, const struct envelope_size *envelope, uint32_t index);
/* Into how many requests delivery splits the line, and the bytes that its events take in them. */
uint32_t event_text_requests(const struct event_text *t, const struct envelope_size *envelope, size_t *ret_events);
size_t event_text_block_size(const struct event_text *t);
/* block has event_text_block_size() bytes; sub->block is the caller's to set. */
struct submission *event_text_fill(const struct event_text *t, void *block, uint32_t sid, int64_t accepted_us);

#endif
