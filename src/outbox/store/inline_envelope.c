/* inline_envelope.c - envelopes that are stored in their events' rows */
#include "outbox/store/inline_envelope.h"

#include <string.h>

#include "base/macros.h"

/* The first members in canonical order are those that name the client. */
static const struct slice starts[] = {{"{\"client_id\":\"", 14}, {"{\"app_instance_id\":\"", 20}};

bool inline_envelope_client(struct slice envelope, struct slice *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		const char *from = envelope.p + starts[i].n, *end;

		if (!slice_starts(envelope, starts[i]))
			continue;
		end = memchr(from, '"', envelope.n - starts[i].n);
		if (!end)
			return false;
		*ret = (struct slice){from, (size_t)(end - from)};
		return true;
	}
	return false;
}

/* A client with escaped characters is not found again in the text, so it gets a row of the table. */
bool inline_envelope_fits(const struct submission *sub)
{
	struct slice client;

	return sub->envelope.n * sub->n_events <= INLINE_ENVELOPE_MAX &&
	       inline_envelope_client(sub->envelope, &client) && slice_eq(client, sub->client);
}
