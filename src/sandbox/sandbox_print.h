/* sandbox_print.h - what the collector received, one readable line an event */
#ifndef SANDBOX_SANDBOX_PRINT_H
#define SANDBOX_SANDBOX_PRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "json/json_tree.h"

enum sandbox_mark { SANDBOX_RECEIVED, SANDBOX_REFUSED, SANDBOX_FAILED };

/* Appends a line for each event of a request's body: "✓ refund  client 123.456  transaction_id=T-1 value=9.5 EUR".
 * Control characters are shown as '?'. wall_us: now, to say how old an event is. 0, -ENOBUFS, -ENOMEM. */
int sandbox_print_events(struct buf *out, enum sandbox_mark mark, const struct json_doc *body, int64_t wall_us,
                         bool colour) MUST_CHECK;
/* Appends "✗ text" with its mark's colour, and an end of line. */
int sandbox_print_text(struct buf *out, enum sandbox_mark mark, const char *text, bool colour) MUST_CHECK;

#endif
