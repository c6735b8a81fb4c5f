/* session_setup.c - what a new connection is asked and told before it is used
 *
 * The session's own synchronous_commit stands above that of the server, the database and the role: switching it off
 * there changes nothing here. Whether the server waits for standbys at all is its own setting, which can change at
 * any time, and is looked at after each COMMIT that needs it. */
#include <stdio.h>
#include <string.h>

#include "net/postgres/postgres_private.h"

static const struct pg_statement set_session = {
        "ga4relay_set_session",
        "SELECT current_setting('server_encoding'),"
        " set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply'"
        " THEN 'remote_apply' ELSE 'on' END, false)"};

const struct pg_statement pg_check_sync = {
        "ga4relay_check_sync", "SELECT coalesce(current_setting('synchronous_standby_names', true), '') <> ''"};

/* Backends of connections that were given up may wait for a standby for ever, and make the same keys wait. */
static const struct pg_statement end_leftovers = {
        "ga4relay_end_leftovers",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1::text AND pid <> "
        "pg_backend_pid()"};

/* The connection ends when its answers have been read. */
static void unfit(struct pg *pg, const char *why)
{
	if (!pg->unfit[0])
		snprintf(pg->unfit, sizeof(pg->unfit), "%s", why);
}

static void on_checked(void *arg, const struct pg_answer *answer)
{
	struct pg *pg = arg;

	if (pg->step != STEP_PREPARING || pg->unfit[0])
		return;
	if (answer->outcome != PG_COMMITTED || pg_rows(answer) != 1) {
		unfit(pg, answer->error);
		return;
	}
	pg->synchronous = pg_bool(answer, 0, 0);
	pg_connected(pg);
}

static void on_set(void *arg, const struct pg_answer *answer)
{
	struct pg *pg = arg;
	char why[120];

	if (pg->step != STEP_PREPARING)
		return;
	if (answer->outcome != PG_COMMITTED || pg_rows(answer) != 1) {
		unfit(pg, answer->error);
		return;
	}
	struct slice encoding = pg_text(answer, 0, 0);
	if (slice_eq(encoding, SLICE_LIT("UTF8")))
		return;
	snprintf(why, sizeof(why), "the database's encoding is %.30s: it must be UTF8", encoding.p);
	unfit(pg, why);
}

static void on_ended(void *arg UNUSED, const struct pg_answer *answer UNUSED) {}

static int send_leftovers(struct pg *pg)
{
	struct pg_args args;
	int r;

	if (!pg->leftover)
		return 0;
	pg_args_init(&args, 4096);
	pg_arg_text(&args, slice_of(pg->application));
	r = pg_enqueue(pg, &end_leftovers, &args, false, on_ended, pg);
	pg_args_free(&args);
	return r;
}

void pg_prepare_session(struct pg *pg)
{
	struct pg_args none;
	int r;

	pg_args_init(&none, 0);
	r = pg_enqueue(pg, &set_session, &none, false, on_set, pg);
	if (r == 0)
		r = send_leftovers(pg);
	if (r == 0)
		r = pg_enqueue(pg, &pg_check_sync, &none, false, on_checked, pg);
	if (r < 0 && pg->step == STEP_PREPARING)
		pg_connect_failed(pg, "the first statement cannot be sent");
}
