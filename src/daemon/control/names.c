/* names.c - every stream's name by its number in the outbox, those of removed streams too */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control/private.h"

/* A copy by the writer's thread: the table is the store's own. */
struct job_names {
	struct job job;
	struct control *control;
	char names[STORE_STREAMS_MAX][STORE_NAME_MAX + 1];
};

static int names_run(struct store *st, struct job *job)
{
	struct job_names *j = CONTAINER_OF(job, struct job_names, job);

	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX; sid++) {
		const char *name = store_stream_name(st, sid);

		memset(j->names[sid], 0, sizeof(j->names[sid]));
		if (name)
			memcpy(j->names[sid], name, strnlen(name, STORE_NAME_MAX));
	}
	return 0;
}

static const struct job_class names_class = {.name = "names", .kind = JOB_READ, .run = names_run};

static void on_names(struct job *job)
{
	struct job_names *j = CONTAINER_OF(job, struct job_names, job);

	if (j->job.result == 0)
		memcpy(j->control->names, j->names, sizeof(j->names));
	free(j);
}

/* Those of the configuration are known at once; a command may come before the outbox has told the others. */
static void fill_in_configured(struct control *c)
{
	const struct streams *streams = c->context->streams;

	for (size_t i = 0; i < streams->conf->n_streams; i++) {
		struct slice name = streams->rules[i].name;
		char *to = c->names[streams->rules[i].sid];

		memcpy(to, name.p, name.n < STORE_NAME_MAX ? name.n : STORE_NAME_MAX);
	}
}

void control_load_names(struct control *c)
{
	struct job_list list = STAILQ_HEAD_INITIALIZER(list);
	struct job_names *j = calloc(1, sizeof(*j));

	fill_in_configured(c);
	if (!j) {
		log_warning("control socket: out of memory; removed streams are shown without their names");
		return;
	}
	j->job.class = &names_class;
	j->job.done = on_names;
	j->control = c;
	STAILQ_INSERT_TAIL(&list, &j->job, link);
	writer_submit(c->context->writer, &list);
}

uint32_t control_find_stream(const struct control *c, struct slice name)
{
	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX; sid++)
		if (c->names[sid][0] && slice_eq(slice_of(c->names[sid]), name))
			return sid;
	return 0;
}
