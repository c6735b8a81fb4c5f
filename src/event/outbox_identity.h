/* outbox_identity.h - what tells one outbox from every other: half of its events' keys in a fleet's queue
 *
 * A copy of the file (a backup, a cloned image) has the same one, until it is recognised and gets another. */
#ifndef EVENT_OUTBOX_IDENTITY_H
#define EVENT_OUTBOX_IDENTITY_H

#include <stdint.h>

struct outbox_identity {
	uint8_t uuid[16];
	/* Events with ids below `since` may have been sent under the former uuid, and are tried under it first. All
	 * zero: there was none */
	uint8_t former[16];
	uint64_t since;
};

#endif
