/* reply.h - the lines an application gets back (ga4relay-protocol(7), Replies) */
#ifndef EVENT_REPLY_H
#define EVENT_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"
#include "ga4/verdict.h"

/* Each appends one line with its LF. warnings_json as in struct line_result. 0, -ENOBUFS, -ENOMEM. */
int reply_write_ok(struct buf *out, uint64_t id, uint32_t count, bool duplicate,
                   struct slice warnings_json) MUST_CHECK;
int reply_write_refusal(struct buf *out, const struct finding *refusal) MUST_CHECK;

/* Of a line that the two above made, or of its beginning. */
static inline bool reply_is_refusal(struct slice line)
{
	return slice_starts(line, SLICE_LIT("{\"ok\":false"));
}

#endif
