/* daemon_private.h - the parts of the running relay, shared by daemon.c, start.c and reload.c */
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
	struct streams *streams; /* a reload replaces the whole object */
	struct loop *loop;
	struct writer *writer;
	struct intake *intake;
	struct delivery *delivery;
	struct control_context context;
	struct control *control;
	struct door *door;           /* NULL: off */
	struct collector *collector; /* NULL except in the sandbox */
	struct page_switch page_switch;
	struct edge *edge;               /* NULL: this relay is not an edge of a fleet */
	struct hub *hub;                 /* NULL: this relay is not a hub of a fleet */
	struct outbox_identity identity; /* the outbox's */
	struct counters counters;
	struct tap tap;
	struct storage_log storage_log;

	struct loop_watch *completions; /* the writer's completion descriptor; the tail reaps */
	struct loop_timer *tick;        /* once a second while something happens */
	struct loop_timer *watchdog;    /* NULL: systemd expects no keepalives */
	struct loop_timer *drain;       /* delivery.drain_timeout */
	int64_t watchdog_us;
	uint64_t ticked_turn; /* of the loop; a tick that finds no other turn since is the last one */
	bool ticks;
	unsigned quiet_ticks; /* seconds since the last event */
	size_t resident_mark; /* free memory is returned above this many resident bytes */
	int notify_fd;        /* -1: not started by systemd */

	struct now now; /* time at which the current turn's tail began, used for everything that it settles */

	enum phase phase;
	enum exit_code exit_code;
	char sandbox_dir[256];                  /* "" except in the sandbox */
	bool sandbox_temporary;                 /* remove the directory at exit */
	char set_aside[STORE_PATH_MAX];         /* name of a corrupt outbox that was set aside; "" if none */
	uint8_t pause_words[STORE_STREAMS_MAX]; /* enum pause_word by sid, as recorded in the outbox at start */
};

/* start.c: each logs its failure and returns the exit code, EXIT_OK on success. */
enum exit_code start_configuration(struct daemon *d, const struct daemon_options *options);
enum exit_code start_storage(struct daemon *d);
enum exit_code start_service(struct daemon *d);
/* Frees whatever was created, in dependency order; completes every submitted commit. */
void stop_everything(struct daemon *d);

/* unconfigured.c: after a wrong configuration. Returns at once unless systemd handed over the event socket; otherwise
 * when it is time for the next try, or SIGTERM came. */
void unconfigured_wait(struct daemon *d, const char *conf_path);

/* fleet.c; without PostgreSQL in the build, these do nothing. */
/* Checks the fleet's group of a configuration: a role needs a build with libpq, among other things. */
int fleet_check_conf(const struct conf *conf, struct err *err) MUST_CHECK;
/* *ret_forwarder: for delivery; NULL: none. */
int fleet_start(struct daemon *d, const struct forwarder **ret_forwarder, struct err *err) MUST_CHECK;
int fleet_set_conf(struct daemon *d, const struct conf *next, struct err *err) MUST_CHECK;
/* Ends everything in flight now. */
void fleet_give_up(struct daemon *d);
/* The hub; after delivery_new(). */
int fleet_start_hub(struct daemon *d, struct err *err) MUST_CHECK;
/* The hub's parts of the loop's tail, before and after delivery's. */
void fleet_check_leases(struct daemon *d);
void fleet_pump(struct daemon *d);
/* It takes nothing more; its outcomes are recorded, and its leases released. */
void fleet_drain(struct daemon *d);
/* Outcomes that were not recorded by now may be sent twice. */
void fleet_abandon(struct daemon *d);
bool fleet_drained(const struct daemon *d);
/* Before delivery_free(). */
void fleet_stop(struct daemon *d);
/* For the control socket; d is a struct daemon. */
void fleet_get_state(void *d, struct fleet_state *ret);

/* reload.c: SIGHUP and `ga4relay-ctl reload`. Applies the whole new configuration, or on failure (negative errno)
 * nothing. */
int daemon_reload(struct daemon *d, struct err *err) MUST_CHECK;
void store_config_of(const struct conf *conf, struct store_config *ret);
void listener_config_of(const struct conf *conf, struct listener_config *ret);

#endif
