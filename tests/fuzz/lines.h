/* lines.h - a line judged under any rules, for the targets about lines */
#ifndef FUZZ_LINES_H
#define FUZZ_LINES_H

#include "base/buf.h"
#include "base/clock.h"
#include "event/event_in.h"
#include "event/payload.h"
#include "fuzz.h"
#include "json/json_read.h"

#define LINES_WALL INT64_C(1760000000000000)

/* Bits of a way to judge. */
enum { LINES_APP = 1, LINES_STRICT = 2, LINES_OFF = 4, LINES_360 = 8, LINES_DOOR = 16, LINES_WAYS = 32 };

struct lines {
	struct event_in *in;
	struct stream_rules streams[2];
	struct line_context context;
	struct line_result result;
};

static void *lines_alloc(void *arg, size_t size)
{
	(void)arg;
	return malloc(size);
}

static inline void lines_set(struct lines *l, unsigned way)
{
	enum validation_mode mode = way & LINES_STRICT ? VALIDATION_STRICT
	                            : way & LINES_OFF  ? VALIDATION_OFF
	                                               : VALIDATION_STANDARD;

	l->streams[0] = (struct stream_rules){SLICE_LIT("web"), 1, STREAM_WEB, mode};
	l->streams[1] = (struct stream_rules){SLICE_LIT("app"), 2, STREAM_APP, mode};
	l->context = (struct line_context){
	        .streams = l->streams,
	        .n_streams = 2,
	        .default_stream = way & LINES_APP ? 1 : 0,
	        .limits_360 = way & LINES_360,
	        .max_age_us = 72 * US_PER_H,
	        .forced_stream = way & LINES_DOOR ? (way & LINES_APP ? 1 : 0) : -1,
	};
	if (!l->in)
		l->in = event_in_new();
	CHECK(l->in);
}

/* The submission is the caller's. */
static inline struct submission *lines_read(struct lines *l, struct slice line)
{
	CHECK(event_in_read(l->in, line, &l->context, LINES_WALL, lines_alloc, NULL, &l->result) == 0);
	if (!l->result.sub) {
		CHECK(l->result.refusal.code > CODE_NONE && l->result.refusal.code < CODE_COUNT);
		CHECK(l->result.refusal.message[0]);
		return NULL;
	}
	l->result.sub->block = l->result.sub;
	CHECK(l->result.sub->n_events >= 1 && l->result.sub->n_events <= 1000);
	CHECK(l->result.stream < 2 && l->result.sub->sid == l->streams[l->result.stream].sid);
	return l->result.sub;
}

#endif
