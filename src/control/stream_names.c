/* stream_names.c - every stream's name by its sid, removed streams included */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control_private.h"

struct names_request {
	struct job_stream_names job;
	struct control *control; /* outlives every job: the writer is stopped before it */
};

static void on_names(struct job *job)
{
	struct names_request *r = CONTAINER_OF(job, struct names_request, job.job);

	if (job->result == 0)
		memcpy(r->control->names, r->job.names, sizeof(r->job.names));
	free(r);
}

/* Fills in the configured names at once, for commands that arrive before the job completes. */
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
	struct names_request *r = malloc(sizeof(*r));

	fill_in_configured(c);
	if (!r) {
		log_warning("control socket: out of memory; removed streams are shown without their names");
		return;
	}
	job_stream_names_init(&r->job, on_names);
	r->control = c;
	STAILQ_INSERT_TAIL(&list, &r->job.job, link);
	writer_submit(c->context->writer, &list);
}
