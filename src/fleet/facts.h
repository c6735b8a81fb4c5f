/* facts.h - what can be asked of a fleet's database: for `ga4relay-ctl --fleet status` and doctor. It blocks */
#ifndef FLEET_FACTS_H
#define FLEET_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "net/postgres/session.h"

struct fleet_facts {
	char server[64];            /* its version, as it says it */
	int64_t schema, works_from; /* versions; schema 0: there is none */
	bool may_write;             /* this user may do what edges and hubs do */
	char sync_names[256];       /* synchronous_standby_names; "": commits wait for none */
	/* Servers know these, and others that speak the protocol do not. */
	char unknown[256];              /* why nothing of it is known; "": it is */
	int64_t standbys;               /* connected */
	bool visible;                   /* this user may see their state */
	int64_t streaming, synchronous; /* of them */
	int64_t lag_bytes, lag_us;      /* of the synchronous one that is furthest behind */
	int64_t edges, hubs;            /* connected now */
};

int fleet_facts_ask(struct pg_session *s, struct fleet_facts *ret, struct err *err) MUST_CHECK;

#endif
