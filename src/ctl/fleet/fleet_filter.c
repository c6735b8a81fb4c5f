/* fleet_filter.c - list's filters as SQL on the fleet's queue
 *
 * The text depends on the states alone, each of which has an index of its own; whatever a user gives is a parameter.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/fleet/fleet.h"
#include "ctl/selection_args.h"

static const char where[] = " LEFT JOIN ga4relay.lane l ON l.lane = e.lane"
                            " WHERE ($1::text = '' OR e.stream = $1::text)"
                            " AND ($2::text = '' OR e.client = $2::text)"
                            " AND ($3::text = '' OR e.name = $3::text)"
                            " AND ($4::text = '' OR e.reason = $4::text)"
                            " AND ($5::bigint = 0 OR e.accepted_us < $5::bigint)"
                            " AND ($6::bigint = 0 OR e.state <> 0 OR ($6::bigint = 2) = " FLEET_SQL_TAKEN ")";
static const char by_ids[] = " AND e.seq = ANY ($7::bigint[])";

/* Any stream's name is known here: it is compared by the database. */
static const char *stream_name(const void *arg, uint32_t sid)
{
	return sid == 1 ? arg : NULL;
}

static int write_from(struct fleet_filter *f, bool ids)
{
	const char *between = " FROM (";
	int r = 0;

	for (enum event_state s = STATE_QUEUED; s < STATE_COUNT && r == 0; s++) {
		if (!(f->selection.filter.states & (1u << s)))
			continue;
		r = buf_printf(&f->from, "%sSELECT * FROM ga4relay.event WHERE state = %d", between, (int)s);
		between = " UNION ALL ";
	}
	return r == 0 ? buf_printf(&f->from, ") e%s%s", where, ids ? by_ids : "") : r;
}

enum ctl_exit fleet_filter_read(struct fleet_filter *ret, const struct ctl *ctl, uint32_t default_states, bool ids)
{
	const struct query_streams streams = {stream_name, ctl->args.stream};
	struct err err;
	int r;

	*ret = (struct fleet_filter){.from = BUF_INIT(8192), .stream = ctl->args.stream ? ctl->args.stream : ""};
	r = selection_of_args(&ctl->args, &streams, default_states, &ret->selection, &ret->by, &err);
	if (r == 0 && ret->selection.filter.rejected)
		r = err_set(&err, -EINVAL,
		            "rejected lines are in the outbox of the relay that refused them: ask it, without "
		            "--fleet");
	if (r == 0 && write_from(ret, ids) < 0)
		r = err_set(&err, -ENOMEM, "out of memory");
	if (r == 0)
		return CTL_DONE;
	ctl_complain("%s", err.text);
	fleet_filter_free(ret);
	return r == -EINVAL ? CTL_USAGE : CTL_REFUSED;
}

void fleet_filter_free(struct fleet_filter *f)
{
	selection_clear(&f->selection);
	buf_free(&f->from);
}

void fleet_filter_args(const struct fleet_filter *f, const uint64_t *ids, size_t n, struct pg_args *args)
{
	const struct selection *s = &f->selection;
	int reason = s->filter.reason;

	pg_args_clear(args);
	pg_arg_text(args, slice_of(f->stream));
	pg_arg_text(args, slice_of(s->client ? s->client : ""));
	pg_arg_text(args, slice_of(s->name ? s->name : ""));
	pg_arg_text(args, slice_of(reason < 0 ? "" : dead_reason_name((enum dead_reason)reason)));
	pg_arg_i64(args, s->filter.accepted_before_us);
	pg_arg_i64(args, s->queued == s->inflight ? 0 : s->inflight ? 2 : 1);
	if (!ids)
		return;
	pg_arg_i64s(args, n);
	for (size_t i = 0; i < n; i++)
		pg_arg_next_i64(args, (int64_t)ids[i]);
}
