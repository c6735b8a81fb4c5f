/* unconfigured.c - a start with a wrong configuration under systemd's socket: a pause that grows, and refusals
 *
 * Clients wait on the socket, and systemd starts the service again and again. The older the wrong file, the longer
 * this process stays, until the file changes. Lines are left in the kernel for the next process, which stores them;
 * but a relay that never ran has promised nothing to anybody, and its clients are told at once. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/daemon_private.h"
#include "event/reply.h"
#include "net/listener/listener.h"
#include "net/notify.h"

enum { CONNECTIONS = 64, LINE_MAX_BYTES = 1 << 20, UNREAD_MAX = 64 << 10, MEMORY_MAX = 16 << 20, REPLY_MAX = 1024 };
#define PAUSE_MAX_US (15 * US_PER_S)
#define PAUSE_REFUSING_US (1 * US_PER_S) /* at least, so that whoever waits is answered */
#define LOOK_US (200 * US_PER_MS)

struct waiting {
	struct daemon *d;
	const char *conf_path;
	struct stat file; /* when the wait began; zero if it was not there */
	int64_t until_us; /* monotonic */
	struct loop_timer *look;
	struct listener *listener; /* NULL: nobody is refused */
	struct buf refusal;
};

static void look_at(const char *path, struct stat *ret)
{
	if (stat(path, ret) < 0)
		*ret = (struct stat){.st_ino = 0};
}

static bool has_changed(const struct waiting *w)
{
	struct stat now;

	look_at(w->conf_path, &now);
	return now.st_ino != w->file.st_ino || now.st_ctim.tv_sec != w->file.st_ctim.tv_sec ||
	       now.st_ctim.tv_nsec != w->file.st_ctim.tv_nsec;
}

static void on_look(void *arg)
{
	struct waiting *w = arg;

	if (clock_mono_us() >= w->until_us || has_changed(w))
		loop_stop(w->d->loop);
	else
		loop_timer_set(w->look, LOOK_US);
}

static void on_line(void *arg, uint64_t conn, enum line_kind kind UNUSED, struct slice text UNUSED,
                    const struct peer *peer UNUSED)
{
	struct waiting *w = arg;

	(void)listener_reply(w->listener, conn, buf_slice(&w->refusal));
}

static void on_tail(void *arg)
{
	struct waiting *w = arg;

	if (w->listener)
		listener_flush(w->listener);
}

static int begin_refusing(struct waiting *w, int take_fd, struct err *err)
{
	static const struct finding refusal = {
	        .code = CODE_SHUTTING_DOWN,
	        .message = "the relay has no valid configuration yet and stores nothing; its log says what is wrong "
	                   "(journalctl -u ga4relay)",
	};
	const struct listener_ops ops = {.on_line = on_line, .arg = w};
	const struct listener_config config = {
	        .path = "",
	        .group = "",
	        .inherited_fd = take_fd,
	        .max_connections = CONNECTIONS,
	        .max_line = LINE_MAX_BYTES,
	        .max_unread = UNREAD_MAX,
	        .max_memory = MEMORY_MAX,
	        .idle_timeout_us = US_PER_S,
	};
	int r = reply_write_refusal(&w->refusal, &refusal);

	return r < 0 ? r : listener_open(&w->listener, w->d->loop, &config, &ops, err);
}

/* Whether the options but the streams are right, and name an outbox that is not there. */
static bool never_ran(const char *conf_path)
{
	struct conf *conf;
	struct err err;
	bool never = false;

	if (conf_load_without_streams(&conf, conf_path, &err) == 0) {
		never = access(conf->outbox.path, F_OK) < 0;
		conf_free(conf);
	}
	return never;
}

static int64_t pause_us(const struct waiting *w)
{
	int64_t age_us = clock_wall_us() - (int64_t)w->file.st_mtim.tv_sec * US_PER_S, pause = age_us / 10;

	return pause < 0 ? 0 : pause < PAUSE_MAX_US ? pause : PAUSE_MAX_US;
}

static void wait_for_change(struct waiting *w, int take_fd)
{
	struct err err;
	int64_t pause = pause_us(w);
	bool refuses = never_ran(w->conf_path);

	if (refuses && pause < PAUSE_REFUSING_US)
		pause = PAUSE_REFUSING_US;
	w->until_us = clock_mono_us() + pause;
	w->look = loop_timer_new(w->d->loop, on_look, w);
	if (!w->look || (refuses && begin_refusing(w, take_fd, &err) < 0))
		return;
	log_info("%s; the next try is in %lld s, or when %s changes",
	         refuses ? "clients are refused, because this relay has never run"
	                 : "clients wait, and are served when the configuration is right",
	         (long long)(pause / US_PER_S) + 1, w->conf_path);
	loop_set_tail(w->d->loop, on_tail, w);
	loop_timer_set(w->look, LOOK_US);
	(void)loop_run(w->d->loop);
}

void unconfigured_wait(struct daemon *d, const char *conf_path)
{
	struct waiting w = {.d = d, .conf_path = conf_path, .refusal = BUF_INIT(REPLY_MAX)};
	struct err err;
	int fd = -1;

	if (notify_take_listen_fd("", &fd, &err) < 0 || fd < 0)
		return;
	look_at(conf_path, &w.file);
	wait_for_change(&w, fd);
	w.listener = w.listener ? listener_free(w.listener) : NULL;
	loop_timer_free(w.look);
	buf_free(&w.refusal);
}
