/* delivery_log.c - log lines of fixed grammar: one per batch, one when a destination goes down or is back */
#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"
#include "delivery/delivery_private.h"

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
	case OUTCOME_RETRY_DESTINATION: /* the destination has a line of its own */
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

void log_batch(struct delivery *d, const struct batch *b, const struct attempt *a, enum outcome outcome)
{
	struct stream *s = batch_stream(b);
	/* what may be counted twice is logged */
	bool maybe = b->events[0]->maybe_sent && !outcome_status_decides(a->status);
	enum log_level level = batch_level(outcome);
	if (maybe && level == LOG_LEVEL_DEBUG)
		level = LOG_LEVEL_INFO;
	struct log_limit *limit = level == LOG_LEVEL_WARNING ? &d->dead_log : &s->failures_log;
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
	          b->n, s->name, a->status, b->attempts, a->duration_us / US_PER_MS, outcome_name(outcome), ids,
	          b->events[0]->maybe_sent ? " maybe-sent" : "", a->status == 0 ? " error=" : "",
	          a->status == 0 ? (a->error[0] ? a->error : transport_name(a->transport)) : "", more);
}

/* Rounded to the second, below a second to a tenth. */
static const char *say_duration(int64_t us, char buf[32])
{
	int64_t unit = us < US_PER_S ? 100 * US_PER_MS : US_PER_S;
	return format_duration((us + unit / 2) / unit * unit, buf);
}

static void log_down(struct delivery *d, struct stream *s)
{
	bool wrong = s->destination.wrong;
	enum log_level level = wrong ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING;
	char wait[32];
	say_duration(destination_wait_us(&s->destination, d->now.mono_us), wait);
	log_write(level, "destination %s: %s%s next try in %s, %" PRIu64 " waiting", s->name, s->last_error,
	          wrong ? ", the endpoint, the credentials or a proxy must be wrong; nothing is lost or "
	                  "dead-lettered;"
	                : ",",
	          wait, writer_queued(d->jobs.writer, s->sid));
	s->wrong_logged = wrong;
}

void log_destination(struct delivery *d, struct stream *s, enum destination_change change)
{
	char lasted[32];
	if (*d->phase >= PHASE_ABORTING) /* what the relay itself cut off says nothing about the destination */
		return;
	switch (change) {
	case CHANGE_DOWN:
		s->down_since_wall_us = d->now.wall_us;
		log_down(d, s);
		break;
	case CHANGE_LONGER:
		/* an episode that turns out to be a wrong configuration is logged once more, as an error */
		if (s->destination.wrong && !s->wrong_logged)
			log_down(d, s);
		break;
	case CHANGE_UP:
		log_info("destination %s: back after %s, %" PRIu64 " waited", s->name,
		         say_duration(d->now.mono_us - s->destination.down_since_us, lasted),
		         writer_queued(d->jobs.writer, s->sid));
		s->down_since_wall_us = 0;
		s->wrong_logged = false;
		break;
	case CHANGE_NONE:
		break;
	}
}
