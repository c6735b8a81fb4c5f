/* fleet.c - this relay's part in a fleet: the one file that knows whether ga4relay was built with PostgreSQL */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/daemon_private.h"

#if GA4RELAY_POSTGRES

#include "fleet/edge.h"
#include "fleet/hub.h"

int fleet_check_conf(const struct conf *conf, struct err *err)
{
	int r = conf->fleet.conninfo ? pg_check_conninfo(conf->fleet.conninfo, err) : 0;

	return r < 0 ? err_prefix(err, r, "fleet.conninfo") : 0;
}

/* ---- the edge ---- */

static struct edge_config edge_config_of(const struct conf *conf)
{
	return (struct edge_config){.conninfo = conf->fleet.conninfo,
	                            .batch = conf->fleet.batch,
	                            .requests = conf->fleet.requests,
	                            .require_sync = conf->fleet.require_sync};
}

struct renewal {
	struct job_identity job;
	struct daemon *daemon;
};

static void on_renewed(struct job *job)
{
	struct renewal *renewal = CONTAINER_OF(job, struct renewal, job.job);
	struct daemon *d = renewal->daemon;

	if (job->result == 0)
		d->identity = renewal->job.identity;
	else
		log_error("fleet: the outbox's new uuid could not be stored (%s): it is tried again",
		          err_text(job->result));
	if (d->edge)
		edge_set_identity(d->edge, &d->identity);
	free(renewal);
}

static void on_copy(void *arg)
{
	struct job_list list = STAILQ_HEAD_INITIALIZER(list);
	struct daemon *d = arg;
	struct renewal *renewal = calloc(1, sizeof(*renewal));

	if (!renewal) {
		edge_set_identity(d->edge, &d->identity); /* found out again, and tried again */
		return;
	}
	renewal->daemon = d;
	job_identity_init(&renewal->job, on_renewed);
	STAILQ_INSERT_TAIL(&list, &renewal->job.job, link);
	writer_submit(d->writer, &list);
}

/* ---- the hub ---- */

static struct hub_config hub_config_of(const struct conf *conf)
{
	return (struct hub_config){.pg = {.conninfo = conf->fleet.conninfo,
	                                  .role = "ga4relay hub",
	                                  .require_sync = conf->fleet.require_sync},
	                           .lease_us = conf->fleet.lease_us,
	                           .keep_keys_us = conf->fleet.keep_keys_us,
	                           .keep_dead_us = conf->outbox.keep_dead_us};
}

int fleet_start_hub(struct daemon *d, struct err *err)
{
	const struct hub_config config = hub_config_of(d->conf);

	return d->conf->fleet.role == FLEET_HUB ? hub_new(&d->hub, d->loop, d->delivery, &config, err) : 0;
}

void fleet_check_leases(struct daemon *d)
{
	if (d->hub)
		hub_check_leases(d->hub, &d->now);
}

void fleet_pump(struct daemon *d)
{
	if (d->hub)
		hub_pump(d->hub, &d->now);
}

void fleet_drain(struct daemon *d)
{
	if (d->hub)
		hub_drain(d->hub);
}

bool fleet_drained(const struct daemon *d)
{
	return !d->hub || hub_drained(d->hub);
}

/* ---- the daemon's turns ---- */

int fleet_start(struct daemon *d, const struct forwarder **ret_forwarder, struct err *err)
{
	const struct edge_config config = edge_config_of(d->conf);
	int r = fleet_check_conf(d->conf, err);

	*ret_forwarder = NULL;
	if (r < 0 || d->conf->fleet.role != FLEET_EDGE)
		return r;
	r = edge_open(&d->edge, d->loop, &config, &d->identity, on_copy, d, err);
	if (r == 0)
		*ret_forwarder = edge_forwarder(d->edge);
	return r;
}

int fleet_set_conf(struct daemon *d, const struct conf *next, struct err *err)
{
	const struct edge_config edge = edge_config_of(next);
	const struct hub_config hub = hub_config_of(next);

	if (d->hub)
		return hub_set_config(d->hub, &hub, err);
	return d->edge ? edge_set_config(d->edge, &edge, err) : 0;
}

void fleet_give_up(struct daemon *d)
{
	if (d->edge)
		edge_give_up(d->edge);
}

void fleet_abandon(struct daemon *d)
{
	unsigned lost = d->hub ? hub_abandon(d->hub) : 0;

	if (lost > 0)
		log_warning("fleet: %u outcomes could not be recorded in the database before the stop: those events "
		            "may be sent twice",
		            lost);
}

void fleet_stop(struct daemon *d)
{
	d->edge = edge_free(d->edge);
	d->hub = hub_free(d->hub);
}

/* ---- what status, doctor and the metrics show ---- */

static void connection_state(const struct pg_status *pg, struct fleet_state *ret)
{
	ret->up = pg->state == PG_UP;
	ret->for_us = clock_mono_us() - pg->since_us;
	ret->synchronous = ret->up && pg->synchronous;
	ret->version = pg->version;
	snprintf(ret->server, sizeof(ret->server), "%s", pg->server);
	snprintf(ret->problem, sizeof(ret->problem), "%s", ret->up ? "" : pg->why);
}

static void edge_state(const struct edge *edge, struct fleet_state *ret)
{
	struct edge_status s;

	edge_get_status(edge, &s);
	connection_state(&s.pg, ret);
	ret->role = "edge";
	ret->up = s.ready;
	if (s.problem[0])
		snprintf(ret->problem, sizeof(ret->problem), "%s", s.problem);
	ret->in_flight = s.in_flight;
	ret->forwarded = s.forwarded;
	ret->known = s.known;
	ret->copies = s.copies;
}

static void hub_state(const struct hub *hub, struct fleet_state *ret)
{
	struct hub_status s;

	hub_get_status(hub, &s);
	connection_state(&s.pg, ret);
	ret->role = "hub";
	if (ret->up && s.clock_wrong) {
		ret->up = false;
		snprintf(ret->problem, sizeof(ret->problem),
		         "this host's clock is %lld s %s the database's: nothing is taken",
		         (long long)llabs(s.clock_difference_us / US_PER_S),
		         s.clock_difference_us < 0 ? "behind" : "ahead of");
	}
	ret->leases = s.lanes;
	ret->held = s.events;
	ret->unrecorded = s.unrecorded;
	ret->taken = s.taken;
	ret->leases_lost = s.leases_lost;
	ret->unknown_stream = s.unknown_stream;
	ret->clock_difference_us = s.clock_difference_us;
	ret->oldest_age_us = s.oldest_age_us;
}

void fleet_get_state(void *arg, struct fleet_state *ret)
{
	const struct daemon *d = arg;

	*ret = (struct fleet_state){.role = NULL};
	if (d->edge)
		edge_state(d->edge, ret);
	else if (d->hub)
		hub_state(d->hub, ret);
}

#else

int fleet_check_conf(const struct conf *conf UNUSED, struct err *err UNUSED)
{
	return 0;
}

int fleet_start(struct daemon *d UNUSED, const struct forwarder **ret_forwarder, struct err *err UNUSED)
{
	*ret_forwarder = NULL;
	return 0;
}

int fleet_set_conf(struct daemon *d UNUSED, const struct conf *next UNUSED, struct err *err UNUSED)
{
	return 0;
}

int fleet_start_hub(struct daemon *d UNUSED, struct err *err UNUSED)
{
	return 0;
}

void fleet_check_leases(struct daemon *d UNUSED) {}

void fleet_pump(struct daemon *d UNUSED) {}

void fleet_drain(struct daemon *d UNUSED) {}

bool fleet_drained(const struct daemon *d UNUSED)
{
	return true;
}

void fleet_give_up(struct daemon *d UNUSED) {}

void fleet_abandon(struct daemon *d UNUSED) {}

void fleet_stop(struct daemon *d UNUSED) {}

void fleet_get_state(void *arg UNUSED, struct fleet_state *ret)
{
	*ret = (struct fleet_state){.role = NULL};
}

#endif
