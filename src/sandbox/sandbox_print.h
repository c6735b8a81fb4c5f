/* sandbox_print.h - prints what the collector received and what intake says of lines, readable */
#ifndef SANDBOX_SANDBOX_PRINT_H
#define SANDBOX_SANDBOX_PRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "ga4/verdict.h"
#include "json/json_tree.h"

enum sandbox_mark { SANDBOX_RECEIVED, SANDBOX_REFUSED, SANDBOX_FAILED, SANDBOX_WARNED };

/* Appends one line per event of a request's body: "✓ refund  client 123.456  transaction_id=T-1 value=9.5 EUR".
 * Control characters are shown as '?'. wall_us is the current time, to show an event's age. 0, -ENOBUFS or
 * -ENOMEM. */
int sandbox_print_events(struct buf *out, enum sandbox_mark mark, const struct json_doc *body, int64_t wall_us,
                         bool colour) MUST_CHECK;
/* Appends "✗ text" and a line feed, in the mark's colour. */
int sandbox_print_text(struct buf *out, enum sandbox_mark mark, const char *text, bool colour) MUST_CHECK;
/* Appends why a line was refused, and below it the line's beginning. */
int sandbox_print_refusal(struct buf *out, struct slice line, const struct finding *refusal, bool colour) MUST_CHECK;
/* Appends the beginning of a line that was taken, and below it each of its warnings: an object with the members of
 * a reply. */
int sandbox_print_warnings(struct buf *out, struct slice line, const struct json_doc *warnings,
                           bool colour) MUST_CHECK;

#endif
