/* delivery_log.c - log lines of fixed grammar: one per batch */
#include <inttypes.h>
#include <stdio.h>

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
	case OUTCOME_RETRY_DESTINATION: /* the destination has lines of its own (destination_log.c) */
	case OUTCOME_DESTINATION_WRONG:
	case OUTCOME_RETRY_BATCH:
	case OUTCOME_SPLIT:
	case OUTCOME_BISECT:
	case OUTCOME_COUNT:
		return LOG_LEVEL_DEBUG;
	case OUTCOME_DEAD_REFUSED:
	case OUTCOME_DEAD_EXPIRED:
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
