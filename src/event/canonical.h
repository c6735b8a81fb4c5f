/* canonical.h - the one text of a value: members sorted, no white space, strings escaped no more than must be,
 * numbers as written. Two envelopes are equal as values exactly when their texts are. */
#ifndef EVENT_CANONICAL_H
#define EVENT_CANONICAL_H

#include "base/buf.h"
#include "base/macros.h"
#include "ga4/validate.h"

/* Scratch memory for sorting, reused. */
struct canonical {
	uint32_t *order;
	size_t cap, used;
};

void canonical_free(struct canonical *c);
/* Gives back what an unusually large document needed. */
void canonical_trim(struct canonical *c);
/* Appends the envelope of a judged line: its request-level members, the client_id as it will be sent. 0, -ENOMEM. */
int canonical_envelope(struct canonical *c, const struct judge *j, struct buf *out) MUST_CHECK;

#endif
