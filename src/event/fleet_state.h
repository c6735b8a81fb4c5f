/* fleet_state.h - a relay's part in a fleet, as status, doctor and the metrics show it */
#ifndef EVENT_FLEET_STATE_H
#define EVENT_FLEET_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* The texts hold no secret. Counts are since the start. */
struct fleet_state {
	const char *role;            /* "edge" or "hub"; NULL: this relay is in no fleet, and nothing else is set */
	bool up;                     /* it forwards, or takes */
	char problem[300];           /* why it does not; "": it does, or it is still connecting */
	char server[300];            /* "host:port" of the database, or of the last one; "": none yet */
	int64_t for_us;              /* since it is connected, or since it is not */
	bool synchronous;            /* the server waits for standbys; false unless connected */
	int version;                 /* the server's, such as 150006; 0: not known */
	uint64_t in_flight;          /* an edge: events in statements without an answer */
	uint64_t forwarded;          /* an edge: events */
	uint64_t known;              /* … of which the database had them already */
	uint64_t copies;             /* an edge: times that its outbox turned out to be a copy */
	unsigned leases;             /* a hub: lanes */
	uint64_t held;               /* a hub: events in memory */
	uint64_t unrecorded;         /* a hub: outcomes that the database does not have yet */
	uint64_t taken;              /* a hub: events */
	uint64_t leases_lost;        /* a hub: lanes */
	uint64_t unknown_stream;     /* a hub: events seen of streams that it does not have */
	int64_t clock_difference_us; /* a hub: this host's clock less the database's */
	int64_t oldest_age_us; /* a hub: of what is queued in the database, as of the last minute; 0: nothing is */
};

#endif
