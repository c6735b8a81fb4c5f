/* fleet.h - ga4relay-ctl's side of the fleet's queue: the session with its database
 *
 * Only in a build with PostgreSQL. All of it reports problems on standard error. */
#ifndef CTL_FLEET_FLEET_H
#define CTL_FLEET_FLEET_H

#include "ctl/client.h"
#include "ctl/ctl.h"
#include "net/postgres/session.h"
#include "query/selection.h"

enum { FLEET_ARGS_MAX = 1 << 16 /* bytes of a statement's parameters: IDS_PORTION ids, and the filters */ };

/* Reads the connection string of --conninfo-file, or of the configuration, to the end of `out`. */
int fleet_conninfo(const struct ctl *ctl, struct buf *out, struct err *err) MUST_CHECK;
/* Connects, and checks that the schema is one that this program knows. */
enum ctl_exit fleet_session(const struct ctl *ctl, struct pg_session **ret) MUST_CHECK;

/* ---- fleet_filter.c: which events ---- */

struct fleet_filter {
	struct selection selection;
	enum count_by by;
	const char *stream;
	struct buf from; /* SQL: FROM … WHERE …, with parameters $1 to $7; e is the event, l its lane */
};
/* The filters of the command line. ids: of these alone, as $7. */
enum ctl_exit fleet_filter_read(struct fleet_filter *ret, const struct ctl *ctl, uint32_t default_states, bool ids);
void fleet_filter_free(struct fleet_filter *f);
/* The parameters. */
void fleet_filter_args(const struct fleet_filter *f, const uint64_t *ids, size_t n, struct pg_args *args);
/* A hub has the event in memory, or in a request. SQL, true or false. */
#define FLEET_SQL_TAKEN "(e.state = 0 AND l.owner <> '' AND l.until > now() AND e.seq <= l.taken)"

/* ---- the commands ---- */

enum ctl_exit fleet_list(struct ctl *ctl);
enum ctl_exit fleet_show(struct ctl *ctl);
enum ctl_exit fleet_count(struct ctl *ctl);
enum ctl_exit fleet_export(struct ctl *ctl);
enum ctl_exit fleet_act(struct ctl *ctl);
enum ctl_exit fleet_status(struct ctl *ctl);

#endif
