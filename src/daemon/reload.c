/* reload.c - applying a new configuration to the running relay, wholly or not at all */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/daemon_private.h"
#include "net/notify.h"

void store_config_of(const struct conf *conf, struct store_config *ret)
{
	*ret = (struct store_config){
	        .path = conf->outbox.path,
	        .sync_full = conf->outbox.sync_full,
	        .max_events = conf->outbox.max_events,
	        .max_bytes = conf->outbox.max_bytes,
	        .min_free_disk = conf->outbox.min_free_disk,
	        .ballast = conf->outbox.ballast,
	        .dedup_window_us = conf->outbox.dedup_window_us,
	        .keep_delivered_us = conf->outbox.keep_delivered_us,
	        .keep_dead_us = conf->outbox.keep_dead_us,
	        .keep_rejected = conf->outbox.keep_rejected,
	};
}

void listener_config_of(const struct conf *conf, struct listener_config *ret)
{
	*ret = (struct listener_config){
	        .path = conf->listen.socket,
	        .mode = conf->listen.mode,
	        .group = conf->listen.group,
	        .inherited_fd = -1,
	        .max_connections = conf->listen.max_connections,
	        .max_line = conf->listen.max_line,
	        .max_unread = conf->listen.max_unread_replies,
	        .max_memory = conf->listen.max_memory,
	        .idle_timeout_us = conf->listen.idle_timeout_us,
	        .reply_patience_us = conf->listen.reply_patience_us,
	};
}

static void warn_restart(void *arg UNUSED, const char *option)
{
	log_warning("configuration: %s changed, but needs a restart: the old value stays in force until then",
	            option);
}

struct numbering {

	size_t waiting;
};

struct numbered_job {
	struct job_stream job;
	struct numbering *all;
};

static void on_numbered(struct job *job)
{
	((struct numbered_job *)job)->all->waiting--;
}

/* Blocks the loop thread for one group commit: a new stream must be known before the reload is reported as done, or
 * the next line for it would be refused. */
static int number_streams(struct daemon *d, const struct conf *next, uint32_t *sids, struct err *err)
{
	struct numbered_job *jobs = calloc(next->n_streams, sizeof(*jobs));
	struct numbering all = {.waiting = next->n_streams};
	struct job_list list = STAILQ_HEAD_INITIALIZER(list);
	int r = 0;

	if (!jobs)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < next->n_streams; i++) {
		jobs[i].all = &all;
		job_stream_init(&jobs[i].job, slice_of(next->streams[i].name), on_numbered);
		STAILQ_INSERT_TAIL(&list, &jobs[i].job.job, link);
	}
	writer_submit(d->writer, &list);
	while (all.waiting > 0) {
		struct pollfd ready = {.fd = writer_fd(d->writer), .events = POLLIN};

		(void)poll(&ready, 1, 100);
		writer_reap(d->writer, INT64_MAX);
	}
	for (size_t i = 0; i < next->n_streams && r == 0; i++) {
		if (jobs[i].job.job.result < 0)
			r = err_set(err, jobs[i].job.job.result, "stream %s cannot be noted in the outbox",
			            next->streams[i].name);
		sids[i] = jobs[i].job.sid;
	}
	free(jobs);
	return r;
}

static void on_limits_set(struct job *job)
{
	free(job);
}

static void submit_limits(struct daemon *d, const struct conf *conf)
{
	struct job_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store_config config;
	struct job_limits *job = calloc(1, sizeof(*job));

	if (!job) {
		log_error("out of memory: the outbox keeps its old limits until the next reload");
		return;
	}
	store_config_of(conf, &config);
	job_limits_init(job, &config, on_limits_set);
	STAILQ_INSERT_TAIL(&list, &job->job, link);
	writer_submit(d->writer, &list);
}

static void apply(struct daemon *d, struct conf *next, struct streams *streams)
{
	struct conf *old_conf = d->conf;
	struct streams *old_streams = d->streams;

	d->conf = next;
	d->streams = streams;
	d->context.streams = streams;
	intake_set_streams(d->intake, streams, next->outbox.keep_rejected);
	control_set_streams(d->control, streams);
	if (d->door)
		door_set_conf(d->door, next);
	submit_limits(d, next);
	log_set_level(next->log.level);
	log_set_format(next->log.format);
	streams_free(old_streams);
	free(old_streams);
	conf_free(old_conf);
}

static int prepare_streams(struct daemon *d, const struct conf *next, struct streams **ret, struct err *err)
{
	struct streams *streams = calloc(1, sizeof(*streams));
	uint32_t *sids = calloc(next->n_streams, sizeof(*sids));
	int r;

	r = streams && sids ? number_streams(d, next, sids, err) : err_set(err, -ENOMEM, "out of memory");
	if (r == 0 && streams_init(streams, next, sids) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	free(sids);
	if (r < 0) {
		free(streams);
		return r;
	}
	*ret = streams;
	return 0;
}

static const struct conf_stream *find_stream(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_streams; i++)
		if (strcmp(conf->streams[i].name, name) == 0)
			return &conf->streams[i];
	return NULL;
}

/* systemd writes a service's credentials when it starts (src/README.md, trap 35). One that reads as before may have
 * been changed at its source: nobody but systemd knows. */
static bool is_old_credential(const struct conf *conf, const struct conf_stream *next)
{
	const struct conf_stream *now = find_stream(conf, next->name);

	return now && now->secret_credential && next->secret_credential &&
	       strcmp(now->secret_credential, next->secret_credential) == 0 && strcmp(now->secret, next->secret) == 0;
}

static void note_credentials(const struct conf *now, const struct conf *next, struct err *note)
{
	const char *name = NULL;
	size_t n = 0;

	note->text[0] = '\0';
	for (size_t i = 0; i < next->n_streams; i++) {
		if (!is_old_credential(now, &next->streams[i]))
			continue;
		name = name ? name : next->streams[i].name;
		n++;
	}
	if (n == 0)
		return;
	err_set(note, 0,
	        "the secret of %s%s comes from systemd (LoadCredential=), which does not renew it on reload: if it "
	        "was changed, systemctl restart ga4relay takes it (no event is lost or refused)",
	        n == 1 ? "stream " : "", n == 1 ? name : "several streams");
	log_info("%s", note->text);
}

/* Leaves in err what could not be done, if anything. */
static int reload(struct daemon *d, struct err *err)
{
	struct err note;
	struct streams *streams = NULL;
	struct conf *next;
	int r;

	if (!d->conf->path)
		return err_set(err, -ENOTSUP, "the sandbox has no configuration file to read again");
	r = conf_load(&next, d->conf->path, err);
	if (r < 0)
		return r;
	r = conf_keep_fixed(d->conf, next, warn_restart, NULL);
	if (r == 0)
		r = prepare_streams(d, next, &streams, err);
	else
		err_set(err, r, "out of memory");
	if (r < 0) {
		conf_free(next);
		return r;
	}
	/* These are the last steps that can fail; nothing has changed before them. */
	r = fleet_check_conf(next, err);
	if (r == 0)
		r = delivery_set_streams(d->delivery, next, streams->rules, err);
	if (r == 0)
		r = fleet_set_conf(d, next, err);
	if (r < 0) {
		streams_free(streams);
		free(streams);
		conf_free(next);
		return r;
	}
	note_credentials(d->conf, next, &note);
	apply(d, next, streams);
	log_info("configuration reloaded: %zu stream%s", next->n_streams, next->n_streams == 1 ? "" : "s");
	*err = note;
	return 0;
}

int daemon_reload(struct daemon *d, struct err *err)
{
	char ready[64];
	int r;

	/* The reload protocol of Type=notify in systemd 252 (src/README.md, trap 24). */
	snprintf(ready, sizeof(ready), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
	notify_send(d->notify_fd, ready);
	r = reload(d, err);
	d->context.reload_refused = r < 0;
	if (r == 0)
		d->context.configured_wall_us = clock_wall_us();
	notify_send(d->notify_fd, "READY=1");
	return r;
}
