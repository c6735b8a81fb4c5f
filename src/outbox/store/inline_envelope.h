/* inline_envelope.h - envelopes that are stored in their events' rows
 *
 * The envelope of most events is a client_id and little else, and most clients send few events. A
 * row of its own for each, found by an index in no order, would cost two scattered pages per new
 * client and a garbage collection. So a small envelope is stored as text in its event's column
 * `envelope`, which otherwise contains a number of the table envelope. */
#ifndef OUTBOX_STORE_INLINE_ENVELOPE_H
#define OUTBOX_STORE_INLINE_ENVELOPE_H

#include <stdbool.h>

#include "base/slice.h"
#include "event/event.h"

/* Maximum size of an inline envelope, in all rows of its submission together. */
enum { INLINE_ENVELOPE_MAX = 256 };

/* Returns true if each row of the submission contains the envelope. */
bool inline_envelope_fits(const struct submission *sub);
/* Finds the client in an inline envelope. Returns false if the text is none. */
bool inline_envelope_client(struct slice envelope, struct slice *ret);

#endif
