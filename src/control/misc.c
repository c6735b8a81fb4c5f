/* misc.c - the commands that are answered at once: pause, resume, flush, reload, log-level, version, paths */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control_private.h"

/* ---- pause and resume: recorded in the outbox first, then applied ---- */

struct pause_op {
	struct op op;
	struct job_pause job;
	struct delivery *delivery;
	uint32_t sid; /* the stream being recorded */
	char name[STORE_NAME_MAX + 1];
	bool one, paused; /* one: this stream only */
	uint64_t n;       /* streams done */
};

static void pause_destroy(struct op *op)
{
	free(CONTAINER_OF(op, struct pause_op, op));
}

/* Returns the next sid, from sid on, that has a name; 0 if there is none. */
static uint32_t next_stream(const struct control *c, uint32_t sid)
{
	while (sid < STORE_STREAMS_MAX && !c->names[sid][0])
		sid++;
	return sid < STORE_STREAMS_MAX ? sid : 0;
}

static void pause_slice(struct op *op);

static void pause_end(struct pause_op *p)
{
	struct json_out *j = session_begin_end(p->op.session, true);

	if (j) {
		json_out_kv_i64(j, "streams", (int64_t)p->n);
		session_finish_end(p->op.session, j);
	}
	op_done(&p->op);
}

static void on_remembered(struct job *job)
{
	struct pause_op *p = CONTAINER_OF(job, struct pause_op, job.job);
	int r = job->result;
	struct err err;

	if (r == 0) {
		delivery_pause(p->delivery, p->sid, p->paused);
		log_info("operator: stream %s %s", p->name, p->paused ? "paused" : "resumed");
	}
	if (!op_back(&p->op))
		return;
	if (r < 0) {
		err_set(&err, r, "the outbox could not remember it, so nothing was changed; see the log");
		op_end_error(&p->op, r, &err);
		return;
	}
	p->n++;
	p->sid = p->one ? 0 : next_stream(p->op.session->control, p->sid + 1);
	if (p->sid)
		pause_slice(&p->op);
	else
		pause_end(p);
}

static void pause_slice(struct op *op)
{
	struct pause_op *p = CONTAINER_OF(op, struct pause_op, op);

	memcpy(p->name, op->session->control->names[p->sid], sizeof(p->name));
	job_pause_init(&p->job, p->sid, p->paused ? PAUSE_PAUSED : PAUSE_RESUMED, on_remembered);
	(void)op_submit(op, &p->job.job);
}

static int set_pause(struct session *s, const struct request *request, bool paused, struct err *err)
{
	struct slice name = request_text(request, "stream");
	uint32_t sid = name.n ? control_find_stream(s->control, name) : next_stream(s->control, 1);
	struct pause_op *p;

	if (sid == 0)
		return err_set(err, -ENOENT, "no stream is called \"%.*s\"; `ga4relay-ctl status` names them",
		               SLICE_ARG(name));
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->delivery = s->control->context->delivery;
	p->sid = sid;
	p->one = name.n > 0;
	p->paused = paused;
	op_start(s, &p->op, pause_slice, pause_destroy);
	pause_slice(&p->op);
	return 0;
}

int control_pause(struct session *s, const struct request *request, struct err *err)
{
	return set_pause(s, request, true, err);
}

int control_resume(struct session *s, const struct request *request, struct err *err)
{
	return set_pause(s, request, false, err);
}

/* ---- the rest ---- */

int control_flush(struct session *s, const struct request *request UNUSED, struct err *err UNUSED)
{
	delivery_flush_waiting(s->control->context->delivery);
	log_info("operator: flush, nothing waits any longer");
	session_end_ok(s);
	return 0;
}

int control_reload(struct session *s, const struct request *request UNUSED, struct err *err)
{
	const struct control_context *context = s->control->context;
	err->text[0] = '\0';
	int r = context->reload(context->arg, err);

	/* Whatever the errno, the reload was refused; the request itself was valid. */
	if (r < 0) {
		log_error("configuration not reloaded, the old one stays in force: %s", err->text);
		return -EPERM;
	}
	struct json_out *j = session_begin_end(s, true);
	if (j) {
		json_out_kv_str(j, "note", err->text[0] ? err->text : NULL);
		session_finish_end(s, j);
	}
	return 0;
}

int control_log_level(struct session *s, const struct request *request, struct err *err)
{
	struct slice word = request_text(request, "level");
	char name[16] = "";
	enum log_level level;

	if (word.n < sizeof(name))
		memcpy(name, word.p ? word.p : "", word.n);
	if (log_level_parse(name, &level) < 0)
		return err_set(err, -EINVAL, "no level is called \"%.*s\"; levels: error warning info debug",
		               word.n > 40 ? 40 : (int)word.n, word.p ? word.p : "");
	log_info("operator: log level is %s from now on, until the next reload", log_level_name(level));
	log_set_level(level);
	session_end_ok(s);
	return 0;
}

int control_version(struct session *s, const struct request *request UNUSED, struct err *err UNUSED)
{
	struct json_out *j = session_begin_end(s, true);

	if (j) {
		json_out_kv_str(j, "version", GA4RELAY_VERSION);
		session_finish_end(s, j);
	}
	return 0;
}

int control_paths(struct session *s, const struct request *request UNUSED, struct err *err UNUSED)
{
	const struct conf *conf = s->control->context->streams->conf;
	struct json_out *j = session_begin_end(s, true);

	if (j) {
		json_out_kv_str(j, "config", conf->path);
		json_out_kv_str(j, "event_socket", conf->listen.socket);
		json_out_kv_str(j, "outbox", conf->outbox.path);
		session_finish_end(s, j);
	}
	return 0;
}
