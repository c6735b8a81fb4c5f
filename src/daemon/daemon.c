/* daemon.c - the relay's loop: what happens in a turn, in which order, and how it ends
 *
 * Two invariants hold everywhere, and the tests attack them:
 *   1. An ok is sent only after COMMIT returned under synchronous=FULL.
 *   2. A row leaves the outbox only in the transaction that records why.
 */
#include "daemon/daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/memory.h"
#include "daemon/daemon_private.h"
#include "net/http_client/http_client.h"
#include "net/notify.h"

static void finish(struct daemon *d, enum exit_code code)
{
	d->phase = PHASE_STOPPED;
	d->exit_code = code;
	loop_stop(d->loop);
}

/* After a failed sync, what is on disk is unknown: this process must acknowledge nothing more. Recovery at the next
 * start decides. */
static void check_fatal(struct daemon *d)
{
	if (d->phase == PHASE_STOPPED || !writer_is_fatal(d->writer))
		return;
	struct writer_stats stats;
	writer_get_stats(d->writer, &stats);
	log_error("outbox %s: %s; stopping, so that a restart can recover what is on disk", d->conf->outbox.path,
	          stats.fatal_why);
	finish(d, EXIT_FAILED);
}

static void check_drained(struct daemon *d)
{
	bool draining = d->phase == PHASE_DRAINING || d->phase == PHASE_ABORTING;

	if (draining && intake_drained(d->intake) && (!d->door || door_drained(d->door)) &&
	    delivery_drained(d->delivery) && fleet_drained(d))
		finish(d, EXIT_OK);
}

/* After each turn of the loop but the last tick's own. */
static void tick_again(struct daemon *d)
{
	uint64_t turn = loop_turn_number(d->loop);

	if (d->ticks || turn == d->ticked_turn)
		return;
	d->ticks = true;
	d->ticked_turn = turn;
	loop_timer_set(d->tick, US_PER_S);
}

/* Time budget for reaping completions per turn. A group can complete thousands of jobs, and new input waits until
 * they are done. */
#define REAP_US (1 * US_PER_MS)

/* Runs at the end of every turn. Callbacks only record facts; the decisions are made here. */
static void on_tail(void *arg)
{
	struct daemon *d = arg;

	clock_now(&d->now);
	intake_submit(d->intake, &d->now);
	writer_reap(d->writer, d->now.mono_us + REAP_US);
	fleet_check_leases(d);
	delivery_pump(d->delivery, &d->now);
	fleet_pump(d);
	intake_flush(d->intake);
	control_flush_answers(d->control);
	check_fatal(d);
	check_drained(d);
	tick_again(d);
}

/* After this many seconds without an event in either direction, free memory is returned to the system. */
enum { QUIET_TICKS = 5 };
/* Above RESIDENT_MUCH resident bytes, free memory is returned even while busy, and again after every further
 * RESIDENT_MORE bytes. */
enum { RESIDENT_MUCH = 48 << 20, RESIDENT_MORE = 8 << 20 };

static void give_back_when_quiet(struct daemon *d)
{
	if (d->counters.in.since_tick > 0 || d->counters.out.since_tick > 0)
		d->quiet_ticks = 0;
	else if (d->quiet_ticks < QUIET_TICKS && ++d->quiet_ticks == QUIET_TICKS) {
		delivery_give_back(d->delivery);
		memory_give_back();
		d->resident_mark = RESIDENT_MUCH;
	}
}

/* malloc() keeps freed memory per thread. While a backlog is delivered, memory freed by the loop thread lies idle and
 * the writer thread allocates more for the rows it reads. Returning it takes 3 to 4 ms. */
static void give_back_when_much(struct daemon *d)
{
	if (memory_resident() <= d->resident_mark)
		return;
	memory_give_back();
	size_t mark = memory_resident() + RESIDENT_MORE;
	d->resident_mark = mark > RESIDENT_MUCH ? mark : RESIDENT_MUCH;
}

/* An idle relay must not wake up each second: ticks end when nothing has happened since the last one, and nobody
 * waits for one. */
static bool must_tick(const struct daemon *d)
{
	return loop_turn_number(d->loop) > d->ticked_turn + 1 || d->quiet_ticks < QUIET_TICKS ||
	       storage_log_needs_tick(&d->storage_log) || control_needs_tick(d->control) ||
	       (d->door && door_needs_tick(d->door));
}

static void on_tick(void *arg)
{
	struct daemon *d = arg;
	int64_t mono_us = clock_mono_us();

	give_back_when_quiet(d);
	give_back_when_much(d);
	counters_tick(&d->counters, mono_us);
	storage_log_tick(&d->storage_log, d->writer, mono_us);
	control_tick(d->control);
	if (d->door)
		door_tick(d->door);
	d->ticks = must_tick(d);
	d->ticked_turn = loop_turn_number(d->loop);
	if (d->ticks)
		loop_timer_set(d->tick, US_PER_S);
}

static void on_watchdog(void *arg)
{
	struct daemon *d = arg;

	notify_send(d->notify_fd, "WATCHDOG=1");
	loop_timer_set(d->watchdog, d->watchdog_us);
}

static void on_drain_timeout(void *arg)
{
	struct daemon *d = arg;

	if (delivery_drained(d->delivery)) {
		fleet_abandon(d);
		return; /* only intake still has lines to read or replies to write */
	}
	d->phase = PHASE_ABORTING;
	fleet_give_up(d);
	if (delivery_abort(d->delivery) > 0)
		log_warning("requests still in flight after delivery.drain_timeout are cut off; their events stay "
		            "queued, marked maybe-sent (or are dead as ambiguous, where delivery.ambiguous is "
		            "\"park\")");
	loop_timer_set(d->drain, US_PER_S); /* for a hub's outcomes */
}

static void start_draining(struct daemon *d)
{
	struct now now;

	log_info("stopping: reading what was written to the socket, finishing what is in flight");
	notify_send(d->notify_fd, "STOPPING=1");
	d->phase = PHASE_DRAINING;
	clock_now(&now);
	if (d->door)
		door_drain(d->door);
	intake_drain(d->intake);
	delivery_drain(d->delivery, &now);
	fleet_drain(d);
	loop_timer_set(d->drain, d->conf->delivery.drain_timeout_us);
	loop_again(d->loop);
}

static void on_stop_signal(void *arg, int signo UNUSED)
{
	struct daemon *d = arg;

	if (!d->intake) { /* no configuration: nothing was taken */
		finish(d, EXIT_OK);
		return;
	}
	if (d->phase == PHASE_RUNNING) {
		start_draining(d);
		return;
	}
	log_warning("second signal: stopping at once");
	d->phase = PHASE_ABORTING;
	fleet_give_up(d);
	delivery_abort(d->delivery);
	fleet_abandon(d);
	finish(d, EXIT_OK);
}

static void on_reload_signal(void *arg, int signo UNUSED)
{
	struct daemon *d = arg;
	struct err err;

	if (d->phase != PHASE_RUNNING)
		return;
	if (!d->intake) {
		loop_stop(d->loop); /* the next start reads it */
		return;
	}
	if (daemon_reload(d, &err) < 0)
		log_error("configuration not reloaded, the old one stays in force: %s", err.text);
}

static int control_reload(void *arg, struct err *err)
{
	return daemon_reload(arg, err);
}

static enum exit_code prepare_loop(struct daemon *d)
{
	struct err err;

	if (loop_new(&d->loop, &err) < 0 || loop_on_signal(d->loop, SIGTERM, on_stop_signal, d) < 0 ||
	    loop_on_signal(d->loop, SIGINT, on_stop_signal, d) < 0 ||
	    loop_on_signal(d->loop, SIGHUP, on_reload_signal, d) < 0) {
		log_error("event loop: cannot be set up; is the machine out of memory or descriptors?");
		return EXIT_FAILED;
	}
	d->tick = loop_timer_new(d->loop, on_tick, d);
	d->drain = loop_timer_new(d->loop, on_drain_timeout, d);
	d->watchdog_us = notify_watchdog_interval_us();
	if (d->watchdog_us > 0)
		d->watchdog = loop_timer_new(d->loop, on_watchdog, d);
	if (!d->tick || !d->drain || (d->watchdog_us > 0 && !d->watchdog)) {
		log_error("event loop: out of memory");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* Must run before the first thread starts, because it changes the environment. */
static void prepare_process(void)
{
	struct rlimit files;

	umask(0077);
	/* Every connection needs a descriptor: raise the limit as far as the administrator allows. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	http_client_prepare_process();
}

static void log_ready(const struct conf *conf)
{
	bool door = conf->http.listen[0] != '\0', metrics = conf->http.metrics[0] != '\0';

	log_info("ready: events on %s, control on %s, outbox %s%s%s%s%s", conf->listen.socket, conf->control.socket,
	         conf->outbox.path, door ? ", HTTP door on " : "", conf->http.listen, metrics ? ", metrics on " : "",
	         conf->http.metrics);
}

static void run(struct daemon *d)
{
	loop_set_tail(d->loop, on_tail, d);
	d->counters.rates_us = clock_mono_us();
	d->ticks = true;
	loop_timer_set(d->tick, US_PER_S);
	if (d->watchdog)
		loop_timer_set(d->watchdog, 0);
	notify_send(d->notify_fd, "READY=1\nSTATUS=taking events");
	log_ready(d->conf);
	if (loop_run(d->loop) < 0) {
		log_error("event loop failed; stopping");
		d->exit_code = EXIT_FAILED;
	}
}

enum exit_code daemon_run(const struct daemon_options *options)
{
	struct daemon d = {.exit_code = EXIT_OK, .notify_fd = -1, .resident_mark = RESIDENT_MUCH};
	enum exit_code code;

	prepare_process();
	counters_init(&d.counters);
	d.context = (struct control_context){.counters = &d.counters,
	                                     .tap = &d.tap,
	                                     .phase = &d.phase,
	                                     .reload = control_reload,
	                                     .fleet = fleet_get_state,
	                                     .arg = &d,
	                                     .set_aside = d.set_aside,
	                                     .started_mono_us = clock_mono_us(),
	                                     .started_wall_us = clock_wall_us()};
	d.context.configured_wall_us = d.context.started_wall_us;
	d.notify_fd = notify_open();
	code = prepare_loop(&d);
	if (code == EXIT_OK)
		code = start_configuration(&d, options);
	if (code == EXIT_CONFIG) {
		unconfigured_wait(&d, options->conf_path);
		code = d.phase == PHASE_STOPPED ? d.exit_code : EXIT_CONFIG;
	}
	if (code == EXIT_OK && d.phase == PHASE_RUNNING)
		code = start_storage(&d);
	if (code == EXIT_OK && d.phase == PHASE_RUNNING)
		code = start_service(&d);
	if (code == EXIT_OK && d.phase == PHASE_RUNNING) {
		run(&d);
		code = d.exit_code;
	}
	stop_everything(&d);
	fd_close(d.notify_fd);
	if (code == EXIT_OK)
		log_info("stopped");
	return code;
}
