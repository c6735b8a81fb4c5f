/* fleet_init.c - the fleet's tables in PostgreSQL */
#include <stdio.h>

#include "ctl/fleet/fleet.h"
#include "fleet/schema.h"

static void report(const struct ctl *ctl, int from)
{
	int to = fleet_schema_version();

	if (ctl->args.json)
		printf("{\"ok\":true,\"from\":%d,\"version\":%d}\n", from, to);
	else if (from == 0)
		printf("fleet: schema ga4relay created, version %d\n", to);
	else if (from < to)
		printf("fleet: schema ga4relay migrated from version %d to %d\n", from, to);
	else
		printf("fleet: schema ga4relay has version %d; nothing to do\n", from);
}

enum ctl_exit ctl_fleet_init(struct ctl *ctl)
{
	_cleanup_(buf_wipe) struct buf conninfo = BUF_INIT(FLEET_ARGS_MAX);
	struct err err;
	int r, from = 0;

	r = fleet_conninfo(ctl, &conninfo, &err);
	if (r == 0)
		r = fleet_schema_init(conninfo.data, &from, &err);
	if (r < 0) {
		ctl_complain("fleet-init: %s", err.text);
		return CTL_REFUSED;
	}
	report(ctl, from);
	return CTL_DONE;
}
