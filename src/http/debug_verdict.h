/* debug_verdict.h - what the door's debug path answers, as Google's validation endpoint would */
#ifndef HTTP_DEBUG_VERDICT_H
#define HTTP_DEBUG_VERDICT_H

#include "base/buf.h"
#include "base/macros.h"
#include "event/event_in.h"
#include "json/json_read.h"

/* Appends the verdict on a body that was judged with lists_findings: what refuses it and, on a strict stream or with
 * validation_behavior ENFORCE_RECOMMENDATIONS, what is worth a warning. reader is used to read the body again. 0,
 * -ENOBUFS, -ENOMEM. */
int debug_verdict_write(struct buf *out, struct json_in *reader, struct slice body, const struct line_result *result,
                        bool strict) MUST_CHECK;

#endif
