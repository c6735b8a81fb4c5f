/* settle.c - outcomes of events on their way into the outbox: gathered, committed, tried again when that fails
 *
 * A commit costs a sync, whatever it holds. So an outcome wakes no writer: it goes with the next new event, or when
 * it has waited long enough, or when too many wait.
 *
 * Invariant 2: an event that is settling is forgotten only in the done() of the job that records why it left. */
#include "delivery/queue/settle.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

enum {
	AGAIN_US = 1000 * 1000, /* after a commit that failed */
	FIRST_ROOM = 100,       /* events of the job in which a turn's delivered ones are gathered */
};

struct settle_job {
	TAILQ_ENTRY(settle_job) link; /* in `given`, or in `failed` */
	struct settler *settler;
	int64_t given_us;      /* to the writer, on the monotonic clock */
	size_t room;           /* events */
	struct job_settle job; /* ends in its events */
};

struct settler {
	struct outbox_jobs *jobs;
	struct queues *queues;
	struct settle_job *delivered;    /* gathers what this turn delivers; NULL: nothing yet */
	struct job_list fresh;           /* of this turn, for the writer */
	TAILQ_HEAD(, settle_job) given;  /* to the writer, which may sleep */
	size_t n_given;                  /* outcomes in them */
	bool woken;                      /* since something came back */
	int64_t gather_us;               /* how long outcomes wait for company */
	TAILQ_HEAD(, settle_job) failed; /* again later */
	int64_t again_us;                /* … at that time; 0: not set */
	bool commit_failing;             /* and the log says so */
	uint64_t uncommitted;            /* outcomes gathered, on their way, or failed */
};

struct settler *settler_new(struct outbox_jobs *jobs, struct queues *queues, int64_t gather_us)
{
	struct settler *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->jobs = jobs;
	s->queues = queues;
	s->gather_us = gather_us;
	STAILQ_INIT(&s->fresh);
	TAILQ_INIT(&s->given);
	TAILQ_INIT(&s->failed);
	return s;
}

struct settler *settler_free(struct settler *s)
{
	struct settle_job *j;
	struct job *job;
	if (!s)
		return NULL;
	while ((j = TAILQ_FIRST(&s->failed)) != NULL) {
		TAILQ_REMOVE(&s->failed, j, link);
		free(j);
	}
	while ((job = STAILQ_FIRST(&s->fresh)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->fresh, link);
		free(CONTAINER_OF(job, struct settle_job, job.job));
	}
	free(s->delivered);
	free(s);
	return NULL;
}

/* What left the queue is forgotten. */
static void committed(struct settler *s, const struct job_settle *job)
{
	for (size_t i = 0; i < job->n; i++)
		if (job->events[i].kind != SETTLE_FAILED)
			queues_settled(s->queues, job->events[i].id);
}

static void settle_done(struct job *job)
{
	struct settle_job *j = CONTAINER_OF(job, struct settle_job, job.job);
	struct settler *s = j->settler;
	outbox_jobs_back(s->jobs);
	TAILQ_REMOVE(&s->given, j, link);
	s->n_given -= j->job.n;
	s->woken = false;
	if (job->result < 0) {
		if (!s->commit_failing)
			log_warning("outcomes of requests could not be committed (%s): trying again every second; "
			            "with %d waiting, sending stops",
			            err_text(job->result), UNCOMMITTED_MAX);
		s->commit_failing = true;
		TAILQ_INSERT_TAIL(&s->failed, j, link);
		return;
	}
	if (s->commit_failing)
		log_info("outcomes of requests are committed again");
	s->commit_failing = false;
	s->uncommitted -= j->job.n;
	committed(s, &j->job);
	free(j);
}

/* With room for n more events, into which `old` was moved unless it is NULL; NULL: no memory, `old` is as it was. */
static struct settle_job *job_with_room(struct settler *s, struct settle_job *old, size_t n)
{
	size_t room = old ? old->room : 0, used = old ? old->job.n : 0;
	if (old && room - used >= n)
		return old;
	room = room * 2 > used + n ? room * 2 : used + n;
	struct settle_job *j = realloc(old, sizeof(*j) + room * sizeof(struct settle));
	if (!j)
		return NULL;
	if (!old) {
		job_settle_init(&j->job, settle_done);
		j->job.n = 0;
	}
	j->settler = s;
	j->room = room;
	return j;
}

static void queue_job(struct settler *s, struct settle_job *j)
{
	s->jobs->out++;
	STAILQ_INSERT_TAIL(&s->fresh, &j->job.job, link);
}

static void settle_lent(const struct lender *lender, const struct queued_event *e, const struct settlement *what)
{
	struct lent_outcome outcome = {
	        .end = what->kind == SETTLE_DELIVERED ? LENT_DELIVERED
	               : what->kind == SETTLE_DEAD    ? LENT_DEAD
	                                              : LENT_FAILED,
	        .reason = what->reason,
	        .attempts = e->attempts,
	        .maybe_sent = e->maybe_sent,
	        .when_us = what->attempt.when_us,
	        .status = what->attempt.status,
	        .error = what->attempt.error,
	        .answer = what->attempt.answer,
	};
	if (lender)
		lender->settle(lender->arg, e->id, &outcome);
}

static void add_event(struct job_settle *job, struct queued_event *e, const struct settlement *what)
{
	job->events[job->n++] = (struct settle){
	        .id = e->id,
	        .kind = what->kind,
	        .reason = what->reason,
	        .has_note = e->has_note,
	        .maybe_sent = e->maybe_sent,
	        .sid = queued_event_loaded(e)->queue->sid,
	};
	e->has_note |= what->kind == SETTLE_FAILED;
}

/* All that is delivered in a turn goes in one job: the writer deletes it in runs of ids. */
static struct settle_job *gathering_job(struct settler *s, unsigned n)
{
	struct settle_job *j = job_with_room(s, s->delivered, s->delivered || n > FIRST_ROOM ? n : FIRST_ROOM);
	if (j)
		s->delivered = j;
	return j;
}

static void settle_own(struct settler *s, struct queued_event *const events[], unsigned n,
                       const struct settlement *what)
{
	bool gathers = what->kind == SETTLE_DELIVERED && !what->alone;
	struct settle_job *j = gathers ? gathering_job(s, n) : NULL;
	gathers = j != NULL;
	if (!j)
		j = job_with_room(s, NULL, n);
	if (!j) {
		log_error("no memory to record the outcome of %u events", n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		add_event(&j->job, events[i], what);
	j->job.attempt = what->attempt;
	s->uncommitted += n;
	if (!gathers)
		queue_job(s, j);
}

/* A batch may hold events of both; ids ascend, so the lent ones are the last. */
void settle(struct settler *s, struct queued_event *const events[], unsigned n, const struct settlement *what)
{
	unsigned own = 0;
	while (own < n && !id_is_lent(events[own]->id))
		own++;
	if (own > 0)
		settle_own(s, events, own, what);
	for (unsigned i = own; i < n; i++)
		settle_lent(queues_lender(s->queues), events[i], what);
}

static void retry_failed(struct settler *s, int64_t mono_us)
{
	struct settle_job *j;
	if (TAILQ_EMPTY(&s->failed))
		return;
	if (s->again_us == 0)
		s->again_us = mono_us + AGAIN_US;
	if (mono_us < s->again_us)
		return;
	s->again_us = 0;
	while ((j = TAILQ_FIRST(&s->failed)) != NULL) {
		TAILQ_REMOVE(&s->failed, j, link);
		queue_job(s, j);
	}
}

/* When the first of those that wait for company has waited long enough. */
static int64_t due_us(const struct settler *s)
{
	return TAILQ_EMPTY(&s->given) || s->woken ? INT64_MAX : TAILQ_FIRST(&s->given)->given_us + s->gather_us;
}

static void give_to_writer(struct settler *s, int64_t mono_us)
{
	struct job *job;

	STAILQ_FOREACH(job, &s->fresh, link)
	{
		struct settle_job *j = CONTAINER_OF(job, struct settle_job, job.job);

		j->given_us = mono_us;
		s->n_given += j->job.n;
		TAILQ_INSERT_TAIL(&s->given, j, link);
		s->woken = false;
	}
	writer_add(s->jobs->writer, &s->fresh);
}

void settler_flush(struct settler *s, int64_t mono_us, bool at_once)
{
	if (s->delivered)
		queue_job(s, s->delivered);
	s->delivered = NULL;
	retry_failed(s, mono_us);
	give_to_writer(s, mono_us);
	if (at_once || mono_us >= due_us(s) || s->n_given >= GATHERED_MAX) {
		writer_wake(s->jobs->writer);
		s->woken = true;
	}
}

int64_t settler_next_us(const struct settler *s)
{
	int64_t due = due_us(s);
	return TAILQ_EMPTY(&s->failed) || due < s->again_us ? due : s->again_us;
}

uint64_t settler_uncommitted(const struct settler *s)
{
	return s->uncommitted;
}

bool settler_is_full(const struct settler *s)
{
	return s->uncommitted >= UNCOMMITTED_MAX;
}
