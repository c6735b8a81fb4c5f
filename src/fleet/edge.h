/* edge.h - the edge of a fleet: forwards events from the outbox to PostgreSQL, where hubs take them
 *
 * An event is stored there once, however often it is sent: its key is the outbox's uuid and its id, and a hash of its
 * content tells a copy of the outbox from the outbox. Loop thread only. */
#ifndef FLEET_EDGE_H
#define FLEET_EDGE_H

#include "base/err.h"
#include "base/macros.h"
#include "event/forward.h"
#include "event/outbox_identity.h"
#include "net/loop.h"
#include "net/postgres/postgres.h"

struct edge;

struct edge_config {
	const char *conninfo; /* secret; copied */
	unsigned batch, requests;
	bool require_sync;
};

/* renew() is called when this outbox turned out to be a copy; edge_set_identity() must follow, until then nothing is
 * forwarded. */
int edge_open(struct edge **ret, struct loop *loop, const struct edge_config *config,
              const struct outbox_identity *identity, void (*renew)(void *arg), void *arg,
              struct err *err) MUST_CHECK;
/* Ends what is in flight as edge_give_up() does. Takes NULL, returns NULL. */
struct edge *edge_free(struct edge *e);
int edge_set_config(struct edge *e, const struct edge_config *config, struct err *err) MUST_CHECK;
void edge_set_identity(struct edge *e, const struct outbox_identity *identity);
/* For delivery; lives as long as the edge. */
const struct forwarder *edge_forwarder(struct edge *e);
/* For a stop: what is in flight is reported as not stored, now. It may be, and its key is known when it comes again.
 */
void edge_give_up(struct edge *e);

struct edge_status {
	struct pg_status pg;
	bool ready;         /* forwards */
	char problem[256];  /* why it does not; "": it does */
	uint64_t forwarded; /* events, since the start */
	uint64_t known;     /* of these, they were there already */
	uint64_t copies;    /* times that this outbox turned out to be a copy */
	uint64_t in_flight; /* events */
};
void edge_get_status(const struct edge *e, struct edge_status *ret);

#endif
