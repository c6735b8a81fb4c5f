/* rejected_lines.c - stores refused lines off the hot path: few small jobs, and the newest lines are kept */
#include <stdlib.h>
#include <string.h>

#include "conf/redact_line.h"
#include "intake/intake_private.h"

enum {
	JOB_LINES_MAX = 256,
	JOB_BYTES_MAX = 256 * 1024,
	BEYOND_CUT = 6 * 512 /* bytes kept beyond the cut, so that a secret across it is found whole */
};
#define JOB_INTERVAL_US (50 * US_PER_MS) /* between jobs: accepted lines do not wait for refused ones */

struct reject {
	STAILQ_ENTRY(reject) link;
	size_t size;
	struct rejected_line line; /* points into text */
	char text[];
};

struct reject_job {
	struct intake *in;
	struct reject_list lines;
	struct job_reject job; /* last member: its lines follow */
};

static void free_list(struct reject_list *list)
{
	struct reject *r;

	while ((r = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		free(r);
	}
}

void rejects_init(struct rejects *r, uint64_t keep)
{
	*r = (struct rejects){.keep = keep};
	STAILQ_INIT(&r->waiting);
}

static void on_timer(void *arg UNUSED)
{
	/* Only wakes the loop; intake_submit() in the tail does the work. */
}

int rejects_start(struct intake *in)
{
	in->rejects.timer = loop_timer_new(in->context.loop, on_timer, in);
	return in->rejects.timer ? 0 : -1;
}

void rejects_free(struct rejects *r)
{
	free_list(&r->waiting);
	r->timer = loop_timer_free(r->timer);
}

static struct reject *take_first(struct rejects *r)
{
	struct reject *first = STAILQ_FIRST(&r->waiting);

	STAILQ_REMOVE_HEAD(&r->waiting, link);
	r->n--;
	r->bytes -= first->size;
	return first;
}

static struct reject *make(struct slice line, const struct finding *refusal, const struct peer *peer)
{
	size_t most = REJECTED_LINE_MAX + BEYOND_CUT, n = line.n < most ? line.n : most;
	size_t field = strlen(refusal->field) + 1, message = strlen(refusal->message) + 1;
	size_t address = peer->address ? strlen(peer->address) + 1 : 0;
	size_t size = sizeof(struct reject) + n + field + message + address;
	struct reject *r = malloc(size);

	if (!r)
		return NULL;
	r->size = size;
	if (n > 0)
		memcpy(r->text, line.p, n);
	memcpy(r->text + n, refusal->field, field);
	memcpy(r->text + n + field, refusal->message, message);
	if (address)
		memcpy(r->text + n + field + message, peer->address, address);
	r->line = (struct rejected_line){.line = {r->text, n},
	                                 .code = refusal->code,
	                                 .field = r->text + n,
	                                 .message = r->text + n + field,
	                                 .wall_us = clock_wall_us(),
	                                 .uid = peer->uid,
	                                 .pid = (uint32_t)peer->pid,
	                                 .address = address ? r->text + n + field + message : NULL};
	return r;
}

void rejects_add(struct intake *in, struct slice line, const struct finding *refusal, const struct peer *peer)
{
	struct rejects *all = &in->rejects;
	struct reject *r = all->keep ? make(line, refusal, peer) : NULL;

	if (!r)
		return; /* nothing is kept, or out of memory; the refusal itself is answered and counted */
	STAILQ_INSERT_TAIL(&all->waiting, r, link);
	all->n++;
	all->bytes += r->size;
	while (all->n > all->keep || all->bytes > REJECTS_BYTES_MAX)
		free(take_first(all));
}

static void on_done(struct job *job)
{
	struct reject_job *j = CONTAINER_OF(job, struct reject_job, job.job);

	/* The writer has logged any failure; the refusals themselves were answered and counted. */
	j->in->rejects.busy = false;
	free_list(&j->lines);
	free(j);
}

static size_t count_for_job(const struct rejects *r)
{
	const struct reject *at = STAILQ_FIRST(&r->waiting);
	size_t n = 0, bytes = 0;

	for (; at && n < JOB_LINES_MAX && bytes < JOB_BYTES_MAX; at = STAILQ_NEXT(at, link)) {
		bytes += at->size;
		n++;
	}
	return n;
}

/* Redacting is done here because many more lines may be refused than are kept. */
static void redact(struct reject *r, const struct conf *conf)
{
	char *field = r->text + r->line.line.n, *message = field + strlen(field) + 1;

	redact_line(r->text, r->line.line.n, conf);
	redact_line(field, strlen(field), conf);
	redact_line(message, strlen(message), conf);
	if (r->line.line.n > REJECTED_LINE_MAX)
		r->line.line.n = REJECTED_LINE_MAX;
}

static struct reject_job *make_job(struct intake *in, size_t n)
{
	struct reject_job *j = malloc(sizeof(*j) + n * sizeof(j->job.lines[0]));

	if (!j)
		return NULL;
	j->in = in;
	STAILQ_INIT(&j->lines);
	job_reject_init(&j->job, on_done);
	j->job.n = n;
	for (size_t i = 0; i < n; i++) {
		struct reject *r = take_first(&in->rejects);
		redact(r, in->streams->conf);
		j->job.lines[i] = r->line;
		STAILQ_INSERT_TAIL(&j->lines, r, link);
	}
	return j;
}

void rejects_submit(struct intake *in, int64_t mono_us)
{
	struct rejects *r = &in->rejects;
	int64_t wait_us = r->last_us + JOB_INTERVAL_US - mono_us;
	struct reject_job *j;

	if (r->n == 0 || r->busy)
		return;
	if (wait_us > 0 && r->last_us != 0 && *in->context.phase == PHASE_RUNNING) {
		if (!loop_timer_is_set(r->timer))
			loop_timer_set(r->timer, wait_us);
		return;
	}
	j = make_job(in, count_for_job(r));
	if (!j)
		return; /* try again in the next turn */
	r->busy = true;
	r->last_us = mono_us;
	STAILQ_INSERT_TAIL(&in->puts, &j->job.job, link);
}

bool rejects_idle(const struct intake *in)
{
	return in->rejects.n == 0 && !in->rejects.busy;
}
