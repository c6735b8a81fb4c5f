/* jobs_admin.c - small jobs: pauses, the bound of events in flight, streams, identity, limits */
#include <errno.h>
#include <stdio.h>

#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

static int run_pause(struct store *st, struct job *job)
{
	struct job_pause *j = CONTAINER_OF(job, struct job_pause, job);

	if (!store_stream_name(st, j->sid))
		return -ENOENT;
	db_int(&st->db, SQL_SET_PAUSE, 1, j->sid);
	db_int(&st->db, SQL_SET_PAUSE, 2, j->word);
	st->streams_changed = true;
	st->streams[j->sid].pause = j->word;
	return db_run(&st->db, SQL_SET_PAUSE);
}

static int run_in_flight(struct store *st, struct job *job)
{
	stored_counters_set(&st->counters, STORED_IN_FLIGHT,
	                    (int64_t)CONTAINER_OF(job, struct job_in_flight, job)->bound);
	return 0;
}

static int run_stream(struct store *st, struct job *job)
{
	struct job_stream *j = CONTAINER_OF(job, struct job_stream, job);

	return store_add_stream(st, j->name, &j->sid);
}

static int run_identity(struct store *st, struct job *job)
{
	store_renew_identity(st);
	store_get_identity(st, &CONTAINER_OF(job, struct job_identity, job)->identity);
	return 0;
}

static int run_stream_names(struct store *st, struct job *job)
{
	struct job_stream_names *j = CONTAINER_OF(job, struct job_stream_names, job);

	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX; sid++) {
		const char *name = store_stream_name(st, sid);

		snprintf(j->names[sid], sizeof(j->names[sid]), "%s", name ? name : "");
	}
	return 0;
}

static int run_limits(struct store *st, struct job *job)
{
	store_set_limits(st, &CONTAINER_OF(job, struct job_limits, job)->config);
	return 0;
}

static const struct job_class pause_class = {.name = "pause", .kind = JOB_WRITE, .run = run_pause};
static const struct job_class in_flight_class = {.name = "in-flight", .kind = JOB_WRITE, .run = run_in_flight};
static const struct job_class stream_class = {.name = "stream", .kind = JOB_WRITE, .grows = true, .run = run_stream};
static const struct job_class stream_names_class = {
        .name = "stream-names", .kind = JOB_READ, .run = run_stream_names};
static const struct job_class identity_class = {.name = "identity", .kind = JOB_WRITE, .run = run_identity};
static const struct job_class limits_class = {.name = "limits", .kind = JOB_WRITE, .run = run_limits};

void job_pause_init(struct job_pause *j, uint32_t sid, enum pause_word word, void (*done)(struct job *))
{
	*j = (struct job_pause){.job = {.class = &pause_class, .done = done}, .sid = sid, .word = word};
}

void job_in_flight_init(struct job_in_flight *j, uint64_t bound, void (*done)(struct job *))
{
	*j = (struct job_in_flight){.job = {.class = &in_flight_class, .done = done}, .bound = bound};
}

void job_stream_init(struct job_stream *j, struct slice name, void (*done)(struct job *))
{
	*j = (struct job_stream){.job = {.class = &stream_class, .done = done}, .name = name};
}

void job_stream_names_init(struct job_stream_names *j, void (*done)(struct job *))
{
	*j = (struct job_stream_names){.job = {.class = &stream_names_class, .done = done}};
}

void job_identity_init(struct job_identity *j, void (*done)(struct job *))
{
	*j = (struct job_identity){.job = {.class = &identity_class, .done = done}};
}

void job_limits_init(struct job_limits *j, const struct store_config *config, void (*done)(struct job *))
{
	*j = (struct job_limits){.job = {.class = &limits_class, .done = done}, .config = *config};
}
