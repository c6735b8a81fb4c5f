/* destination_log.c - log lines on a destination: when it goes down and is back, reminders, failures by the minute */
#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"
#include "delivery/delivery_private.h"

enum {
	EPISODES_LOGGED = 5, /* in one minute: a rate limit has one each second */
	FEW_ANSWERS = 10,    /* whose failures are no reason to warn */
};
static const int64_t minute_us = US_PER_MIN, remind_every_us = 10 * US_PER_MIN, last_call_us = US_PER_H;

void destination_log_init(struct destination_log *l)
{
	*l = (struct destination_log){
	        .episodes = {.interval_us = minute_us, .burst = EPISODES_LOGGED},
	        .remind_at_us = INT64_MAX,
	        .sum_at_us = INT64_MAX,
	};
}

/* Rounded to a tenth of a second, a second, a minute or an hour, the longer the coarser. */
static const char *say_duration(int64_t us, char buf[32])
{
	int64_t unit = us < US_PER_S          ? 100 * US_PER_MS
	               : us < 10 * US_PER_MIN ? US_PER_S
	               : us < 10 * US_PER_H   ? US_PER_MIN
	                                      : US_PER_H;
	return format_duration((us + unit / 2) / unit * unit, buf);
}

static enum log_level down_level(const struct stream *s)
{
	return s->destination.wrong ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING;
}

static void log_down(struct delivery *d, struct stream *s, uint64_t suppressed)
{
	bool wrong = s->destination.wrong;
	char wait[32], more[64] = "";
	say_duration(destination_wait_us(&s->destination, d->now.mono_us), wait);
	if (suppressed)
		snprintf(more, sizeof(more), ", %" PRIu64 " shorter times were not logged", suppressed);
	log_write(down_level(s), "destination %s: %s%s next try in %s, %" PRIu64 " waiting%s", s->name, s->last_error,
	          wrong ? ", the endpoint, the credentials or a proxy must be wrong; nothing is lost or "
	                  "dead-lettered;"
	                : ",",
	          wait, writer_queued(d->jobs.writer, s->sid), more);
	s->log.down_logged = true;
	s->log.wrong_logged = wrong;
}

/* In ten minutes, or an hour before the first event expires if that is sooner. */
static int64_t next_reminder_us(const struct delivery *d, const struct expiry_of_stream *e)
{
	int64_t in_us = remind_every_us;
	if (e->first_expiry_us > last_call_us && e->first_expiry_us - last_call_us < in_us)
		in_us = e->first_expiry_us - last_call_us;
	return d->now.mono_us + in_us;
}

/* Looks at all events in memory, at most once a second: many streams may go down together. */
static const struct expiry_of_stream *see_expiry(struct delivery *d, const struct stream *s)
{
	struct expiry_status all;
	if (d->expiry_seen_us == 0 || d->now.mono_us - d->expiry_seen_us >= US_PER_S) {
		expiry_get_status(d->expiry, &d->now, &all, d->expiry_seen);
		d->expiry_seen_us = d->now.mono_us;
	}
	return &d->expiry_seen[s->sid];
}

static void went_down(struct delivery *d, struct stream *s)
{
	uint64_t suppressed = 0;
	s->down_since_wall_us = d->now.wall_us;
	s->log.down_logged = s->log.wrong_logged = false;
	s->log.failures = 0; /* so far they are this outage */
	s->log.sum_at_us = INT64_MAX;
	s->log.remind_at_us = d->now.mono_us + minute_us;
	if (!log_limit_allow(&s->log.episodes, d->now.mono_us, &suppressed))
		return;
	log_down(d, s, suppressed);
	s->log.remind_at_us = next_reminder_us(d, see_expiry(d, s));
}

static void is_back(struct delivery *d, struct stream *s)
{
	char lasted[32];
	if (s->log.down_logged)
		log_info("destination %s: back after %s, %" PRIu64 " waited", s->name,
		         say_duration(d->now.mono_us - s->destination.down_since_us, lasted),
		         writer_queued(d->jobs.writer, s->sid));
	s->down_since_wall_us = 0;
	s->log.remind_at_us = INT64_MAX;
}

void log_destination(struct delivery *d, struct stream *s, enum destination_change change)
{
	if (*d->phase >= PHASE_ABORTING) /* what the relay itself cut off says nothing about the destination */
		return;
	switch (change) {
	case CHANGE_DOWN:
		went_down(d, s);
		break;
	case CHANGE_LONGER:
		/* an episode that turns out to be a wrong configuration is logged once more, as an error */
		if (s->log.down_logged && s->destination.wrong && !s->log.wrong_logged)
			log_down(d, s, 0);
		break;
	case CHANGE_UP:
		is_back(d, s);
		break;
	case CHANGE_NONE:
		break;
	}
}

/* ---- failures while others succeed ---- */

void log_answer(struct delivery *d, struct stream *s, enum outcome outcome)
{
	struct destination_log *l = &s->log;
	bool failed = outcome == OUTCOME_RETRY_BATCH || outcome == OUTCOME_BISECT || outcome == OUTCOME_SPLIT;
	if (s->destination.state != DESTINATION_UP)
		return;
	l->answers++;
	if (!failed)
		return;
	if (l->failures++ == 0) {
		l->answers = 1;
		l->sum_at_us = d->now.mono_us + minute_us;
	}
}

/* The share is of the answers since the first of the failures. */
static void log_sum(struct stream *s)
{
	struct destination_log *l = &s->log;
	bool many = l->answers >= FEW_ANSWERS && l->failures > l->answers / 10;
	log_write(many ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
	          "destination %s: %u of %u requests failed in the last minute while others succeeded; their events "
	          "are "
	          "sent again",
	          s->name, l->failures, l->answers);
	l->answers = l->failures = 0;
	l->sum_at_us = INT64_MAX;
}

/* ---- reminders ---- */

static void remind(struct delivery *d, struct stream *s)
{
	const struct expiry_of_stream *e;
	char down[32], wait[32], oldest[32], first[32];
	s->log.remind_at_us = d->now.mono_us + remind_every_us;
	if (s->removed || stream_is_paused(s))
		return;
	e = see_expiry(d, s);
	s->log.remind_at_us = next_reminder_us(d, e);
	if (!s->log.down_logged) { /* others were too many when it began */
		log_down(d, s, 0);
		return;
	}
	log_write(down_level(s),
	          "destination %s: down for %s, %s, next try in %s, %" PRIu64
	          " waiting, the oldest event is %s old, the "
	          "first expires in %s",
	          s->name, say_duration(d->now.mono_us - s->destination.down_since_us, down), s->last_error,
	          say_duration(destination_wait_us(&s->destination, d->now.mono_us), wait),
	          writer_queued(d->jobs.writer, s->sid), say_duration(e->oldest_age_us, oldest),
	          e->first_expiry_us < 0 ? "a time that is not known" : say_duration(e->first_expiry_us, first));
}

void log_due(struct delivery *d, struct stream *s)
{
	if (d->now.mono_us >= s->log.remind_at_us)
		remind(d, s);
	if (d->now.mono_us >= s->log.sum_at_us)
		log_sum(s);
}

int64_t log_due_us(const struct stream *s)
{
	return s->log.remind_at_us < s->log.sum_at_us ? s->log.remind_at_us : s->log.sum_at_us;
}
