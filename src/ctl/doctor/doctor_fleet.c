/* doctor_fleet.c - the doctor's checks of a fleet: its database, standbys and schema, and this relay's part */
#include "ctl/doctor/doctor.h"

#if GA4RELAY_POSTGRES

#include "base/clock.h"
#include "ctl/output/terminal_text.h"
#include "fleet/facts.h"
#include "fleet/schema.h"

enum { LAG_WARNING_S = 10 };

static void check_schema(struct doctor *d, const struct fleet_facts *f)
{
	struct err err;

	if (f->schema == 0)
		doctor_say(d, FINDING_FAILED, "fleet",
		           "run ga4relay-ctl fleet-init once, from any relay of the fleet",
		           "the schema ga4relay is not there, or this user may not use it");
	else if (fleet_schema_check(f->schema, f->works_from, &err) < 0)
		doctor_say(d, FINDING_FAILED, "fleet", NULL, "%s", err.text);
	else if (!f->may_write)
		doctor_say(
		        d, FINDING_FAILED, "fleet",
		        "GRANT USAGE ON SCHEMA ga4relay, and SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "
		        "ga4relay to it",
		        "this user may not write to the queue");
	else
		doctor_say(d, FINDING_OK, "fleet", NULL, "schema version %lld, and this user may use it",
		           (long long)f->schema);
}

static void check_standbys(struct doctor *d, const struct fleet_facts *f)
{
	char lag[16], bytes[16];

	if (f->unknown[0]) {
		doctor_say(d, FINDING_NOTE, "standbys", "ask the database's own tools", "not known: %s", f->unknown);
		return;
	}
	if (!f->sync_names[0]) {
		doctor_say(d, d->conf->fleet.require_sync ? FINDING_FAILED : FINDING_WARNING, "standbys",
		           "set synchronous_standby_names = 'ANY 1 (...)' on the primary; see ga4relay-fleet(7)",
		           "synchronous_standby_names is empty: a commit waits for no standby");
		return;
	}
	if (!f->visible) {
		doctor_say(d, FINDING_NOTE, "standbys", "GRANT pg_monitor to it, and their lag is shown here",
		           "%lld connected; this user may not see their state", (long long)f->standbys);
		return;
	}
	text_bytes((uint64_t)f->lag_bytes, bytes);
	text_duration(f->lag_us, lag);
	if (f->synchronous == 0)
		doctor_say(d, FINDING_FAILED, "standbys", "start a standby that synchronous_standby_names names",
		           "none of the synchronous standbys streams: every commit waits");
	else
		doctor_say(d, f->lag_us > LAG_WARNING_S * US_PER_S ? FINDING_WARNING : FINDING_OK, "standbys", NULL,
		           "%lld of %lld synchronous, the last of them %s (%s) behind", (long long)f->synchronous,
		           (long long)f->standbys, bytes, lag);
}

static void check_members(struct doctor *d, const struct fleet_facts *f)
{
	if (f->unknown[0])
		return;
	doctor_say(d, f->hubs == 0 ? FINDING_WARNING : FINDING_OK, "fleet",
	           f->hubs == 0 ? "start a relay with fleet.role = \"hub\": without one nothing is delivered" : NULL,
	           "%lld edge%s and %lld hub%s connected", (long long)f->edges, f->edges == 1 ? "" : "s",
	           (long long)f->hubs, f->hubs == 1 ? "" : "s");
}

void doctor_fleet(struct doctor *d)
{
	struct fleet_facts facts;
	struct pg_session *s;
	struct err err;

	if (!d->conf || !d->conf->fleet.conninfo)
		return;
	if (pg_session_open(&s, d->conf->fleet.conninfo, &err) < 0) {
		doctor_say(
		        d, FINDING_FAILED, "fleet",
		        "are the hosts, the user and the password of fleet.conninfo_file right, and does one of the "
		        "servers take writes?",
		        "%s", err.text);
		return;
	}
	if (fleet_facts_ask(s, &facts, &err) < 0) {
		doctor_say(d, FINDING_FAILED, "fleet", "look into the server's log", "%s", err.text);
	} else {
		doctor_say(d, FINDING_OK, "fleet", NULL, "%s: connected to %s",
		           d->conf->fleet.role == FLEET_EDGE ? "edge" : "hub", facts.server);
		check_schema(d, &facts);
		check_standbys(d, &facts);
		check_members(d, &facts);
	}
	pg_session_close(s);
}

#else

void doctor_fleet(struct doctor *d UNUSED) {}

#endif
