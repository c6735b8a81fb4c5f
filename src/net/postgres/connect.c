/* connect.c - from a list of hosts to a connection: one address after the other, each with its own time-out */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "net/postgres/postgres_private.h"

/* The wait after the n-th round over all hosts that failed: doubled each time, half of it random. */
#define RETRY_MIN_US (200 * US_PER_MS)
#define RETRY_MAX_US (15 * US_PER_S)

static void try_host(struct pg *pg);

static void stop_watching(struct pg *pg)
{
	pg->watch = loop_watch_free(pg->watch);
	pg->watched_fd = -1;
}

void pg_disconnect(struct pg *pg)
{
	pg->resolver = pg_resolver_free(pg->resolver);
	stop_watching(pg);
	if (pg->conn)
		PQfinish(pg->conn);
	pg->conn = NULL;
	pg->n_prepared = 0;
	pg->is_broken = false;
	pg->unfit[0] = '\0';
}

int64_t pg_backoff_us(unsigned failures)
{
	int64_t wait = RETRY_MIN_US;

	for (unsigned i = 1; i < failures && wait < RETRY_MAX_US; i++)
		wait *= 2;
	wait = wait < RETRY_MAX_US ? wait : RETRY_MAX_US;
	return wait / 2 + (int64_t)(random_unit() * (double)(wait / 2));
}

static void back_off(struct pg *pg)
{
	pg->failures++;
	pg->retry_at_us = clock_mono_us() + pg_backoff_us(pg->failures);
	pg_set_step(pg, STEP_BACKING_OFF);
}

static void next_host(struct pg *pg)
{
	if (++pg->host < pg->hosts.n)
		try_host(pg);
	else
		back_off(pg);
}

/* ---- libpq's part ---- */

static void on_ready(void *arg, int fd UNUSED, unsigned ready UNUSED);

/* libpq may change the socket between two steps. */
static bool watch(struct pg *pg, unsigned interest)
{
	int fd = PQsocket(pg->conn);

	if (fd < 0)
		return false;
	if (pg->watch && pg->watched_fd == fd) {
		loop_watch_set(pg->watch, interest);
		return true;
	}
	stop_watching(pg);
	pg->watch = loop_watch_new(pg->loop, fd, interest, on_ready, pg);
	pg->watched_fd = fd;
	return pg->watch != NULL;
}

static void on_connected(struct pg *pg)
{
	if (PQsetnonblocking(pg->conn, 1) != 0 || PQenterPipelineMode(pg->conn) != 1 || !watch(pg, LOOP_READ)) {
		pg_connect_failed(pg, "out of memory");
		return;
	}
	pg->version = PQserverVersion(pg->conn);
	pg_set_step(pg, STEP_PREPARING);
	pg_prepare_session(pg);
}

static void poll_connection(struct pg *pg)
{
	PostgresPollingStatusType status = PQconnectPoll(pg->conn);
	bool watched = true;

	switch (status) {
	case PGRES_POLLING_READING:
	case PGRES_POLLING_ACTIVE:
		stop_watching(pg);
		watched = watch(pg, LOOP_READ);
		break;
	case PGRES_POLLING_WRITING:
		stop_watching(pg);
		watched = watch(pg, LOOP_WRITE);
		break;
	case PGRES_POLLING_OK:
		on_connected(pg);
		break;
	case PGRES_POLLING_FAILED:
		pg_connect_failed(pg, PQerrorMessage(pg->conn));
		break;
	}
	if (!watched)
		pg_connect_failed(pg, "out of memory");
}

static void on_ready(void *arg, int fd UNUSED, unsigned ready UNUSED)
{
	struct pg *pg = arg;

	if (pg->step == STEP_CONNECTING)
		poll_connection(pg);
	else
		pg_pump(pg);
}

static void try_address(struct pg *pg, const char *address)
{
	struct pg_keywords k;

	pg_hosts_keywords(&pg->hosts, pg->host, address, pg->application, &k);
	pg->conn = PQconnectStartParams(k.names, k.values, 0);
	if (pg->conn)
		PQsetNoticeReceiver(pg->conn, pg_on_notice, pg);
	if (!pg->conn || PQstatus(pg->conn) == CONNECTION_BAD || !watch(pg, LOOP_WRITE)) {
		pg_connect_failed(pg, pg->conn ? PQerrorMessage(pg->conn) : "out of memory");
		return;
	}
	pg_set_step(pg, STEP_CONNECTING);
}

/* ---- the round ---- */

static void on_resolved(void *arg, const struct pg_addresses *addresses, const char *error)
{
	struct pg *pg = arg;

	pg->addresses = *addresses;
	pg->resolver = pg_resolver_free(pg->resolver);
	if (error)
		pg_connect_failed(pg, error);
	else
		try_address(pg, pg->addresses.text[0]);
}

static void try_host(struct pg *pg)
{
	const struct pg_host *host = &pg->hosts.hosts[pg->host];

	pg_hosts_name(&pg->hosts, pg->host, pg->server, sizeof(pg->server));
	pg->addresses.n = pg->address = 0;
	if (pg_host_is_address(host)) {
		try_address(pg, "");
		return;
	}
	pg_set_step(pg, STEP_RESOLVING);
	if (pg_resolve(&pg->resolver, pg->loop, host->host, on_resolved, pg) < 0)
		pg_connect_failed(pg, "its name cannot be looked up: out of memory");
}

void pg_connect(struct pg *pg)
{
	pg->host = 0;
	try_host(pg);
}

void pg_connect_failed(struct pg *pg, const char *why)
{
	char line[200];

	pg_first_line(line, sizeof(line), why);
	snprintf(pg->why, sizeof(pg->why), "%.90s: %s", pg->server, line);
	pg_disconnect(pg);
	pg->step = STEP_BACKING_OFF; /* no answer that comes now means anything */
	pg_fail_entries(pg, line);
	if (++pg->address < pg->addresses.n)
		try_address(pg, pg->addresses.text[pg->address]);
	else
		next_host(pg);
}

void pg_connected(struct pg *pg)
{
	pg->leftover = false;
	pg_set_step(pg, STEP_UP);
}
