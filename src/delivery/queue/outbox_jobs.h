/* outbox_jobs.h - delivery's jobs for the outbox: gathered during a turn, handed to the writer in one list */
#ifndef DELIVERY_QUEUE_OUTBOX_JOBS_H
#define DELIVERY_QUEUE_OUTBOX_JOBS_H

#include "outbox/writer.h"

struct outbox_jobs {
	struct writer *writer; /* outlives it */
	struct job_list waiting;
	unsigned out; /* added and not back yet */
};

static inline void outbox_jobs_init(struct outbox_jobs *jobs, struct writer *writer)
{
	*jobs = (struct outbox_jobs){.writer = writer};
	STAILQ_INIT(&jobs->waiting);
}
static inline void outbox_jobs_add(struct outbox_jobs *jobs, struct job *job)
{
	jobs->out++;
	STAILQ_INSERT_TAIL(&jobs->waiting, job, link);
}
/* First thing in a job's done(). */
static inline void outbox_jobs_back(struct outbox_jobs *jobs)
{
	jobs->out--;
}
static inline void outbox_jobs_submit(struct outbox_jobs *jobs)
{
	if (!STAILQ_EMPTY(&jobs->waiting))
		writer_submit(jobs->writer, &jobs->waiting);
}

#endif
