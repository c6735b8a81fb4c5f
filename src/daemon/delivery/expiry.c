/* expiry.c - events that grow too old become dead letters: the search through the outbox, in slices of low duty */
#include "daemon/delivery/expiry.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/parse.h"

enum {
	SLICE_ROWS = 10000,        /* about 3 ms of the writer's thread … */
	SLICE_GAP_US = 350 * 1000, /* … of so much: one percent */
	SMALL_ROWS = 100000,       /* a backlog that is searched within a second or so */
	SMALL_GAP_US = 30 * 1000,
	SCAN_GAP_US = 1000 * 1000, /* between two searches */
	CHECK_GAP_US = 60 * 1000 * 1000,
	DOUBT_US = 1000 * 1000,           /* an event that looks too old waits so long while the search goes on */
	EXEMPT_GAP_US = 30 * 1000 * 1000, /* what is left and old may not expire: it is not looked at every second */
	REPORT_GAP_US = 60 * 1000 * 1000,
};
static const int64_t suspend_us = 10 * US_PER_MIN;

struct expire_job {
	struct job_expire job;
	struct expiry *expiry;
};

void expiry_init(struct expiry *e, struct writer *writer, struct scheduler *scheduler, struct dispatch *dispatch,
                 int64_t max_age_us, const struct now *now)
{
	*e = (struct expiry){
	        .writer = writer,
	        .scheduler = scheduler,
	        .dispatch = dispatch,
	        .max_age_us = max_age_us,
	        .skew = {.base_us = now->wall_us - now->boot_us},
	        .mode = EXPIRY_ASKING,
	        .first_us = INT64_MIN,
	        .noted_oldest_us = INT64_MAX,
	};
}

void expiry_set_max_age(struct expiry *e, int64_t max_age_us)
{
	e->max_age_us = max_age_us;
}

int64_t expiry_now_us(const struct expiry *e, const struct now *now)
{
	return now->boot_us + e->skew.base_us;
}

void expiry_accept(struct expiry *e, const struct submission *sub, const struct now *now)
{
	clock_skew_note(&e->skew, sub->first_id, now->wall_us - now->boot_us);
	int64_t skew = clock_skew_of(&e->skew, sub->first_id);
	for (uint32_t i = 0; i < sub->n_events; i++) {
		int64_t t = sub->events[i].time_us + skew;
		if (t < e->first_us)
			e->first_us = t;
		if (t < e->noted_oldest_us)
			e->noted_oldest_us = t;
	}
}

void expiry_unknown(struct expiry *e)
{
	e->first_us = INT64_MIN;
	e->again = e->scanning;
	e->next_slice_us = 0;
}

enum expiry_word expiry_decide(const struct expiry *e, const struct due *d, const struct now *now)
{
	int64_t t = due_event(d)->time_us + clock_skew_of(&e->skew, d->id);
	if (d->no_expiry || expiry_now_us(e, now) - t < e->max_age_us)
		return EXPIRY_NO;
	return e->mode == EXPIRY_RUNNING ? EXPIRY_YES : EXPIRY_WAIT;
}

int64_t expiry_wait_until_us(const struct expiry *e, const struct now *now)
{
	return e->mode == EXPIRY_SUSPENDED ? e->suspended_until_us : now->mono_us + DOUBT_US;
}

/* ---- a slice ---- */

static void begin_scan(struct expiry *e)
{
	e->scanning = true;
	e->again = false;
	e->from = 0;
	e->scan_expired = e->scan_seen = 0;
	e->scan_oldest_us = e->noted_oldest_us = INT64_MAX;
}

static void suspend(struct expiry *e, const struct now *now)
{
	e->mode = EXPIRY_SUSPENDED;
	e->suspended_until_us = now->mono_us + suspend_us;
	e->scanning = false;
	e->first_us = INT64_MIN;
	log_error("%" PRIu64 " of %" PRIu64
	          " queued events would expire at once: is the clock right? Nothing expires for "
	          "10 minutes, and what looks too old is held back; after that it becomes dead letters",
	          e->scan_expired, e->scan_seen);
}

static bool scan_is_due(const struct expiry *e, const struct now *now)
{
	return e->first_us == INT64_MIN ||
	       (e->first_us != INT64_MAX && expiry_now_us(e, now) - e->first_us >= e->max_age_us);
}

static void end_scan(struct expiry *e, const struct now *now)
{
	e->scanning = false;
	e->next_slice_us = now->mono_us + SCAN_GAP_US;
	e->first_us = e->scan_oldest_us < e->noted_oldest_us ? e->scan_oldest_us : e->noted_oldest_us;
	if (e->mode == EXPIRY_ASKING) {
		if (e->scan_expired > 0 && e->scan_expired * 10 >= e->scan_seen) {
			suspend(e, now);
			return;
		}
		e->mode = EXPIRY_RUNNING;
		e->again |= e->scan_expired > 0; /* now in earnest */
		e->next_slice_us = now->mono_us;
	} else if (e->scan_expired == 0 && scan_is_due(e, now)) {
		e->next_slice_us = now->mono_us + EXEMPT_GAP_US;
	}
	if (e->again)
		e->first_us = INT64_MIN;
	e->again = false;
}

/* What the slice expired leaves memory; what was taken up meanwhile was decided here already. */
static void forget_expired(struct expiry *e, const struct job_expire *j)
{
	for (size_t i = 0; i < j->n_expired; i++) {
		const struct due *d = scheduler_find(e->scheduler, j->expired_ids[i]);
		if (d && d->state != DUE_SETTLING)
			dispatch_tap_expired(e->dispatch, d);
		if (!d || d->state != DUE_SETTLING) {
			e->dispatch->counters->dead[DEAD_EXPIRED]++;
			e->unreported++;
		}
		scheduler_forget(e->scheduler, j->expired_ids[i]);
	}
}

static void submit_slice(struct expiry *e, const struct now *now, bool earnest);

/* Nearly always nothing is too old: a slice only looks, and runs again in earnest when it found something. Then alone
 * what is out has to be listed, which looks at all that is in memory. */
static bool runs_again(const struct expiry *e, const struct expire_job *j)
{
	return e->scanning && e->mode == EXPIRY_RUNNING && j->job.dry_run && j->job.expired > 0;
}

static void slice_done(struct job *job)
{
	struct expire_job *j = CONTAINER_OF(job, struct expire_job, job.job);
	struct expiry *e = j->expiry;
	const struct now *now = &e->dispatch->now;
	e->slice_out = false;
	e->dispatch->jobs_out--;
	if (job->result < 0) {
		e->next_slice_us = now->mono_us + SCAN_GAP_US;
	} else if (runs_again(e, j)) {
		submit_slice(e, now, true);
	} else if (e->scanning) {
		e->from = j->job.next;
		e->scan_expired += j->job.expired;
		e->scan_seen += j->job.queued_seen;
		if (j->job.oldest_time_us < e->scan_oldest_us)
			e->scan_oldest_us = j->job.oldest_time_us;
		e->next_slice_us =
		        now->mono_us + (writer_queued(e->writer, 0) <= SMALL_ROWS ? SMALL_GAP_US : SLICE_GAP_US);
		if (!j->job.dry_run)
			forget_expired(e, &j->job);
		if (j->job.end)
			end_scan(e, now);
	}
	job_expire_clear(&j->job);
	free(j);
}

static void submit_slice(struct expiry *e, const struct now *now, bool earnest)
{
	struct expire_job *j = calloc(1, sizeof(*j));
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
	e->next_slice_us = now->mono_us + SCAN_GAP_US; /* when there is no memory */
	if (!j)
		return;
	job_expire_init(&j->job, slice_done);
	if (earnest && scheduler_in_flight_ids(e->scheduler, &j->job.in_flight, &j->job.n_in_flight) < 0) {
		free(j);
		return;
	}
	j->expiry = e;
	j->job.skew = e->skew;
	j->job.from = e->from;
	j->job.max_examined = SLICE_ROWS;
	j->job.expire_before_us = expiry_now_us(e, now) - e->max_age_us;
	j->job.dry_run = !earnest;
	e->slice_out = true;
	e->dispatch->jobs_out++;
	STAILQ_INSERT_TAIL(&jobs, &j->job.job, link);
	writer_submit(e->writer, &jobs);
}

/* The wall clock was given time to become right: what it says now is what counts for the old events. */
static void resume(struct expiry *e, const struct now *now)
{
	e->mode = EXPIRY_RUNNING;
	e->skew.base_us = now->wall_us - now->boot_us;
	e->first_us = INT64_MIN;
	log_warning("expiry goes on: queued events older than delivery.max_age become dead letters now");
}

/* ---- the warning ---- */

struct expiry_oldest expiry_get_oldest(const struct expiry *e)
{
	struct expiry_oldest oldest = {INT64_MAX, INT64_MAX};
	size_t at = 0;
	uint64_t id, in_memory = 0;
	const struct due *d;
	while ((d = idmap_next(&e->scheduler->by_id, &at, &id)) != NULL) {
		in_memory++;
		if (d->state == DUE_SETTLING)
			continue;
		int64_t t = due_event(d)->time_us + clock_skew_of(&e->skew, id);
		oldest.any_us = t < oldest.any_us ? t : oldest.any_us;
		if (!d->no_expiry && t < oldest.expirable_us)
			oldest.expirable_us = t;
	}
	/* The window holds the lowest ids of each stream; beyond it the last search is asked, which knows a bound. */
	if (e->first_us != INT64_MIN && e->first_us < oldest.any_us && writer_queued(e->writer, 0) > in_memory) {
		oldest.any_us = e->first_us;
		if (e->first_us < oldest.expirable_us)
			oldest.expirable_us = e->first_us;
	}
	return oldest;
}

static void check_age(struct expiry *e, const struct now *now)
{
	int64_t limit = expiry_now_us(e, now) - e->max_age_us / 3 * 2;
	char age[32];
	if (now->mono_us < e->next_check_us || e->first_us == INT64_MIN || (e->first_us > limit && !e->warned))
		return;
	e->next_check_us = now->mono_us + CHECK_GAP_US;
	struct expiry_oldest oldest = expiry_get_oldest(e);
	bool late = oldest.expirable_us <= limit;
	if (late && !e->warned) {
		int64_t us = expiry_now_us(e, now) - oldest.expirable_us;
		us -= us % (us < 2 * US_PER_H ? US_PER_MIN : US_PER_H); /* as a person says it */
		log_warning(
		        "the oldest queued event is %s old, past two thirds of delivery.max_age: events that are not "
		        "delivered in time become dead letters (reason expired)",
		        format_duration(us, age));
	}
	e->warned = late;
}

static void report(struct expiry *e, const struct now *now)
{
	if (e->unreported == 0 || now->mono_us < e->next_report_us)
		return;
	log_warning("%" PRIu64 " events were older than delivery.max_age and are dead letters now (reason expired)",
	            e->unreported);
	e->unreported = 0;
	e->next_report_us = now->mono_us + REPORT_GAP_US;
}

void expiry_pump(struct expiry *e, const struct now *now)
{
	if (e->mode == EXPIRY_SUSPENDED && now->mono_us >= e->suspended_until_us)
		resume(e, now);
	check_age(e, now);
	report(e, now);
	if (e->slice_out || e->mode == EXPIRY_SUSPENDED || now->mono_us < e->next_slice_us)
		return;
	if (!e->scanning) {
		if (!scan_is_due(e, now))
			return;
		begin_scan(e);
		if (writer_queued(e->writer, 0) == 0) {
			end_scan(e, now);
			return;
		}
	}
	submit_slice(e, now, false);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t expiry_next_us(const struct expiry *e, const struct now *now)
{
	if (e->mode == EXPIRY_SUSPENDED)
		return e->suspended_until_us;
	if (e->slice_out)
		return INT64_MAX;
	if (e->scanning || e->first_us == INT64_MIN)
		return e->next_slice_us;
	if (e->first_us == INT64_MAX)
		return INT64_MAX;
	int64_t age = expiry_now_us(e, now) - e->first_us;
	int64_t next = later(now->mono_us + e->max_age_us - age, e->next_slice_us);
	int64_t warn = later(now->mono_us + e->max_age_us / 3 * 2 - age, e->next_check_us);
	return !e->warned && warn < next ? warn : next;
}
