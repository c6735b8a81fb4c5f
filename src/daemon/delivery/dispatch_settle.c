/* dispatch_settle.c - outcomes gathered, sorted and committed; and how many events a crash may send twice */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/delivery/dispatch.h"

enum {
	AGAIN_US = 1000 * 1000,     /* after a commit that failed */
	IDLE_US = 10 * 1000 * 1000, /* with nothing in flight the bound falls back to 0 */
	BOUND_FIRST = 32,           /* a power of two, at least a batch */
};

struct settle_job {
	TAILQ_ENTRY(settle_job) link; /* while it waits after a failure */
	struct dispatch *dispatch;
	struct job_settle job; /* ends in its events */
};

struct bound_job {
	struct dispatch *dispatch;
	struct job_in_flight job;
};

/* Committed: what left the queue is forgotten. */
static void release_settled(struct dispatch *d, const struct job_settle *j)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->events[i].kind != SETTLE_FAILED)
			scheduler_settled(d->scheduler, j->events[i].id);
}

static void settle_done(struct job *job)
{
	struct settle_job *s = CONTAINER_OF(job, struct settle_job, job.job);
	struct dispatch *d = s->dispatch;
	d->jobs_out--;
	if (job->result < 0) {
		if (!d->commit_failing)
			log_warning("outcomes of requests could not be committed (%s): trying again every second; "
			            "with %d "
			            "waiting, sending stops",
			            strerror(-job->result), UNCOMMITTED_MAX);
		d->commit_failing = true;
		TAILQ_INSERT_TAIL(&d->failed, s, link);
		return;
	}
	if (d->commit_failing)
		log_info("outcomes of requests are committed again");
	d->commit_failing = false;
	d->uncommitted -= s->job.n;
	release_settled(d, &s->job);
	free(s);
}

static void submit_later(struct dispatch *d, struct job *job)
{
	d->jobs_out++;
	STAILQ_INSERT_TAIL(&d->jobs, job, link);
}

static struct settle_job *settle_job_new(struct dispatch *d, size_t n, const struct settle_attempt *attempt)
{
	struct settle_job *s = malloc(sizeof(*s) + n * sizeof(struct settle));
	if (!s)
		return NULL;
	s->dispatch = d;
	job_settle_init(&s->job, settle_done);
	s->job.attempt = *attempt;
	s->job.n = n;
	return s;
}

/* All that was delivered in this turn, in one job. The writer sorts what its whole group delivered. */
static void flush_delivered(struct dispatch *d)
{
	struct settle_gather *g = &d->delivered;
	if (g->n == 0)
		return;
	struct settle_job *s = settle_job_new(d, g->n, &g->attempt);
	if (!s)
		return; /* they stay gathered until there is memory; uncommitted counts them */
	memcpy(s->job.events, g->events, g->n * sizeof(*g->events));
	g->n = 0;
	submit_later(d, &s->job.job);
}

static int gather(struct dispatch *d, const struct batch *b, const struct settle_attempt *attempt)
{
	struct settle_gather *g = &d->delivered;
	if (g->n + b->n > g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 1024;
		struct settle *events = realloc(g->events, cap * sizeof(*events));
		if (!events)
			return -ENOMEM;
		g->events = events;
		g->cap = cap;
	}
	for (unsigned i = 0; i < b->n; i++)
		g->events[g->n++] = (struct settle){
		        .id = b->events[i]->id,
		        .kind = SETTLE_DELIVERED,
		        .has_note = b->events[i]->has_note,
		        .sid = b->lane->sid,
		};
	g->attempt = *attempt;
	return 0;
}

static void fill(struct settle *s, struct due *due, enum settle_kind kind, enum dead_reason reason)
{
	*s = (struct settle){
	        .id = due->id,
	        .kind = kind,
	        .reason = reason,
	        .has_note = due->has_note,
	        .maybe_sent = due->maybe_sent,
	};
	if (kind == SETTLE_FAILED)
		due->has_note = true;
}

/* Without memory for the record the events stay as they are in the outbox: queued, and sent again after a restart at
 * the latest. Delivered ones stay in memory as settling, so that this process sends them only once. */
void settle_add(struct dispatch *d, struct batch *b, enum settle_kind kind, enum dead_reason reason,
                const struct settle_attempt *attempt)
{
	if (kind == SETTLE_DELIVERED && !d->keep_delivered && gather(d, b, attempt) == 0) {
		d->uncommitted += b->n;
		return;
	}
	struct settle_job *s = settle_job_new(d, b->n, attempt);
	if (!s) {
		log_error("no memory to record the outcome of %u events", b->n);
		return;
	}
	for (unsigned i = 0; i < b->n; i++)
		fill(&s->job.events[i], b->events[i], kind, reason);
	d->uncommitted += b->n;
	submit_later(d, &s->job.job);
}

void settle_one(struct dispatch *d, struct due *due, enum dead_reason reason, const struct settle_attempt *attempt)
{
	struct settle_job *s = settle_job_new(d, 1, attempt);
	if (!s) {
		log_error("no memory to record the outcome of an event");
		return;
	}
	fill(&s->job.events[0], due, SETTLE_DEAD, reason);
	d->uncommitted++;
	submit_later(d, &s->job.job);
}

static void bound_done(struct job *job)
{
	struct bound_job *b = CONTAINER_OF(job, struct bound_job, job.job);
	struct dispatch *d = b->dispatch;
	d->jobs_out--;
	/* On a full disk nothing can be noted, and only sending makes room: the bound is then too low after a crash.
	 */
	if (job->result < 0)
		log_warning("the number of events in flight could not be noted (%s): after a crash more may be sent "
		            "twice",
		            strerror(-job->result));
	if (b->job.bound == d->bound_asked)
		d->bound = d->bound_asked;
	free(b);
}

/* False: no memory; asked again with the next request. */
static bool ask_bound(struct dispatch *d, uint64_t bound)
{
	struct bound_job *b = malloc(sizeof(*b));
	if (!b)
		return false;
	b->dispatch = d;
	job_in_flight_init(&b->job, bound, bound_done);
	d->bound_asked = bound;
	submit_later(d, &b->job.job);
	return true;
}

static uint64_t exposed(const struct dispatch *d)
{
	return d->in_flight_events + d->uncommitted;
}

bool bound_allows(struct dispatch *d, uint64_t more)
{
	uint64_t need = exposed(d) + more;
	d->idle_since_us = INT64_MIN;
	if (need * 4 > d->bound * 3 && d->bound_asked == d->bound) {
		/* ahead of time, so that it rarely holds anything up */
		uint64_t bound = BOUND_FIRST;
		while (bound < need || (d->bound > 0 && bound <= d->bound))
			bound *= 2;
		if (bound > d->bound)
			(void)ask_bound(d, bound);
	}
	return need <= d->bound;
}

/* With nothing in flight for a while a crash sends nothing twice. */
static void review_idle(struct dispatch *d)
{
	if (exposed(d) > 0 || d->bound == 0 || d->bound_asked != d->bound) {
		d->idle_since_us = INT64_MIN;
		return;
	}
	if (d->idle_since_us == INT64_MIN)
		d->idle_since_us = d->now.mono_us;
	if (d->now.mono_us - d->idle_since_us < IDLE_US)
		return;
	if (ask_bound(d, 0))
		d->bound = 0; /* from now on: whoever wants to send asks first */
	else
		d->idle_since_us = d->now.mono_us;
}

static void retry_failed(struct dispatch *d)
{
	struct settle_job *s;
	if (TAILQ_EMPTY(&d->failed))
		return;
	if (d->failed_again_us == 0)
		d->failed_again_us = d->now.mono_us + AGAIN_US;
	if (d->now.mono_us < d->failed_again_us)
		return;
	d->failed_again_us = 0;
	while ((s = TAILQ_FIRST(&d->failed)) != NULL) {
		TAILQ_REMOVE(&d->failed, s, link);
		submit_later(d, &s->job.job);
	}
}

void dispatch_submit(struct dispatch *d)
{
	flush_delivered(d);
	retry_failed(d);
	review_idle(d);
	if (!STAILQ_EMPTY(&d->jobs))
		writer_submit(d->writer, &d->jobs);
}

void settle_free(struct dispatch *d)
{
	struct settle_job *s;
	while ((s = TAILQ_FIRST(&d->failed)) != NULL) {
		TAILQ_REMOVE(&d->failed, s, link);
		free(s);
	}
	free(d->delivered.events);
	d->delivered = (struct settle_gather){0};
}

int64_t dispatch_next_us(const struct dispatch *d)
{
	int64_t next = INT64_MAX;
	if (!TAILQ_EMPTY(&d->failed))
		next = d->failed_again_us;
	if (d->delivered.n > 0 && d->now.mono_us + AGAIN_US < next) /* there was no memory for them */
		next = d->now.mono_us + AGAIN_US;
	if (d->idle_since_us != INT64_MIN && d->bound > 0 && d->idle_since_us + IDLE_US < next)
		next = d->idle_since_us + IDLE_US;
	return next;
}
