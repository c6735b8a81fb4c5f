/* dispatch_log.c - what delivery says: one line of fixed grammar per batch, one when a destination goes or comes */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "daemon/delivery/dispatch.h"

enum { RANGES_MAX = 6 };

/* "101-125", "101,105-109", at most six ranges, then "+N" for the events that are not named. */
static void format_ids(const struct batch *b, char *out, size_t size)
{
	size_t at = 0;
	unsigned i = 0;
	out[0] = '\0';
	for (unsigned ranges = 0; i < b->n && ranges < RANGES_MAX && at < size; ranges++) {
		uint64_t first = b->events[i]->id, last = first;
		while (++i < b->n && b->events[i]->id == last + 1)
			last++;
		const char *comma = at > 0 ? "," : "";
		if (last > first)
			at += (size_t)snprintf(out + at, size - at, "%s%" PRIu64 "-%" PRIu64, comma, first, last);
		else
			at += (size_t)snprintf(out + at, size - at, "%s%" PRIu64, comma, first);
	}
	if (i < b->n && at < size)
		snprintf(out + at, size - at, "+%u", b->n - i);
}

static enum log_level batch_level(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_DELIVERED:
	case OUTCOME_RETRY_NOW:
	case OUTCOME_RETRY_DESTINATION: /* the destination's own line says it */
	case OUTCOME_DESTINATION_WRONG:
	case OUTCOME_COUNT:
		return LOG_LEVEL_DEBUG;
	case OUTCOME_RETRY_BATCH:
	case OUTCOME_SPLIT:
	case OUTCOME_BISECT:
		return LOG_LEVEL_INFO;
	case OUTCOME_DEAD_REFUSED:
	case OUTCOME_DEAD_TOO_LARGE:
	case OUTCOME_DEAD_AMBIGUOUS:
		break;
	}
	return LOG_LEVEL_WARNING;
}

void log_batch(struct dispatch *d, struct outlet *o, const struct batch *b, const struct attempt *a,
               enum outcome outcome)
{
	/* what may have been counted, and may be counted twice, is said */
	bool maybe = b->events[0]->maybe_sent && !outcome_status_decides(a->status);
	enum log_level level = batch_level(outcome);
	if (maybe && level == LOG_LEVEL_DEBUG)
		level = LOG_LEVEL_INFO;
	struct log_limit *limit = level == LOG_LEVEL_WARNING ? &d->dead_log : &o->failures_log;
	uint64_t suppressed = 0;
	char ids[256], more[64] = "";
	if (log_get_level() < level)
		return;
	if (level != LOG_LEVEL_DEBUG && !log_limit_allow(limit, d->now.mono_us, &suppressed))
		return;
	if (suppressed)
		snprintf(more, sizeof(more), " suppressed=%" PRIu64, suppressed);
	format_ids(b, ids, sizeof(ids));
	log_write(level, "batch events=%u stream=%s status=%d attempt=%u ms=%" PRId64 " outcome=%s ids=%s%s%s%s%s",
	          b->n, o->name, a->status, b->attempts, a->duration_us / US_PER_MS, outcome_name(outcome), ids,
	          b->events[0]->maybe_sent ? " maybe-sent" : "", a->status == 0 ? " error=" : "",
	          a->status == 0 ? (a->error[0] ? a->error : transport_name(a->transport)) : "", more);
}

/* To the second, as a person says it. */
static const char *say_duration(int64_t us, char buf[32])
{
	int64_t unit = us < US_PER_S ? 100 * US_PER_MS : US_PER_S;
	return format_duration((us + unit / 2) / unit * unit, buf);
}

static void log_down(struct dispatch *d, struct outlet *o, enum outcome outcome, const char *why)
{
	char wait[32];
	say_duration(destination_wait_us(&o->destination, d->now.mono_us), wait);
	if (outcome == OUTCOME_DESTINATION_WRONG)
		log_error("destination %s: %s, the endpoint, the credentials or a proxy must be wrong; nothing is "
		          "lost or "
		          "dead-lettered; next try in %s, %" PRIu64 " waiting",
		          o->name, why, wait, writer_queued(d->writer, o->sid));
	else
		log_warning("destination %s: %s, next try in %s, %" PRIu64 " waiting", o->name, why, wait,
		            writer_queued(d->writer, o->sid));
	o->wrong_logged = outcome == OUTCOME_DESTINATION_WRONG;
}

void log_destination(struct dispatch *d, struct outlet *o, enum destination_change change, enum outcome outcome,
                     const char *why)
{
	char lasted[32];
	if (d->aborting) /* what the relay itself cut off says nothing about the destination */
		return;
	switch (change) {
	case CHANGE_DOWN:
		o->down_since_wall_us = d->now.wall_us;
		log_down(d, o, outcome, why);
		break;
	case CHANGE_LONGER:
		/* an episode that turns out to be somebody's mistake is said once more, and loudly */
		if (outcome == OUTCOME_DESTINATION_WRONG && !o->wrong_logged)
			log_down(d, o, outcome, why);
		break;
	case CHANGE_UP:
		log_info("destination %s: back after %s, %" PRIu64 " waited", o->name,
		         say_duration(d->now.mono_us - o->destination.down_since_us, lasted),
		         writer_queued(d->writer, o->sid));
		o->down_since_wall_us = 0;
		o->wrong_logged = false;
		break;
	case CHANGE_NONE:
		break;
	}
}
