/* debug_verdict.h - what the door's debug path answers, as Google's validation endpoint would */
#ifndef HTTP_DEBUG_VERDICT_H
#define HTTP_DEBUG_VERDICT_H

#include "base/buf.h"
#include "base/macros.h"
#include "event/event_in.h"
#include "json/json_read.h"

/* Appends the verdict on a body: what refuses it or, with validation_behavior ENFORCE_RECOMMENDATIONS, what is worth
 * a warning. reader is used to read both again. 0, -ENOBUFS, -ENOMEM. */
int debug_verdict_write(struct buf *out, struct json_in *reader, struct slice body,
                        const struct line_result *result) MUST_CHECK;

#endif
