/* edge.c - the edge of a fleet: when it forwards, and what it says when it does not */
#include "fleet/edge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fleet/edge_private.h"
#include "fleet/schema.h"
#include "fleet/sql.h"

enum { STATEMENT_BYTES_MAX = 256 << 20 };
#define REFUSED_WAIT_US (1 * US_PER_S)
#define SCHEMA_AGAIN_US (5 * US_PER_S)

static const struct pg_statement version_statement = {"ga4relay_version", FLEET_SQL_VERSION};

/* ---- what is the matter ---- */

/* Logged when it changes. */
static void set_problem(struct edge *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void set_problem(struct edge *e, const char *fmt, ...)
{
	char text[sizeof(e->problem)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(text, e->problem) == 0)
		return;
	memcpy(e->problem, text, sizeof(text));
	log_warning("fleet: nothing is forwarded: %s", text);
}

static void clear_problem(struct edge *e)
{
	struct pg_status s;

	if (e->problem[0] == '\0' && e->announced)
		return;
	pg_get_status(e->pg, &s);
	log_info("fleet: forwarding to PostgreSQL at %s", s.server);
	e->problem[0] = '\0';
	e->announced = true;
}

static bool review(struct edge *e)
{
	struct pg_status s;

	pg_get_status(e->pg, &s);
	if (s.state != PG_UP) {
		if (s.why[0])
			set_problem(e, "%s", s.why);
		return false;
	}
	if (!e->schema_fits)
		return false;
	if (e->config.require_sync && !s.synchronous) {
		set_problem(e,
		            "%s: it would acknowledge without a synchronous standby (synchronous_standby_names is "
		            "empty); see fleet.require_sync",
		            s.server);
		return false;
	}
	clear_problem(e);
	return true;
}

/* ---- the schema ---- */

static void ask_version(struct edge *e);

static void on_version(void *arg, const struct pg_answer *answer)
{
	struct edge *e = arg;
	struct err err;

	if (answer->outcome == PG_UNKNOWN)
		return;
	if (answer->outcome == PG_REFUSED)
		set_problem(
		        e, "the fleet's schema cannot be read (%s): run ga4relay-ctl fleet-init --conninfo-file FILE",
		        answer->error);
	else if (pg_rows(answer) != 1)
		set_problem(e, "the fleet's schema is not there: run ga4relay-ctl fleet-init --conninfo-file FILE");
	else if (fleet_schema_check(pg_i64(answer, 0, 0), pg_i64(answer, 0, 1), &err) < 0)
		set_problem(e, "%.250s", err.text);
	else
		e->schema_fits = true;
	if (!e->schema_fits)
		loop_timer_set(e->timer, SCHEMA_AGAIN_US);
	(void)review(e);
	loop_again(e->loop);
}

static void ask_version(struct edge *e)
{
	struct pg_args none;

	pg_args_init(&none, 0);
	if (pg_send(e->pg, &version_statement, &none, PG_ANY, on_version, e) < 0)
		loop_timer_set(e->timer, SCHEMA_AGAIN_US);
}

/* ---- the connection ---- */

static void on_state(void *arg)
{
	struct edge *e = arg;
	struct pg_status s;

	if (!e->pg)
		return;
	pg_get_status(e->pg, &s);
	if (s.state != PG_UP)
		e->schema_fits = false;
	else if (!e->schema_fits)
		ask_version(e);
	(void)review(e);
	loop_again(e->loop);
}

static void on_timer(void *arg)
{
	struct edge *e = arg;

	if (!e->schema_fits)
		ask_version(e);
	loop_again(e->loop);
}

void edge_hold(struct edge *e, int64_t us)
{
	loop_timer_set(e->timer, us);
}

/* The server's word, such as a full disk or a missing right. Smaller statements find out whether an event is the
 * reason. */
void edge_refused(struct edge *e, const struct pg_answer *answer, size_t n)
{
	if (log_limit_allow(&e->refused_log, clock_mono_us(), NULL))
		log_warning("fleet: a statement with %zu events was refused (%s %s); they stay here and go again", n,
		            answer->sqlstate, answer->error);
	if (strcmp(answer->sqlstate, "42P01") == 0 || strcmp(answer->sqlstate, "42703") == 0)
		e->schema_fits = false;
	e->limit = e->limit > 1 ? e->limit / 2 : 1;
	edge_hold(e, REFUSED_WAIT_US);
}

void edge_is_copy(struct edge *e, const struct outbox_identity *identity, uint64_t id)
{
	/* Other statements that were under way find the same out. A second new uuid would have the first as its
	 * former one, and what they stored under the uuid before would be stored again. */
	if (e->renewing || memcmp(identity->uuid, e->identity.uuid, sizeof(identity->uuid)) != 0)
		return;
	e->copies++;
	log_error(
	        "fleet: event %llu is in PostgreSQL already under this outbox's key, with other content: this outbox "
	        "is a copy of another (a restored backup or a cloned image). It goes on under a key of its own; "
	        "events that were in the copy may be delivered by both",
	        (unsigned long long)id);
	e->renewing = true;
	e->renew(e->arg);
}

void edge_set_identity(struct edge *e, const struct outbox_identity *identity)
{
	e->identity = *identity;
	e->renewing = false;
	loop_again(e->loop);
}

/* ---- for delivery ---- */

static size_t room(void *arg)
{
	struct edge *e = arg;

	if (!e->pg || e->renewing || e->n_puts >= e->config.requests || loop_timer_is_set(e->timer) || !review(e))
		return 0;
	return e->limit < e->config.batch ? e->limit : e->config.batch;
}

static int send(void *arg, const struct forward_event *events, size_t n, forward_done_fn *done, void *done_arg)
{
	return put_send(arg, events, n, done, done_arg);
}

const struct forwarder *edge_forwarder(struct edge *e)
{
	return &e->forwarder;
}

/* ---- life ---- */

static struct pg_config pg_config_of(const struct edge_config *config)
{
	return (struct pg_config){
	        .conninfo = config->conninfo, .role = "ga4relay edge", .require_sync = config->require_sync};
}

int edge_open(struct edge **ret, struct loop *loop, const struct edge_config *config,
              const struct outbox_identity *identity, void (*renew)(void *arg), void *arg, struct err *err)
{
	const struct pg_config pg = pg_config_of(config);
	struct edge *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return err_set(err, -ENOMEM, "fleet: out of memory");
	*e = (struct edge){.loop = loop,
	                   .config = *config,
	                   .identity = *identity,
	                   .renew = renew,
	                   .arg = arg,
	                   .limit = config->batch,
	                   .refused_log = {.interval_us = 10 * US_PER_S, .burst = 1}};
	e->forwarder = (struct forwarder){.arg = e, .room = room, .send = send};
	LIST_INIT(&e->puts);
	pg_args_init(&e->args, STATEMENT_BYTES_MAX);
	e->timer = loop_timer_new(loop, on_timer, e);
	e->config.conninfo = NULL; /* the connection has its copy */
	r = e->timer ? pg_open(&e->pg, loop, &pg, on_state, e, err) : err_set(err, -ENOMEM, "fleet: out of memory");
	if (r < 0)
		edge_free(e);
	else
		*ret = e;
	return r;
}

void edge_give_up(struct edge *e)
{
	/* Its done() calls end the puts. */
	struct pg *pg = e->pg;

	e->pg = NULL;
	pg_free(pg);
}

struct edge *edge_free(struct edge *e)
{
	if (!e)
		return NULL;
	edge_give_up(e);
	loop_timer_free(e->timer);
	pg_args_free(&e->args);
	free(e);
	return NULL;
}

int edge_set_config(struct edge *e, const struct edge_config *config, struct err *err)
{
	const struct pg_config pg = pg_config_of(config);
	int r = pg_set_config(e->pg, &pg, err);

	if (r < 0)
		return r;
	e->config = *config;
	e->config.conninfo = NULL; /* the connection has its copy */
	e->limit = config->batch;
	loop_again(e->loop);
	return 0;
}

void edge_get_status(const struct edge *e, struct edge_status *ret)
{
	*ret = (struct edge_status){
	        .forwarded = e->forwarded, .known = e->known, .copies = e->copies, .in_flight = e->in_flight};
	if (e->pg)
		pg_get_status(e->pg, &ret->pg);
	memcpy(ret->problem, e->problem, sizeof(ret->problem));
	ret->ready = ret->problem[0] == '\0' && ret->pg.state == PG_UP && e->schema_fits;
}
