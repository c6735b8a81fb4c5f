/* put.c - accepted lines: one memory block each, passed from the reader through the writer to delivery
 *
 * Invariant 1: on_put_done() is the only place that replies ok, and it runs after COMMIT has returned. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "event/payload.h"
#include "intake/intake_private.h"

/* Most bytes kept in the list of rejected lines for one line that the outbox refused. */
enum { KEPT_BYTES_MAX = 1024 * 1024 };

/* Texts that only few lines need: the others take no memory for them. */
struct texts {
	struct slice warnings; /* for the reply; empty: none */
	struct slice line;     /* as it came, for whoever follows the tap; empty: nobody does */
	char bytes[];
};

/* The memory block of an accepted line: the job, followed by the submission. Delivery may keep the block long after
 * the job is done. */
struct put {
	struct job_put job;
	struct intake *in;
	uint64_t conn;        /* 0: from the HTTP door */
	struct peer peer;     /* its address is a copy */
	intake_done_fn *done; /* the HTTP door's; NULL for the event socket */
	void *done_arg;
	struct texts *texts; /* owned; NULL: none */
	size_t size;         /* in memory, counted for back-pressure */
	_Alignas(max_align_t) char submission[];
};
static_assert(sizeof(struct put) == offsetof(struct put, submission), "the submission lies right behind the job");

static void *alloc_put(void *arg, size_t size)
{
	struct put **p = arg;

	free(*p); /* the reader may allocate again: only the last block counts */
	*p = size > SIZE_MAX - sizeof(**p) ? NULL : malloc(sizeof(**p) + size);
	if (!*p)
		return NULL;
	(*p)->size = sizeof(**p) + size;
	return (*p)->submission;
}

static struct slice warnings_of(const struct put *p)
{
	return p->texts ? p->texts->warnings : SLICE_LIT("");
}

static struct slice line_of(const struct put *p)
{
	return p->texts ? p->texts->line : SLICE_LIT("");
}

static void tap_accepted(const struct tap *tap, struct submission *sub)
{
	for (uint32_t i = 0; i < sub->n_events; i++) {
		struct tap_event e = {.what = TAP_ACCEPTED,
		                      .sub = sub,
		                      .index = i,
		                      .id = sub->first_id + i,
		                      .last_error = "",
		                      .next_attempt_ms = 0};
		tap_event(tap, &e);
	}
}

static void tap_committed(const struct tap *tap, const struct put *p)
{
	const struct job_put *job = &p->job;
	const struct tap_line l = {.line = line_of(p),
	                           .sub = job->sub,
	                           .first_id = job->first_id,
	                           .is_duplicate = job->duplicate,
	                           .warnings_json = warnings_of(p)};

	tap_line(tap, &l);
	if (!job->duplicate)
		tap_accepted(tap, job->sub);
}

static void committed(struct intake *in, const struct put *p)
{
	const struct job_put *job = &p->job;
	struct submission *sub = job->sub;
	struct counters *n = in->context.counters;

	if (tap_wanted(in->context.tap))
		tap_committed(in->context.tap, p);
	if (job->duplicate) {
		n->duplicates += job->count;
		return;
	}
	if (sub->sid < ARRAY_LEN(n->by_sid))
		n->by_sid[sub->sid].accepted += job->count;
	rate_add(&n->in, job->count);
	share_add(&in->share, sub->client, job->count);
	in->context.on_committed(in->context.arg, sub);
}

static void explain(const struct job_put *job, struct finding *ret)
{
	if (job->job.result == -EDQUOT)
		refuse(ret, CODE_QUEUE_FULL, "the outbox is full (%s): nothing was stored; send it again later",
		       job->why ? job->why : "no reason known");
	else if (job->job.result == -ENOMEM)
		refuse(ret, CODE_STORAGE_ERROR, "out of memory: nothing was stored; send it again later");
	else
		refuse(ret, CODE_STORAGE_ERROR,
		       "the outbox could not be written (%s): whether the line is stored is unknown; send it again "
		       "with "
		       "its dedup_key",
		       err_text(job->job.result));
}

/* The line's text no longer exists, so it is composed again from the parsed events, one line per event. Each repeats
 * the envelope, so their total size is limited. */
static void keep_refused(struct intake *in, const struct put *p, const struct finding *refusal)
{
	const struct submission *sub = p->job.sub;
	size_t stream = streams_find_sid(in->streams, sub->sid), bytes = 0;

	if (in->rejects.keep == 0 || stream == SIZE_MAX)
		return;
	for (uint32_t i = 0; i < sub->n_events && i < in->rejects.keep && bytes < KEPT_BYTES_MAX; i++) {
		_cleanup_(buf_free) struct buf line = BUF_INIT(2 * REJECTS_BYTES_MAX);
		if (payload_write_line(&line, sub, i, in->streams->rules[stream].name) == 0)
			rejects_add(in, buf_slice(&line), refusal, &p->peer);
		bytes += line.len;
	}
}

/* The warnings will make the reply longer: announces them, or, just before the reply, takes that back. */
static void expect_warnings(const struct put *p, bool coming)
{
	ptrdiff_t n = (ptrdiff_t)warnings_of(p).n;

	if (n != 0 && p->conn)
		listener_expect(p->in->listener, p->conn, coming ? n : -n);
}

static void refused_late(struct intake *in, struct put *p, const struct finding *refusal)
{
	in->context.counters->rejected[refusal->code]++;
	tap_refused(in, line_of(p), refusal);
	keep_refused(in, p, refusal);
	if (p->done)
		p->done(p->done_arg, refusal, 0, 0);
	else
		reply_put_refused(in, p->conn, &p->peer, refusal);
}

static void release(struct put *p)
{
	struct intake *in = p->in;

	in->pending_events -= p->job.sub->n_events;
	in->pending_bytes -= p->size;
	free(p->texts);
	free((char *)(uintptr_t)p->peer.address);
	submission_unref(p->job.sub); /* this frees the block, unless delivery holds a reference */
}

static void on_put_done(struct job *job)
{
	struct put *p = CONTAINER_OF(job, struct put, job.job);
	struct intake *in = p->in;
	struct finding refusal;

	expect_warnings(p, false);
	if (job->result < 0) {
		explain(&p->job, &refusal);
		refused_late(in, p, &refusal);
		release(p);
		return;
	}
	committed(in, p);
	if (p->done)
		p->done(p->done_arg, NULL, p->job.first_id, p->job.count);
	else
		reply_ok(in, p->conn, p->job.first_id, p->job.count, p->job.duplicate, warnings_of(p));
	release(p);
}

static int keep_origin(struct put *p, const struct put_origin *origin)
{
	p->conn = origin->conn;
	p->done = origin->done;
	p->done_arg = origin->done_arg;
	p->peer = *origin->peer;
	if (!origin->peer->address)
		return 0;
	p->peer.address = strdup(origin->peer->address);
	return p->peer.address ? 0 : -ENOMEM;
}

/* What the line's text is needed for when it is committed. */
static int keep_texts(struct put *p, const struct intake *in, struct slice line, struct slice warnings)
{
	struct texts *t;
	size_t n;

	if (!tap_wants_lines(in->context.tap))
		line = SLICE_LIT("");
	n = line.n + warnings.n;
	p->texts = NULL;
	if (n == 0)
		return 0;
	t = malloc(sizeof(*t) + n);
	if (!t)
		return -ENOMEM;
	t->warnings = (struct slice){memcpy(t->bytes, warnings.n ? warnings.p : "", warnings.n), warnings.n};
	t->line = (struct slice){memcpy(t->bytes + warnings.n, line.p, line.n), line.n};
	p->texts = t;
	p->size += sizeof(*t) + n;
	return 0;
}

static void count_warnings(struct counters *n, const struct line_result *result)
{
	if (result->warnings_json.n == 0)
		return;
	for (size_t code = 0; code < CODE_COUNT; code++)
		n->warnings[code] += result->warning_counts[code];
}

/* Returns 0 if the put will be submitted, or if the line is refused (result->sub is then NULL); -ENOMEM. */
int put_line(struct intake *in, struct slice line, const struct line_context *context,
             const struct put_origin *origin, struct line_result *result)
{
	struct put *p = NULL;
	int64_t wall_us = clock_wall_us();
	int r = event_in_read(in->reader, line, context, wall_us, alloc_put, &p, result);

	if (r < 0 || !result->sub || keep_origin(p, origin) < 0 ||
	    keep_texts(p, in, line, result->warnings_json) < 0) {
		if (r == 0 && result->sub)
			free((char *)(uintptr_t)p->peer.address);
		free(p);
		return r < 0 || result->sub ? -ENOMEM : 0;
	}
	p->in = in;
	result->sub->block = p;
	result->sub->refs = 1;
	job_put_init(&p->job, result->sub, wall_us, on_put_done);
	if (result->sub->dedup_key.n)
		p->job.boot_us = clock_boot_us();
	count_warnings(in->context.counters, result);
	expect_warnings(p, true);
	in->pending_events += result->sub->n_events;
	in->pending_bytes += p->size;
	STAILQ_INSERT_TAIL(&in->puts, &p->job.job, link);
	return 0;
}

void put_fail_unsubmitted(struct intake *in)
{
	struct finding refusal;
	struct job *job;

	refuse(&refusal, CODE_SHUTTING_DOWN,
	       "the relay is stopping at once: nothing was stored; send it again later");
	while ((job = STAILQ_FIRST(&in->puts))) {
		STAILQ_REMOVE_HEAD(&in->puts, link);
		if (job->done != on_put_done) {
			job->done(job); /* a job of rejected lines: dropped */
			continue;
		}
		struct put *p = CONTAINER_OF(job, struct put, job.job);
		expect_warnings(p, false);
		refused_late(in, p, &refusal);
		release(p);
	}
}
