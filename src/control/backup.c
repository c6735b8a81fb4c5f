/* backup.c - the command backup: copies the outbox step by step between commits, into a descriptor passed by ctl */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "control/control_private.h"

#define PROGRESS_US (US_PER_S / 4)

struct backup_op {
	struct op op;
	struct job_backup job;
	int fd;
	int64_t said_us;
};

static void backup_destroy(struct op *op)
{
	struct backup_op *b = CONTAINER_OF(op, struct backup_op, op);

	job_backup_clear(&b->job);
	fd_close(b->fd);
	free(b);
}

static int say_progress(struct backup_op *b)
{
	struct buf *out = &b->op.session->control->out;
	int64_t mono_us = clock_mono_us();
	struct json_out *j;

	if (mono_us - b->said_us < PROGRESS_US)
		return 0;
	b->said_us = mono_us;
	buf_clear(out);
	j = json_out_begin(out);
	if (!j)
		return -ENOMEM;
	json_out_object(j);
	json_out_kv_i64(j, "pages_done", (int64_t)b->job.pages_done);
	json_out_kv_i64(j, "pages_total", (int64_t)b->job.pages_total);
	if (json_out_end(j) < 0 || buf_append_char(out, '\n') < 0)
		return -ENOMEM;
	return control_say(b->op.session, out);
}

static void backup_done(struct backup_op *b)
{
	struct json_out *j = session_begin_end(b->op.session, true);

	log_info("operator: backup done, %llu pages", (unsigned long long)b->job.pages_total);
	if (j) {
		json_out_kv_i64(j, "pages_total", (int64_t)b->job.pages_total);
		session_finish_end(b->op.session, j);
	}
	op_done(&b->op);
}

static void on_step(struct job *job)
{
	struct backup_op *b = CONTAINER_OF(job, struct backup_op, job.job);
	int r = job->result;
	struct err err;

	/* The client has disconnected: stop copying. Removing the partial file is the client's job. */
	if (!op_back(&b->op))
		return;
	if (r == 0) {
		backup_done(b);
		return;
	}
	if (r == -EAGAIN && say_progress(b) == 0) {
		(void)op_submit(&b->op, &b->job.job);
		return;
	}
	if (r == -EAGAIN)
		err_set(&err, r, "backup: out of memory");
	else
		err = b->job.err;
	op_end_error(&b->op, r, &err);
}

int control_backup(struct session *s, const struct request *request UNUSED, struct err *err)
{
	struct backup_op *b;

	if (s->fd < 0)
		return err_set(err, -EINVAL, "backup: no file came with the request");
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(err, -ENOMEM, "out of memory");
	b->fd = s->fd;
	s->fd = -1;
	job_backup_init(&b->job, b->fd, on_step);
	op_start(s, &b->op, NULL, backup_destroy);
	(void)op_submit(&b->op, &b->job.job);
	return 0;
}
