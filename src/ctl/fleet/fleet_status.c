/* fleet_status.c - the command status on the fleet's queue: what is queued, who delivers it, and the database's state
 */
#include <stdio.h>

#include "base/clock.h"
#include "ctl/fleet/fleet.h"
#include "ctl/output/terminal_text.h"
#include "fleet/facts.h"

/* Each part has an index of its own; delivered keys, of which there may be many, are not counted. */
#define SUM(state) "SELECT count(*), min(accepted_us) FROM ga4relay.event WHERE state = " state
static const char events_sql[] = SUM("0") " UNION ALL " SUM("1") " UNION ALL " SUM("2");
static const char owners_sql[] =
        "SELECT owner, count(*), (extract(epoch FROM min(until) - now()) * 1000)::bigint"
        " FROM ga4relay.lane WHERE owner <> '' AND until > now() GROUP BY owner ORDER BY owner";

enum { PARTS = 3 };
static const char *const parts[PARTS] = {"queued", "held", "dead"};

struct fleet_picture {
	struct fleet_facts facts;
	struct pg_answer events, owners;
};

static int64_t oldest_s(const struct pg_answer *events)
{
	return pg_is_null(events, 0, 1) ? -1 : (clock_wall_us() - pg_i64(events, 0, 1)) / US_PER_S;
}

/* ---- JSON ---- */

static void write_hubs(struct json_out *j, const struct pg_answer *owners)
{
	json_out_key(j, "leases");
	json_out_array(j);
	for (unsigned i = 0; i < pg_rows(owners); i++) {
		json_out_object(j);
		json_out_key(j, "hub");
		json_out_slice(j, pg_text(owners, i, 0));
		json_out_kv_i64(j, "lanes", pg_i64(owners, i, 1));
		json_out_kv_i64(j, "ends_in_ms", pg_i64(owners, i, 2));
		json_out_close(j);
	}
	json_out_close(j);
}

static void write_database(struct json_out *j, const struct fleet_facts *f)
{
	json_out_key(j, "database");
	json_out_object(j);
	json_out_kv_str(j, "server", f->server);
	json_out_kv_i64(j, "schema", f->schema);
	json_out_kv_str(j, "unknown", f->unknown[0] ? f->unknown : NULL);
	json_out_kv_str(j, "synchronous_standby_names", f->sync_names);
	json_out_kv_i64(j, "standbys", f->standbys);
	if (f->visible) {
		json_out_kv_i64(j, "streaming", f->streaming);
		json_out_kv_i64(j, "synchronous", f->synchronous);
		json_out_kv_i64(j, "lag_bytes", f->lag_bytes);
		json_out_kv_i64(j, "lag_ms", f->lag_us / US_PER_MS);
	}
	json_out_close(j);
}

static int print_json(const struct fleet_picture *p)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 20);
	struct json_out *j = json_out_begin(&out);
	int64_t oldest = oldest_s(&p->events);

	if (!j)
		return -1;
	json_out_object(j);
	json_out_key(j, "events");
	json_out_object(j);
	for (unsigned i = 0; i < PARTS; i++)
		json_out_kv_i64(j, parts[i], pg_i64(&p->events, i, 0));
	json_out_close(j);
	json_out_key(j, "oldest_age_s");
	if (oldest < 0)
		json_out_null(j);
	else
		json_out_i64(j, oldest);
	json_out_kv_i64(j, "edges", p->facts.edges);
	json_out_kv_i64(j, "hubs", p->facts.hubs);
	write_hubs(j, &p->owners);
	write_database(j, &p->facts);
	if (json_out_end(j) < 0)
		return -1;
	printf("%.*s\n", (int)out.len, out.data);
	return 0;
}

/* ---- for people ---- */

static void label(const struct ctl *ctl, const char *name)
{
	printf("%s%-10s%s", text_color_on(ctl->color, COLOR_DIM), name, text_color_off(ctl->color));
}

static void print_standbys(const struct ctl *ctl, const struct fleet_facts *f)
{
	char lag[16], bytes[16];

	label(ctl, "standbys");
	if (f->unknown[0])
		printf("not known: %s\n", f->unknown);
	else if (!f->sync_names[0])
		printf("%lld, none synchronous (synchronous_standby_names is empty)\n", (long long)f->standbys);
	else if (!f->visible)
		printf("%lld; their state is for members of pg_monitor\n", (long long)f->standbys);
	else
		printf("%lld, %lld synchronous, the last of them %s (%s) behind\n", (long long)f->standbys,
		       (long long)f->synchronous, text_bytes((uint64_t)f->lag_bytes, bytes),
		       text_duration(f->lag_us, lag));
}

static void print_text(const struct ctl *ctl, const struct fleet_picture *p)
{
	int64_t oldest = oldest_s(&p->events);
	char n[32], age[16];

	label(ctl, "events");
	for (unsigned i = 0; i < PARTS; i++)
		printf("%s%s %s", i ? "  " : "", parts[i], text_count((uint64_t)pg_i64(&p->events, i, 0), n));
	putchar('\n');
	if (oldest >= 0) {
		label(ctl, "oldest");
		printf("%s\n", text_duration(oldest * US_PER_S, age));
	}
	label(ctl, "relays");
	printf("%lld edge%s, %lld hub%s connected\n", (long long)p->facts.edges, p->facts.edges == 1 ? "" : "s",
	       (long long)p->facts.hubs, p->facts.hubs == 1 ? "" : "s");
	for (unsigned i = 0; i < pg_rows(&p->owners); i++) {
		_cleanup_(buf_free) struct buf owner = BUF_INIT(1024);

		label(ctl, i ? "" : "leases");
		if (text_safe(&owner, pg_text(&p->owners, i, 0)) == 0)
			printf("%.*s: %lld of 256 lanes, for %s\n", (int)owner.len, owner.data,
			       (long long)pg_i64(&p->owners, i, 1),
			       text_duration(pg_i64(&p->owners, i, 2) * US_PER_MS, age));
	}
	label(ctl, "database");
	printf("%s, schema %lld\n", p->facts.server, (long long)p->facts.schema);
	print_standbys(ctl, &p->facts);
}

enum ctl_exit fleet_status(struct ctl *ctl)
{
	struct fleet_picture p = {.facts.schema = 0};
	struct pg_session *s;
	struct err err = {"out of memory"};
	enum ctl_exit code = fleet_session(ctl, &s);
	int r;

	if (code != CTL_DONE)
		return code;
	r = fleet_facts_ask(s, &p.facts, &err);
	if (r == 0)
		r = pg_session_ask(s, events_sql, NULL, &p.events, &err);
	if (r == 0)
		r = pg_session_ask(s, owners_sql, NULL, &p.owners, &err);
	if (r == 0 && ctl->args.json)
		r = print_json(&p);
	else if (r == 0)
		print_text(ctl, &p);
	pg_session_clear(&p.events);
	pg_session_clear(&p.owners);
	pg_session_close(s);
	if (r == 0)
		return CTL_DONE;
	ctl_complain("status: %s", err.text);
	return CTL_REFUSED;
}
