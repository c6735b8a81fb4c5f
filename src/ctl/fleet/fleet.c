/* fleet.c - the option --fleet: which commands it works with, and the session with the fleet's database */
#include "ctl/fleet/fleet.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "conf/conf.h"
#include "fleet/schema.h"
#include "fleet/sql.h"

/* ---- the session ---- */

static int from_file(const char *path, struct buf *out, struct err *err)
{
	int r = file_read(path, out, err);

	while (r == 0 && out->len > 0 && (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
		out->len--;
	if (r == 0 && out->len == 0)
		r = err_set(err, -EINVAL, "%s is empty", path);
	return r == 0 ? buf_append_char(out, '\0') : r;
}

static int from_configuration(struct buf *out, struct err *err)
{
	struct conf *conf;
	int r = conf_load_check(&conf, CTL_DEFAULT_CONFIG, err);

	if (r < 0)
		return err_prefix(err, r, "the fleet's connection string (or give --conninfo-file FILE)");
	if (conf->fleet.role == FLEET_NO_ROLE)
		r = err_set(err, -EINVAL,
		            "%s has no fleet.role: this host is in no fleet (or give --conninfo-file FILE)",
		            CTL_DEFAULT_CONFIG);
	else if (!conf->fleet.conninfo)
		r = err_set(err, -EINVAL,
		            "fleet.conninfo_credential is given to the service only: give --conninfo-file FILE");
	else
		r = buf_append(out, conf->fleet.conninfo, strlen(conf->fleet.conninfo) + 1);
	conf_free(conf);
	return r;
}

int fleet_conninfo(const struct ctl *ctl, struct buf *out, struct err *err)
{
	return ctl->args.conninfo_file ? from_file(ctl->args.conninfo_file, out, err) : from_configuration(out, err);
}

static int check_schema(struct pg_session *s, struct err *err)
{
	struct pg_answer answer;
	int r = pg_session_ask(s, FLEET_SQL_VERSION, NULL, &answer, err);

	if (r < 0)
		return err_prefix(err, r, "the fleet's schema cannot be read (fleet-init makes it)");
	if (pg_rows(&answer) == 1)
		r = fleet_schema_check(pg_i64(&answer, 0, 0), pg_i64(&answer, 0, 1), err);
	else
		r = err_set(err, -EPROTO, "the fleet's schema is not there: run ga4relay-ctl fleet-init");
	pg_session_clear(&answer);
	return r;
}

enum ctl_exit fleet_session(const struct ctl *ctl, struct pg_session **ret)
{
	_cleanup_(buf_wipe) struct buf conninfo = BUF_INIT(FLEET_ARGS_MAX);
	struct err err;
	int r;

	log_set_level(LOG_LEVEL_ERROR); /* what the configuration's loader warns of is no part of the answer */
	r = fleet_conninfo(ctl, &conninfo, &err);
	if (r == 0)
		r = pg_session_open(ret, conninfo.data, &err);
	if (r == 0) {
		r = check_schema(*ret, &err);
		if (r < 0)
			*ret = pg_session_close(*ret);
	}
	if (r == 0)
		return CTL_DONE;
	ctl_complain("%s", err.text);
	return CTL_REFUSED;
}

/* ---- the commands ---- */

static const struct {
	const char *name;
	ctl_run_fn *run;
} commands[] = {
        {"list", fleet_list},           {"show", fleet_show}, {"count", fleet_count},
        {"export", fleet_export},       {"retry", fleet_act}, {"hold", fleet_act},
        {"release", fleet_act},         {"drop", fleet_act},  {"status", fleet_status},
        {"fleet-init", ctl_fleet_init},
};

enum ctl_exit ctl_fleet(struct ctl *ctl)
{
	const char *name = ctl->args.command->name;

	if (ctl->args.offline || ctl->args.watch) {
		ctl_complain("%s: --fleet goes without --%s", name, ctl->args.offline ? "offline" : "watch");
		return CTL_USAGE;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(ctl);
	ctl_complain("%s does not work with --fleet", name);
	return CTL_USAGE;
}
