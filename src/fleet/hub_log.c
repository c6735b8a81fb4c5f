/* hub_log.c - the hub's lines in the log: each trouble once when it begins, and once when it is over */
#include "fleet/hub_private.h"

void hub_log_engine(struct hub *h)
{
	struct pg_status s;

	pg_get_status(h->pg, &s);
	if (s.state == PG_UP) {
		log_info("fleet: hub connected to %s", s.server);
		h->down_logged = false;
	} else if (s.state == PG_BACKING_OFF && !h->down_logged) {
		log_warning("fleet: the database cannot be reached (%s): the hub goes on with the %zu events that it "
		            "has leases for, and tries again",
		            s.why, h->n_events);
		h->down_logged = true;
	}
}

void hub_log_unknown_stream(struct hub *h, struct slice name)
{
	uint64_t more;

	if (log_limit_allow(&h->unknown_log, h->now.mono_us, &more))
		log_warning(
		        "fleet: events of the stream \"%.*s\" are queued, which is not configured here: they wait "
		        "for a hub that has it; give all hubs the same streams",
		        SLICE_ARG(name));
}

void hub_log_refused(struct hub *h, const char *what, const struct pg_answer *answer)
{
	uint64_t more;

	if (log_limit_allow(&h->refused_log, h->now.mono_us, &more))
		log_error("fleet: %s: the database says: %s (SQLSTATE %s); trying again", what, answer->error,
		          answer->sqlstate);
}
