/* start.c - creating the relay's parts in order, and freeing them */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "daemon/daemon_private.h"
#include "net/notify.h"

static enum exit_code config_failed(const struct err *err)
{
	log_error("%s", err->text);
	return EXIT_CONFIG;
}

enum exit_code daemon_check_config(const char *conf_path)
{
	struct conf *conf;
	struct err err;

	if (conf_load_check(&conf, conf_path, &err) < 0)
		return config_failed(&err);
	int r = fleet_check_conf(conf, &err);

	if (r == 0)
		r = conf_check_as_service(conf, &err);
	if (r == 0)
		printf("%s: good, %zu stream%s%s\n", conf_path, conf->n_streams, conf->n_streams == 1 ? "" : "s",
		       conf->n_unseen > 0 ? "; not every secret could be looked at, see above" : "");
	conf_free(conf);
	return r == 0 ? EXIT_OK : config_failed(&err);
}

static int sandbox_directory(struct daemon *d, const char *wanted, struct err *err)
{
	if (wanted) {
		char *real;

		if (mkdir(wanted, 0700) < 0 && errno != EEXIST)
			return err_set(err, -errno, "sandbox directory %s: %s", wanted, strerror(errno));
		real = realpath(wanted, NULL);
		if (!real ||
		    snprintf(d->sandbox_dir, sizeof(d->sandbox_dir), "%s", real) >= (int)sizeof(d->sandbox_dir)) {
			free(real);
			return err_set(err, -ENAMETOOLONG, "sandbox directory %s: the path is too long", wanted);
		}
		free(real);
		return 0;
	}
	snprintf(d->sandbox_dir, sizeof(d->sandbox_dir), "/tmp/ga4relay-sandbox.XXXXXX");
	if (!mkdtemp(d->sandbox_dir)) {
		d->sandbox_dir[0] = '\0';
		return err_set(err, -errno, "sandbox: no directory can be made in /tmp: %s", strerror(errno));
	}
	d->sandbox_temporary = true;
	return 0;
}

static const char sandbox_conf[] =
        "streams = ( { name = \"sandbox\"; measurement_id = \"G-SANDBOX01\"; api_secret = \"sandbox\"; } );\n"
        "listen: { socket = \"%1$s/ga4relay.sock\"; };\n"
        "control: { socket = \"%1$s/control.sock\"; };\n"
        "outbox: { path = \"%1$s/outbox.db\"; max_bytes = \"1G\"; min_free_disk = \"1M\"; ballast = \"1M\"; "
        "keep_delivered = \"1h\"; };\n"
        "delivery: { endpoint = \"http://127.0.0.1:%2$u/mp/collect\"; retry_max = \"5s\"; };\n"
        "http: { listen = \"%3$s\"; page = %4$s; };\n";

static int set_collector(void *arg, const char *answer)
{
	const struct daemon *d = arg;

	return collector_set_answer(d->collector, answer);
}

static const char *get_collector(void *arg, char out[COLLECTOR_ANSWER_MAX])
{
	const struct daemon *d = arg;

	return collector_answer(d->collector, out);
}

static int sandbox_configuration(struct daemon *d, const struct daemon_options *options, struct err *err)
{
	const char *http = options->sandbox_http ? options->sandbox_http : "";
	char text[2048];
	int r;

	if (strpbrk(http, "\"\\\n"))
		return err_set(err, -EINVAL, "--http: not an address");
	r = sandbox_directory(d, options->sandbox_dir, err);
	if (r < 0)
		return r;
	r = collector_open(&d->collector, d->loop, &d->tap, STDOUT_FILENO, err);
	if (r < 0)
		return r;
	d->page_switch = (struct page_switch){set_collector, get_collector, d};
	snprintf(text, sizeof(text), sandbox_conf, d->sandbox_dir, collector_port(d->collector), http,
	         http[0] ? "true" : "false");
	return conf_parse(&d->conf, text, "sandbox", err);
}

enum exit_code start_configuration(struct daemon *d, const struct daemon_options *options)
{
	struct err err;
	int r;

	if (options->sandbox)
		r = sandbox_configuration(d, options, &err);
	else
		r = conf_load(&d->conf, options->conf_path, &err);
	if (r == 0)
		r = fleet_check_conf(d->conf, &err);
	if (r < 0)
		return config_failed(&err);
	log_set_level(d->conf->log.level);
	log_set_format(d->conf->log.format);
	return EXIT_OK;
}

/* Looks for outboxes set aside by earlier starts. Their events may not have been recovered yet, so they are reported
 * at each start, in status and in a metric until they are removed. */
static void remember_asides(struct daemon *d, const char *path)
{
	struct store_asides asides;
	struct err err;

	d->set_aside[0] = '\0';
	if (store_find_asides(path, &asides, &err) < 0) {
		log_warning("%s; whether an outbox that was set aside is there cannot be told", err.text);
		return;
	}
	if (asides.n > 0) {
		snprintf(d->set_aside, sizeof(d->set_aside), "%s", asides.newest);
		log_warning(
		        "outbox %s: one that was set aside is still beside it (%u in all), %s; bring back what is "
		        "readable (ga4relay-ctl --offline %s export | ga4relay-ctl send -), then take it away: "
		        "ga4relay-ctl --offline %s remove --yes",
		        path, asides.n, asides.newest, asides.newest, asides.newest);
	}
	if (asides.n_leftovers > 0)
		log_warning("outbox %s: a write-ahead log of a damaged or of another outbox is left over beside it "
		            "(%u in all), %s; take it away when nothing of it is needed: ga4relay-ctl --offline %s "
		            "remove --yes",
		            path, asides.n_leftovers, asides.leftover, asides.leftover);
}

/* A damaged outbox must not keep the relay down: the whole file is set aside, and intake begins with a new one. */
static int open_store(struct daemon *d, struct store **ret, struct err *err)
{
	struct store_config config;
	int r;

	store_config_of(d->conf, &config);
	r = store_open(ret, &config, clock_wall_us(), err);
	if (r == 0)
		remember_asides(d, config.path);
	if (r != -E_DAMAGED)
		return r;
	log_error("%s", err->text);
	r = store_set_aside(&config, clock_wall_us(), d->set_aside, sizeof(d->set_aside), err);
	if (r < 0)
		return r;
	log_error("outbox %s: damaged; it was set aside as %s and a new one begun. Bring back what is readable: "
	          "ga4relay-ctl --offline %s export | ga4relay-ctl send -; then take it away: ga4relay-ctl --offline "
	          "%s remove --yes",
	          config.path, d->set_aside, d->set_aside, d->set_aside);
	return store_open(ret, &config, clock_wall_us(), err);
}

static enum exit_code storage_failed(int r, const struct err *err)
{
	log_error("%s", err->text);
	return r == -EBUSY ? EXIT_BUSY : r == -EPROTO ? EXIT_CONFIG : EXIT_FAILED;
}

static int number_streams(struct daemon *d, struct store *store, struct err *err)
{
	uint32_t *sids = calloc(d->conf->n_streams, sizeof(*sids));
	int r = sids ? 0 : err_set(err, -ENOMEM, "streams: out of memory");

	for (size_t i = 0; r == 0 && i < d->conf->n_streams; i++)
		r = store_stream_id(store, slice_of(d->conf->streams[i].name), &sids[i], err);
	if (r == 0) {
		d->streams = calloc(1, sizeof(*d->streams));
		if (!d->streams || streams_init(d->streams, d->conf, sids) < 0)
			r = err_set(err, -ENOMEM, "streams: out of memory");
	}
	free(sids);
	return r;
}

static void report_last_stop(const struct daemon *d, struct store *store)
{
	struct store_stats stats;

	store_get_stats(store, &stats);
	if (stats.unclean_start)
		log_warning("the last run did not end cleanly; at most %llu events may be sent twice",
		            (unsigned long long)stats.maybe_twice);
	if (stats.is_older)
		log_error("outbox %s: it lacks what was written last (its write-ahead log is lost or damaged, or an "
		          "older copy was put in its place); ids go on at %llu, above all that were given",
		          d->conf->outbox.path, (unsigned long long)stats.next_id);
	if (!d->conf->outbox.sync_full)
		log_warning(
		        "outbox.sync is \"normal\": a power cut may lose the last moments of acknowledged events");
}

/* Only wakes the loop; the tail reaps the completions. */
static void on_completions(void *arg UNUSED, int fd UNUSED, unsigned ready UNUSED) {}

enum exit_code start_storage(struct daemon *d)
{
	struct store *store = NULL;
	struct err err;
	int r;

	r = open_store(d, &store, &err);
	if (r < 0)
		return storage_failed(r, &err);
	r = number_streams(d, store, &err);
	if (r < 0) {
		store_close(store);
		return storage_failed(r, &err);
	}
	report_last_stop(d, store);
	store_get_identity(store, &d->identity);
	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX; sid++)
		d->pause_words[sid] = (uint8_t)store_pause_word(store, sid);
	r = writer_start(&d->writer, store, false, &err);
	if (r < 0)
		return storage_failed(r, &err);
	d->completions = loop_watch_new(d->loop, writer_fd(d->writer), LOOP_READ, on_completions, d);
	if (!d->completions) {
		log_error("event loop: out of memory");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static void on_committed(void *arg, struct submission *sub)
{
	struct daemon *d = arg;

	delivery_accept(d->delivery, sub, &d->now);
}

/* An operator's pause or resume survives a restart and overrides the configuration file. */
static void restore_pauses(struct daemon *d)
{
	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX; sid++)
		if (d->pause_words[sid] != PAUSE_UNSET)
			delivery_pause(d->delivery, sid, d->pause_words[sid] == PAUSE_PAUSED);
}

static int start_intake(struct daemon *d, struct err *err)
{
	const struct intake_context context = {.loop = d->loop,
	                                       .writer = d->writer,
	                                       .counters = &d->counters,
	                                       .tap = &d->tap,
	                                       .phase = &d->phase,
	                                       .on_committed = on_committed,
	                                       .arg = d};
	struct listener_config config;
	int r;

	listener_config_of(d->conf, &config);
	r = notify_take_listen_fd(config.path, &config.inherited_fd, err);
	if (r < 0)
		return r;
	return intake_new(&d->intake, &context, &config, d->streams, d->conf->outbox.keep_rejected, err);
}

static int start_control(struct daemon *d, struct err *err)
{
	int r;

	d->context.loop = d->loop;
	d->context.writer = d->writer;
	d->context.intake = d->intake;
	d->context.delivery = d->delivery;
	d->context.streams = d->streams;
	r = control_open(&d->control, &d->context, d->conf, err);
	if (r < 0 || (d->conf->http.listen[0] == '\0' && d->conf->http.metrics[0] == '\0'))
		return r;
	return door_open(&d->door, &d->context, d->control, d->collector ? &d->page_switch : NULL, d->conf, err);
}

static void say_page(const struct daemon *d)
{
	const char *listen = d->conf->http.listen;

	if (d->conf->http.page)
		log_info("live page: %s%s%s", strncmp(listen, "unix:", 5) == 0 ? "GET / on " : "http://", listen,
		         strncmp(listen, "unix:", 5) == 0 ? "" : "/");
}

static void say_sandbox(const struct daemon *d)
{
	if (d->sandbox_dir[0] == '\0')
		return;
	log_info("sandbox: events that you send to %s arrive at the built-in collector and are printed here",
	         d->conf->listen.socket);
	log_info("sandbox: try  echo "
	         "'{\"client_id\":\"1.2\",\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-1\"}}' | "
	         "nc -NU %s  and  ga4relay-ctl -s %s status",
	         d->conf->listen.socket, d->conf->control.socket);
	log_info("sandbox: make the collector fail with  "
	         "curl -X POST 'http://127.0.0.1:%u/control?fail=503&for=100'  and recover with  fail=204",
	         collector_port(d->collector));
}

enum exit_code start_service(struct daemon *d)
{
	struct now now;
	struct err err;
	int r;

	clock_now(&now);
	struct delivery_context context = {
	        .loop = d->loop, .writer = d->writer, .counters = &d->counters, .tap = &d->tap, .phase = &d->phase};
	r = fleet_start(d, &context.forwarder, &err);
	if (r == 0)
		r = delivery_new(&d->delivery, &context, d->conf, d->streams->rules, &now, &err);
	if (r == 0) {
		restore_pauses(d);
		r = fleet_start_hub(d, &err);
	}
	if (r == 0)
		r = start_intake(d, &err);
	if (r == 0)
		r = start_control(d, &err);
	if (r < 0) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	say_sandbox(d);
	say_page(d);
	return EXIT_OK;
}

static void remove_sandbox(struct daemon *d)
{
	static const char *const files[] = {"outbox.db",         "outbox.db-wal", "outbox.db.lock",
	                                    "outbox.db.ballast", "ga4relay.sock", "control.sock"};
	char path[sizeof(d->sandbox_dir) + 32];

	if (!d->sandbox_temporary)
		return;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", d->sandbox_dir, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(d->sandbox_dir);
}

void stop_everything(struct daemon *d)
{
	/* Stop the writer first: it completes the submitted jobs, and their done() functions need the other parts. */
	control_stop(d->control);
	d->completions = loop_watch_free(d->completions);
	d->writer = writer_stop(d->writer);
	if (d->intake)
		intake_flush(d->intake);
	d->door = door_free(d->door);
	d->control = control_free(d->control);
	d->intake = intake_free(d->intake);
	fleet_stop(d);
	d->delivery = delivery_free(d->delivery);
	d->collector = collector_free(d->collector);
	if (d->streams)
		streams_free(d->streams);
	free(d->streams);
	d->conf = conf_free(d->conf);
	loop_timer_free(d->tick);
	loop_timer_free(d->drain);
	loop_timer_free(d->watchdog);
	d->loop = loop_free(d->loop);
	remove_sandbox(d);
}
