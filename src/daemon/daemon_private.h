/* daemon_private.h - the running relay's parts, for daemon.c, start.c and reload.c only */
#ifndef DAEMON_DAEMON_PRIVATE_H
#define DAEMON_DAEMON_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "base/phase.h"
#include "conf/conf.h"
#include "control/control.h"
#include "daemon/daemon.h"
#include "daemon/storage_log.h"
#include "delivery/delivery.h"
#include "event/stream_table.h"
#include "event/tap.h"
#include "http/door.h"
#include "intake/intake.h"
#include "metrics/counters.h"
#include "net/loop.h"
#include "outbox/writer.h"
#include "sandbox/sandbox.h"

struct daemon {
	struct conf *conf;
	struct streams *streams; /* replaced whole by a reload */
	struct loop *loop;
	struct writer *writer;
	struct ingest *ingest;
	struct delivery *delivery;
	struct control_context context;
	struct control *control;
	struct door *door;           /* NULL: off */
	struct collector *collector; /* sandbox only */
	struct counters counters;
	struct tap tap;
	struct storage_log storage_log;

	struct loop_watch *completions; /* the writer's: the tail reaps them */
	struct loop_timer *tick;        /* once a second */
	struct loop_timer *watchdog;    /* NULL: systemd does not ask */
	struct loop_timer *drain;       /* delivery.drain_timeout */
	int64_t watchdog_us, last_tick_us;
	unsigned quiet_ticks; /* since the last event */
	size_t resident_mark; /* above it memory is given back */
	int notify_fd;        /* -1: not started by systemd */

	struct now now; /* when the present turn's tail began: one look at the clock for all that it settles */

	enum phase phase;
	enum exit_code exit_code;
	char sandbox_dir[256];                  /* "" outside of the sandbox */
	bool sandbox_temporary;                 /* removed at the end */
	char set_aside[STORE_PATH_MAX];         /* where a corrupt outbox went; "" : none */
	uint8_t pause_words[STORE_STREAMS_MAX]; /* enum pause_word by sid, as the outbox remembered them at start */
};

/* start.c: each says why on the log and returns the exit code, EXIT_OK when it went well. */
enum exit_code start_configuration(struct daemon *d, const struct daemon_options *options);
enum exit_code start_storage(struct daemon *d);
enum exit_code start_service(struct daemon *d);
/* Takes apart whatever was put together, in order; finishes every commit. */
void stop_everything(struct daemon *d);

/* reload.c: SIGHUP and `ga4relay-ctl reload`: all or nothing. */
int daemon_reload(struct daemon *d, struct err *err) MUST_CHECK;
void store_config_of(const struct conf *conf, struct store_config *ret);
void listener_config_of(const struct conf *conf, struct listener_config *ret);

#endif
