/* edge_private.h - what the files of the edge share */
#ifndef FLEET_EDGE_PRIVATE_H
#define FLEET_EDGE_PRIVATE_H

#include <sys/queue.h>

#include "base/log.h"
#include "fleet/edge.h"

/* Events on their way, in one statement and, for keys that were there already, one or two more. */
struct put {
	LIST_ENTRY(put) link;
	struct edge *edge;
	struct outbox_identity
	        identity; /* under which it began: what it stored is looked up there, whatever came since */
	size_t n;
	size_t n_sent; /* of the statement in flight: all, or those that are tried under the present uuid */
	forward_done_fn *done;
	void *arg;
	struct forward_event *events;
	int64_t *hashes;
	bool *stored;
	uint8_t *flags; /* enum fleet_flag, FLEET_FORMER */
	bool *sent;     /* in the statement in flight */
};
LIST_HEAD(put_list, put);

struct edge {
	struct loop *loop;
	struct pg *pg;
	struct edge_config config;
	struct outbox_identity identity;
	struct forwarder forwarder;
	void (*renew)(void *arg);
	void *arg;
	struct pg_args args; /* kept: they grow to the largest statement */
	struct put_list puts;
	struct loop_timer *timer; /* nothing is sent until it fires */
	bool renewing;
	bool schema_fits; /* on this connection */
	size_t limit;     /* events a statement: halved when one is refused, doubled when one is taken */
	char problem[256];
	bool announced; /* that it forwards */
	struct log_limit refused_log;
	uint64_t forwarded, known, copies, in_flight;
	unsigned n_puts;
};

/* ---- put.c: one statement's way ---- */

int put_send(struct edge *e, const struct forward_event *events, size_t n, forward_done_fn *done,
             void *done_arg) MUST_CHECK;
/* Its statement failed, or the edge stops. Frees it. */
void put_end(struct put *p, bool refused);

/* ---- edge.c ---- */

void edge_hold(struct edge *e, int64_t us);
void edge_refused(struct edge *e, const struct pg_answer *answer, size_t n);
/* The event has other content under the key that identity gave it. */
void edge_is_copy(struct edge *e, const struct outbox_identity *identity, uint64_t id);

#endif
