/* expiry.c - when an event expires: judged before it is sent, or found by the search through the outbox */
#include "delivery/expiry.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/parse.h"
#include "policy/clock_skew.h"

enum {
	SLICE_ROWS = 10000,        /* about 3 ms of the writer's thread, … */
	SLICE_GAP_US = 350 * 1000, /* … with this gap one percent of it */
	SMALL_ROWS = 100000,       /* a backlog that is searched within a second or so, … */
	SMALL_GAP_US = 30 * 1000,  /* … with this gap */
	SCAN_GAP_US = 1000 * 1000, /* between two searches */
	CHECK_GAP_US = 60 * 1000 * 1000,
	DOUBT_US = 1000 * 1000,           /* an event that looks too old waits so long while the search goes on */
	EXEMPT_GAP_US = 30 * 1000 * 1000, /* between searches when what is left and old may not expire */
	REPORT_GAP_US = 60 * 1000 * 1000,
};
static const int64_t suspend_us = 10 * US_PER_MIN;

enum expiry_mode {
	EXPIRY_ASKING,    /* after start: how much would expire? Nothing does yet */
	EXPIRY_SUSPENDED, /* a tenth or more would: nothing does for ten minutes */
	EXPIRY_RUNNING
};

struct expiry {
	struct outbox_jobs *jobs;
	const struct queues *queues;
	expiry_found_fn *found;
	void *arg;
	int64_t max_age_us;
	struct clock_skew skew;
	int64_t lent_base_us; /* the lender's wall clock less this host's boot-time clock */
	struct now now;       /* of the last turn */
	enum expiry_mode mode;
	int64_t first_us;           /* no queued event is older, in the common time line; INT64_MIN: unknown */
	int64_t suspended_until_us; /* monotonic */
	/* the search, in slices */
	bool scanning, slice_out, again; /* again: first_us became unknown during a search */
	uint64_t from, scan_expired, scan_seen;
	int64_t scan_oldest_us, noted_oldest_us; /* of what stays; of what came in meanwhile */
	int64_t next_slice_us;                   /* monotonic: also when the next search may start */
	/* the log's lines */
	int64_t next_check_us; /* whether the oldest is past two thirds of max_age */
	bool warned;
	uint64_t unreported; /* expired since the last line */
	int64_t next_report_us;
};

struct expire_job {
	struct job_expire job;
	struct expiry *expiry;
};

struct expiry *expiry_new(struct outbox_jobs *jobs, const struct queues *queues, const struct now *now,
                          expiry_found_fn *found, void *arg)
{
	struct expiry *e = malloc(sizeof(*e));
	if (!e)
		return NULL;
	*e = (struct expiry){
	        .jobs = jobs,
	        .queues = queues,
	        .found = found,
	        .arg = arg,
	        .skew = {.base_us = now->wall_us - now->boot_us},
	        .now = *now,
	        .mode = EXPIRY_ASKING,
	        .first_us = INT64_MIN,
	        .noted_oldest_us = INT64_MAX,
	};
	return e;
}

struct expiry *expiry_free(struct expiry *e)
{
	free(e);
	return NULL;
}

void expiry_set_max_age(struct expiry *e, int64_t max_age_us)
{
	e->max_age_us = max_age_us;
}

static int64_t now_in_line_us(const struct expiry *e, const struct now *now)
{
	return now->boot_us + e->skew.base_us;
}

void expiry_accept(struct expiry *e, const struct submission *sub, const struct now *now)
{
	clock_skew_note(&e->skew, sub->first_id, now->wall_us - now->boot_us);
	int64_t skew_us = clock_skew_of(&e->skew, sub->first_id);
	for (uint32_t i = 0; i < sub->n_events; i++) {
		int64_t t = sub->events[i].time_us + skew_us;
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

void expiry_set_lent_clock(struct expiry *e, int64_t base_us)
{
	e->lent_base_us = base_us;
}

static int64_t event_time_us(const struct expiry *e, const struct queued_event *event)
{
	if (id_is_lent(event->id))
		return queued_event_get(event)->time_us + e->skew.base_us - e->lent_base_us;
	return queued_event_get(event)->time_us + clock_skew_of(&e->skew, event->id);
}

enum expiry_verdict expiry_decide(const struct expiry *e, const struct queued_event *event, const struct now *now)
{
	if (event->no_expiry || now_in_line_us(e, now) - event_time_us(e, event) < e->max_age_us)
		return EXPIRY_NO;
	return e->mode == EXPIRY_RUNNING ? EXPIRY_YES : EXPIRY_WAIT;
}

int64_t expiry_wait_until_us(const struct expiry *e, const struct now *now)
{
	return e->mode == EXPIRY_SUSPENDED ? e->suspended_until_us : now->mono_us + DOUBT_US;
}

/* ---- the search ---- */

static void begin_scan(struct expiry *e)
{
	e->scanning = true;
	e->again = false;
	e->from = 0;
	e->scan_expired = e->scan_seen = 0;
	e->scan_oldest_us = e->noted_oldest_us = INT64_MAX;
}

static void suspend(struct expiry *e)
{
	e->mode = EXPIRY_SUSPENDED;
	e->suspended_until_us = e->now.mono_us + suspend_us;
	e->scanning = false;
	e->first_us = INT64_MIN;
	log_error("%" PRIu64 " of %" PRIu64
	          " queued events would expire at once: is the clock right? Nothing expires "
	          "for 10 minutes, and what looks too old is held back; after that it becomes dead letters",
	          e->scan_expired, e->scan_seen);
}

static bool scan_is_due(const struct expiry *e)
{
	return e->first_us == INT64_MIN ||
	       (e->first_us != INT64_MAX && now_in_line_us(e, &e->now) - e->first_us >= e->max_age_us);
}

static void end_scan(struct expiry *e)
{
	e->scanning = false;
	e->next_slice_us = e->now.mono_us + SCAN_GAP_US;
	e->first_us = e->scan_oldest_us < e->noted_oldest_us ? e->scan_oldest_us : e->noted_oldest_us;
	if (e->mode == EXPIRY_ASKING) {
		if (e->scan_expired > 0 && e->scan_expired * 10 >= e->scan_seen) {
			suspend(e);
			return;
		}
		e->mode = EXPIRY_RUNNING;
		e->again |= e->scan_expired > 0; /* now in earnest */
		e->next_slice_us = e->now.mono_us;
	} else if (e->scan_expired == 0 && scan_is_due(e)) {
		e->next_slice_us = e->now.mono_us + EXEMPT_GAP_US;
	}
	if (e->again)
		e->first_us = INT64_MIN;
	e->again = false;
}

static void submit_slice(struct expiry *e, bool earnest);

/* Nearly always nothing is too old: a slice only looks, and runs again in earnest when it found something. Only then
 * the list of what is in flight is made, which walks over all that is in memory. */
static bool runs_again(const struct expiry *e, const struct job_expire *job)
{
	return e->scanning && e->mode == EXPIRY_RUNNING && job->dry_run && job->expired > 0;
}

static void take_slice(struct expiry *e, const struct job_expire *job)
{
	bool small = writer_queued(e->jobs->writer, 0) <= SMALL_ROWS;
	e->from = job->next;
	e->scan_expired += job->expired;
	e->scan_seen += job->queued_seen;
	if (job->oldest_time_us < e->scan_oldest_us)
		e->scan_oldest_us = job->oldest_time_us;
	e->next_slice_us = e->now.mono_us + (small ? SMALL_GAP_US : SLICE_GAP_US);
	for (size_t i = 0; i < job->n_expired && !job->dry_run; i++)
		e->found(e->arg, job->expired_ids[i], job->expired_sids[i]);
	if (job->end)
		end_scan(e);
}

static void slice_done(struct job *job)
{
	struct expire_job *j = CONTAINER_OF(job, struct expire_job, job.job);
	struct expiry *e = j->expiry;
	outbox_jobs_back(e->jobs);
	e->slice_out = false;
	if (job->result < 0)
		e->next_slice_us = e->now.mono_us + SCAN_GAP_US;
	else if (runs_again(e, &j->job))
		submit_slice(e, true);
	else if (e->scanning)
		take_slice(e, &j->job);
	job_expire_clear(&j->job);
	free(j);
}

static void submit_slice(struct expiry *e, bool earnest)
{
	struct expire_job *j = calloc(1, sizeof(*j));
	e->next_slice_us = e->now.mono_us + SCAN_GAP_US; /* when there is no memory */
	if (!j)
		return;
	job_expire_init(&j->job, slice_done);
	if (earnest && queues_in_flight_ids(e->queues, &j->job.in_flight, &j->job.n_in_flight) < 0) {
		free(j);
		return;
	}
	j->expiry = e;
	j->job.skew = e->skew;
	j->job.from = e->from;
	j->job.max_examined = SLICE_ROWS;
	j->job.expire_before_us = now_in_line_us(e, &e->now) - e->max_age_us;
	j->job.dry_run = !earnest;
	e->slice_out = true;
	outbox_jobs_add(e->jobs, &j->job.job);
}

static void search(struct expiry *e)
{
	if (e->slice_out || e->mode == EXPIRY_SUSPENDED || e->now.mono_us < e->next_slice_us)
		return;
	if (!e->scanning) {
		if (!scan_is_due(e))
			return;
		begin_scan(e);
		if (writer_queued(e->jobs->writer, 0) == 0) {
			end_scan(e);
			return;
		}
	}
	submit_slice(e, false);
}

/* The wall clock was given time to become right: what it shows now counts for the old events. */
static void resume(struct expiry *e)
{
	e->mode = EXPIRY_RUNNING;
	e->skew.base_us = e->now.wall_us - e->now.boot_us;
	e->first_us = INT64_MIN;
	log_warning("expiry goes on: queued events older than delivery.max_age become dead letters now");
}

/* ---- what operators see ---- */

/* Of events in memory that did not leave: how many, and the times of the oldest and of the oldest that can expire;
 * INT64_MAX: none. */
struct oldest {
	uint64_t n;
	int64_t any_us, expirable_us;
};
static const struct oldest nothing = {0, INT64_MAX, INT64_MAX};

static void add_event(struct oldest *o, const struct queued_event *event, int64_t time_us)
{
	o->n++;
	if (time_us < o->any_us)
		o->any_us = time_us;
	if (!event->no_expiry && time_us < o->expirable_us)
		o->expirable_us = time_us;
}

/* The lowest ids of each stream are in memory; for the rest the last search knows a bound. sid 0: all streams. */
static void add_outbox(const struct expiry *e, struct oldest *o, uint32_t sid)
{
	bool known = e->first_us != INT64_MIN && e->first_us < o->any_us;
	if (!known || writer_queued(e->jobs->writer, sid) <= o->n)
		return;
	o->any_us = e->first_us;
	if (e->first_us < o->expirable_us)
		o->expirable_us = e->first_us;
}

/* by_sid[STORE_STREAMS_MAX] or NULL: of each stream in memory. */
static struct oldest find_oldest(const struct expiry *e, struct oldest by_sid[])
{
	struct oldest all = nothing;
	size_t at = 0;
	uint64_t id;
	const struct queued_event *event;
	while ((event = queues_next(e->queues, &at, &id)) != NULL) {
		if (event->state == EVENT_SETTLING) {
			all.n++; /* it is still counted as queued */
			continue;
		}
		int64_t t = event_time_us(e, event);
		add_event(&all, event, t);
		if (by_sid)
			add_event(&by_sid[queued_event_sub(event)->sid], event, t);
	}
	add_outbox(e, &all, 0);
	return all;
}

static int64_t age_us(const struct oldest *o, int64_t now_us)
{
	return o->any_us < now_us ? now_us - o->any_us : 0;
}

static int64_t expiry_in_us(const struct expiry *e, const struct oldest *o, int64_t now_us)
{
	int64_t left_us = o->expirable_us - now_us + e->max_age_us;
	if (o->expirable_us == INT64_MAX)
		return -1;
	return left_us > 0 ? left_us : 0;
}

void expiry_get_status(const struct expiry *e, const struct now *now, struct expiry_status *ret,
                       struct expiry_of_stream of[])
{
	struct oldest by_sid[STORE_STREAMS_MAX];
	for (size_t sid = 0; sid < STORE_STREAMS_MAX; sid++)
		by_sid[sid] = nothing;
	struct oldest all = find_oldest(e, by_sid);
	int64_t now_us = now_in_line_us(e, now);
	*ret = (struct expiry_status){
	        .oldest_time_us = all.any_us,
	        .oldest_age_us = age_us(&all, now_us),
	        .first_expiry_us = expiry_in_us(e, &all, now_us),
	        .suspended = e->mode == EXPIRY_SUSPENDED,
	};
	for (uint32_t sid = 0; sid < STORE_STREAMS_MAX; sid++) {
		of[sid].oldest_age_us = age_us(&by_sid[sid], now_us);
		if (sid > 0)
			add_outbox(e, &by_sid[sid], sid);
		of[sid].first_expiry_us = expiry_in_us(e, &by_sid[sid], now_us);
	}
}

static void check_age(struct expiry *e)
{
	int64_t now_us = now_in_line_us(e, &e->now), limit_us = now_us - e->max_age_us / 3 * 2;
	char age[32];
	if (e->now.mono_us < e->next_check_us || e->first_us == INT64_MIN || (e->first_us > limit_us && !e->warned))
		return;
	e->next_check_us = e->now.mono_us + CHECK_GAP_US;
	struct oldest oldest = find_oldest(e, NULL);
	bool late = oldest.expirable_us <= limit_us;
	if (late && !e->warned) {
		int64_t us = now_us - oldest.expirable_us;
		us -= us % (us < 2 * US_PER_H ? US_PER_MIN : US_PER_H);
		log_warning("the oldest queued event is %s old, past two thirds of delivery.max_age: events that are "
		            "not delivered in time become dead letters (reason expired)",
		            format_duration(us, age));
	}
	e->warned = late;
}

void expiry_report(struct expiry *e, unsigned n)
{
	e->unreported += n;
}

static void write_report(struct expiry *e)
{
	if (e->unreported == 0 || e->now.mono_us < e->next_report_us)
		return;
	log_warning("%" PRIu64 " events were older than delivery.max_age and are dead letters now (reason expired)",
	            e->unreported);
	e->unreported = 0;
	e->next_report_us = e->now.mono_us + REPORT_GAP_US;
}

/* ---- the turn ---- */

void expiry_pump(struct expiry *e, const struct now *now)
{
	e->now = *now;
	if (e->mode == EXPIRY_SUSPENDED && now->mono_us >= e->suspended_until_us)
		resume(e);
	check_age(e);
	write_report(e);
	search(e);
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
	int64_t age_us = now_in_line_us(e, now) - e->first_us;
	int64_t next = later(now->mono_us + e->max_age_us - age_us, e->next_slice_us);
	int64_t warn = later(now->mono_us + e->max_age_us / 3 * 2 - age_us, e->next_check_us);
	return !e->warned && warn < next ? warn : next;
}
