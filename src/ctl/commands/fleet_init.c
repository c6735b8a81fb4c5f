/* fleet_init.c - the fleet's tables in PostgreSQL */
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/fd.h"
#include "ctl/ctl.h"

#if GA4RELAY_POSTGRES

#include "fleet/schema.h"

enum { CONNINFO_MAX = 4096 };

static int read_conninfo(struct buf *b, const char *path, struct err *err)
{
	int r = file_read(path, b, err);

	while (r == 0 && b->len > 0 && (b->data[b->len - 1] == '\n' || b->data[b->len - 1] == '\r'))
		b->len--;
	if (r == 0 && b->len == 0)
		r = err_set(err, -EINVAL, "%s is empty", path);
	return r == 0 ? buf_append_char(b, '\0') : r;
}

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
	_cleanup_(buf_wipe) struct buf conninfo = BUF_INIT(CONNINFO_MAX);
	struct err err;
	int r, from = 0;

	if (!ctl->args.conninfo_file) {
		ctl_complain("fleet-init: --conninfo-file FILE is needed");
		return CTL_USAGE;
	}
	r = read_conninfo(&conninfo, ctl->args.conninfo_file, &err);
	if (r == 0)
		r = fleet_schema_init(conninfo.data, &from, &err);
	if (r < 0) {
		ctl_complain("fleet-init: %s", err.text);
		return CTL_REFUSED;
	}
	report(ctl, from);
	return CTL_DONE;
}

#else

enum ctl_exit ctl_fleet_init(struct ctl *ctl UNUSED)
{
	ctl_complain("fleet-init: this ga4relay-ctl was built without PostgreSQL (configure --with-postgres)");
	return CTL_REFUSED;
}

#endif
