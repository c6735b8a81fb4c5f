/* in_flight_mark.c - the high-water mark of events that a crash may send twice */
#include "delivery/in_flight_mark.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "ga4/limits.h"

enum {
	IDLE_US = 10 * 1000 * 1000,
	FIRST_MARK = 32, /* a power of two, at least a batch */
};
static_assert((int)FIRST_MARK >= (int)LIMIT_EVENTS_PER_REQUEST, "a batch may start under the first mark");

struct mark_job {
	struct in_flight_mark *mark;
	struct job_in_flight job;
};

void in_flight_mark_init(struct in_flight_mark *m, struct outbox_jobs *jobs)
{
	*m = (struct in_flight_mark){.jobs = jobs, .idle_since_us = INT64_MIN};
}

static void mark_done(struct job *job)
{
	struct mark_job *j = CONTAINER_OF(job, struct mark_job, job.job);
	struct in_flight_mark *m = j->mark;
	outbox_jobs_back(m->jobs);
	/* On a full disk nothing can be noted, and only sending makes room; after a crash the mark is then too low.
	 */
	if (job->result < 0)
		log_warning("the number of events in flight could not be noted (%s): after a crash more may be sent "
		            "twice",
		            err_text(job->result));
	if (j->job.bound == m->asked)
		m->known = m->asked;
	free(j);
}

/* False: no memory; asked again with the next request. */
static bool ask(struct in_flight_mark *m, uint64_t mark)
{
	struct mark_job *j = malloc(sizeof(*j));
	if (!j)
		return false;
	j->mark = m;
	job_in_flight_init(&j->job, mark, mark_done);
	m->asked = mark;
	outbox_jobs_add(m->jobs, &j->job.job);
	return true;
}

bool in_flight_mark_allows(struct in_flight_mark *m, uint64_t events)
{
	m->idle_since_us = INT64_MIN;
	if (events * 4 > m->known * 3 && m->asked == m->known) {
		/* ahead of time, so that it rarely holds anything up */
		uint64_t mark = FIRST_MARK;
		while (mark < events || (m->known > 0 && mark <= m->known))
			mark *= 2;
		if (mark > m->known)
			(void)ask(m, mark);
	}
	return events <= m->known;
}

void in_flight_mark_review(struct in_flight_mark *m, uint64_t exposed, int64_t mono_us)
{
	if (exposed > 0 || m->known == 0 || m->asked != m->known) {
		m->idle_since_us = INT64_MIN;
		return;
	}
	if (m->idle_since_us == INT64_MIN)
		m->idle_since_us = mono_us;
	if (mono_us - m->idle_since_us < IDLE_US)
		return;
	if (ask(m, 0))
		m->known = 0; /* at once: whoever wants to send asks first */
	else
		m->idle_since_us = mono_us;
}

int64_t in_flight_mark_next_us(const struct in_flight_mark *m)
{
	return m->idle_since_us != INT64_MIN && m->known > 0 ? m->idle_since_us + IDLE_US : INT64_MAX;
}
