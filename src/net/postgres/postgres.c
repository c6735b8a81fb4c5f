/* postgres.c - the life of a connection: connecting, up, lost, backing off; and its time-outs */
#include "net/postgres/postgres.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "net/postgres/postgres_private.h"

#define CONNECT_TIMEOUT_US (10 * US_PER_S)
#define STATEMENT_TIMEOUT_US (30 * US_PER_S)
/* An idle connection is asked whether the server is there and waits for standbys. */
#define IDLE_US (2 * US_PER_S)
/* A connection that was up for so long is worth another at once. */
#define STEADY_US (10 * US_PER_S)

static const struct pg_args no_args;

void pg_set_timer(struct pg *pg)
{
	int64_t now_us = clock_mono_us(), at_us = now_us;

	switch (pg->step) {
	case STEP_BACKING_OFF:
		at_us = pg->retry_at_us;
		break;
	case STEP_RESOLVING:
	case STEP_CONNECTING:
	case STEP_PREPARING:
		at_us = pg->step_since_us + pg->config.connect_timeout_us;
		break;
	case STEP_UP:
		at_us = pg->head_since_us + (pg->in_flight > 0 ? pg->config.statement_timeout_us : IDLE_US);
		break;
	}
	loop_timer_set(pg->timer, pg->is_broken ? 0 : at_us - now_us);
}

/* One address has one time-out, whatever the steps to it. */
void pg_set_step(struct pg *pg, enum pg_step step)
{
	bool was_up = pg->step == STEP_UP;

	if (step == STEP_RESOLVING || step == STEP_CONNECTING || step == STEP_UP)
		pg->step_since_us = clock_mono_us();
	pg->step = step;
	if (step == STEP_UP)
		pg->why[0] = '\0';
	if (was_up != (step == STEP_UP))
		pg->since_us = clock_mono_us();
	pg_set_timer(pg);
	if (was_up || step == STEP_UP || step == STEP_BACKING_OFF)
		pg->on_state(pg->arg);
}

void pg_lost(struct pg *pg, const char *why)
{
	char line[200];
	bool was_up = pg->step == STEP_UP;

	pg_first_line(line, sizeof(line), why[0] ? why : "the server closed the connection");
	if (!was_up) {
		pg_connect_failed(pg, line);
		return;
	}
	snprintf(pg->why, sizeof(pg->why), "%.90s: %s", pg->server, line);
	pg->leftover = pg->leftover || pg->in_flight > 0;
	pg_disconnect(pg);
	/* At once, unless each connection is lost as soon as it is up. */
	pg->failures = clock_mono_us() - pg->since_us > STEADY_US ? 0 : pg->failures + 1;
	pg->retry_at_us = clock_mono_us() + (pg->failures > 0 ? pg_backoff_us(pg->failures) : 0);
	pg_set_step(pg, STEP_BACKING_OFF);
	pg_fail_entries(pg, line);
}

static void on_pong(void *arg, const struct pg_answer *answer)
{
	struct pg *pg = arg;
	bool synchronous;

	if (answer->outcome != PG_COMMITTED || pg_rows(answer) != 1)
		return;
	synchronous = pg_bool(answer, 0, 0);
	if (pg->synchronous == synchronous)
		return;
	pg->synchronous = synchronous;
	pg->state_changed = true;
}

static void late(struct pg *pg)
{
	char why[120];

	snprintf(why, sizeof(why),
	         "no answer for %lld s: the server hangs, or waits for a synchronous standby that is away",
	         (long long)(pg->config.statement_timeout_us / US_PER_S));
	pg_lost(pg, why);
}

static void on_up_timer(struct pg *pg)
{
	int64_t limit_us = pg->in_flight > 0 ? pg->config.statement_timeout_us : IDLE_US;

	if (clock_mono_us() - pg->head_since_us < limit_us)
		pg_set_timer(pg);
	else if (pg->in_flight > 0)
		late(pg);
	else if (pg_enqueue(pg, &pg_check_sync, &no_args, false, on_pong, pg) < 0)
		pg_lost(pg, "out of memory");
}

/* A process that was stopped for a while reads what has arrived before it judges. */
static void on_timer(void *arg)
{
	struct pg *pg = arg;

	if (pg->is_broken) {
		pg_lost(pg, PQerrorMessage(pg->conn));
		return;
	}
	switch (pg->step) {
	case STEP_BACKING_OFF:
		pg_connect(pg);
		return;
	case STEP_RESOLVING:
	case STEP_CONNECTING:
		pg_connect_failed(pg, "no answer in time: unreachable, or it hangs while connecting");
		return;
	case STEP_PREPARING:
		pg_pump(pg);
		if (pg->step == STEP_PREPARING)
			pg_connect_failed(pg, "no answer in time to the first statement");
		return;
	case STEP_UP:
		pg_pump(pg);
		if (pg->step == STEP_UP)
			on_up_timer(pg);
		return;
	}
}

static int64_t or_default(int64_t given_us, int64_t default_us)
{
	return given_us > 0 ? given_us : default_us;
}

static void apply(struct pg *pg, const struct pg_config *config, char *take_conninfo)
{
	if (pg->conninfo) {
		explicit_bzero(pg->conninfo, strlen(pg->conninfo));
		free(pg->conninfo);
	}
	pg->conninfo = take_conninfo;
	pg->config = *config;
	pg->config.conninfo = pg->conninfo;
	pg->config.connect_timeout_us = or_default(config->connect_timeout_us, CONNECT_TIMEOUT_US);
	pg->config.statement_timeout_us = or_default(config->statement_timeout_us, STATEMENT_TIMEOUT_US);
}

static int make(struct pg *pg, const struct pg_config *config, struct err *err)
{
	char *conninfo = strdup(config->conninfo);
	int r;

	pg->timer = loop_timer_new(pg->loop, on_timer, pg);
	if (!conninfo || !pg->timer) {
		free(conninfo);
		return err_set(err, -ENOMEM, "PostgreSQL: out of memory");
	}
	apply(pg, config, conninfo);
	snprintf(pg->application, sizeof(pg->application), "%.30s %08x", config->role, (unsigned)random_u64());
	r = pg_hosts_parse(&pg->hosts, conninfo, err);
	return r;
}

int pg_open(struct pg **ret, struct loop *loop, const struct pg_config *config, pg_state_fn *on_state, void *arg,
            struct err *err)
{
	struct pg *pg = calloc(1, sizeof(*pg));
	int r;

	if (!pg)
		return err_set(err, -ENOMEM, "PostgreSQL: out of memory");
	*pg = (struct pg){.loop = loop, .on_state = on_state, .arg = arg, .watched_fd = -1};
	STAILQ_INIT(&pg->entries);
	r = make(pg, config, err);
	if (r < 0) {
		pg_free(pg);
		return r;
	}
	/* From the loop: the caller is not ready for on_state() yet. */
	pg->since_us = pg->retry_at_us = clock_mono_us();
	pg->step = STEP_BACKING_OFF;
	pg_set_timer(pg);
	*ret = pg;
	return 0;
}

struct pg *pg_free(struct pg *pg)
{
	if (!pg)
		return NULL;
	pg->step = STEP_BACKING_OFF;
	pg_disconnect(pg);
	pg_fail_entries(pg, "the relay stops");
	loop_timer_free(pg->timer);
	pg_hosts_free(&pg->hosts);
	if (pg->conninfo)
		explicit_bzero(pg->conninfo, strlen(pg->conninfo));
	free(pg->conninfo);
	free(pg);
	return NULL;
}

int pg_set_config(struct pg *pg, const struct pg_config *config, struct err *err)
{
	bool same = strcmp(config->conninfo, pg->conninfo) == 0;
	char *conninfo = strdup(config->conninfo);
	struct pg_hosts hosts;
	int r = conninfo ? pg_hosts_parse(&hosts, conninfo, err) : err_set(err, -ENOMEM, "PostgreSQL: out of memory");

	if (r < 0) {
		free(conninfo);
		return r;
	}
	pg_hosts_free(&pg->hosts);
	pg->hosts = hosts;
	apply(pg, config, conninfo);
	if (same)
		return 0;
	pg->failures = 0;
	if (pg->step == STEP_UP) {
		pg_lost(pg, "another connection string was configured");
		return 0;
	}
	pg_disconnect(pg);
	pg_fail_entries(pg, "another connection string was configured");
	pg->retry_at_us = clock_mono_us();
	pg_set_step(pg, STEP_BACKING_OFF);
	return 0;
}

int pg_send(struct pg *pg, const struct pg_statement *statement, const struct pg_args *args, enum pg_mode mode,
            pg_done_fn *done, void *arg)
{
	if (pg->step != STEP_UP || pg->is_broken)
		return -ENOTCONN;
	return pg_enqueue(pg, statement, args, mode == PG_DURABLE && pg->config.require_sync, done, arg);
}

void pg_get_status(const struct pg *pg, struct pg_status *ret)
{
	int64_t wait_us = pg->retry_at_us - clock_mono_us();

	*ret = (struct pg_status){
	        .state = pg->step == STEP_UP            ? PG_UP
	                 : pg->step == STEP_BACKING_OFF ? PG_BACKING_OFF
	                                                : PG_CONNECTING,
	        .why = pg->why,
	        .server = pg->server,
	        .since_us = pg->since_us,
	        .retry_in_us = pg->step == STEP_BACKING_OFF && wait_us > 0 ? wait_us : 0,
	        .synchronous = pg->synchronous,
	        .version = pg->version,
	        .in_flight = pg->in_flight,
	};
}
