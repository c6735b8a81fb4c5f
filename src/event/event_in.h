/* event_in.h - a line to a submission, or the reason why not: parse, judge and canonicalise in one go */
#ifndef EVENT_EVENT_IN_H
#define EVENT_EVENT_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"
#include "event/event.h"
#include "ga4/stream_rules.h"
#include "ga4/verdict.h"

/* What a line is judged against; built once per configuration, only read here. */
struct line_context {
	const struct stream_rules *streams;
	size_t n_streams;      /* at least 1 */
	size_t default_stream; /* index */
	bool limits_360;
	int64_t max_age_us; /* delivery.max_age */
	/* A payload whose stream is already known (HTTP door): index, or -1. A `stream` member is then VALUE_INVALID.
	 */
	int forced_stream;
	bool delivery_only; /* judged as with validation off, whatever the stream says */
	/* Each warning is handed out as well; a strict stream's line is judged on behind the first, which refuses it
	 */
	bool lists_findings;
};

/* Where a good line's bytes go: returns room for size bytes, aligned for any type, or NULL. The block may
 * have the caller's own header before it; the caller sets submission.block afterwards. */
typedef void *event_in_alloc_fn(void *arg, size_t size);

struct line_result {
	struct submission *sub; /* NULL when refused */
	size_t stream;          /* index of the stream it belongs to, or SIZE_MAX when it was not found out */
	struct finding refusal; /* when refused */
	/* Warnings as they go into the reply: "" or `,"warnings":[…]` with `,"warnings_omitted":N`; points into the
	 * reader, valid until its next call. warning_counts: by code, also of those omitted. */
	struct slice warnings_json;
	uint32_t warning_counts[CODE_COUNT];
	/* With lists_findings: the warnings, LIMIT_WARNINGS at most, also of a refused line; valid as long */
	const struct finding *warnings;
	size_t n_warnings;
};

struct event_in; /* owns the yajl handle and the scratch memory; one per thread */

struct event_in *event_in_new(void); /* NULL: no memory */
struct event_in *event_in_free(struct event_in *in);

/* The line without its LF (a CR at its end is allowed). wall_us stamps events without a time.
 * Returns 0 (accepted or refused: look at ret->sub) or -ENOMEM (nothing was judged; ret untouched). */
int event_in_read(struct event_in *in, struct slice line, const struct line_context *ctx, int64_t wall_us,
                  event_in_alloc_fn *alloc, void *alloc_arg, struct line_result *ret) MUST_CHECK;

#endif
