/* doctor.c - the command doctor: finds common mistakes in the setup and prints what to do about them */
#include "ctl/doctor/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ctl/output/terminal_text.h"

enum {
	CONSTANT_ID_EVENTS = 100 /* recent events needed before a share is meaningful */
};

void doctor_say(struct doctor *d, enum ctl_finding result, const char *what, const char *advice, const char *fmt, ...)
{
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	d->failed += result == FINDING_FAILED;
	d->warnings += result == FINDING_WARNING;
	finding_print(d->ctl, result, what, advice, detail);
}

/* ---- the daemon ---- */

static void check_daemon(struct doctor *d)
{
	const char *path = d->ctl->args.socket;
	const struct json_doc *end;
	int r = client_open_quietly(&d->client, path);

	if (r < 0) {
		char why[400];
		const char *advice = r == -EACCES
		                             ? client_explain_access(path, why, sizeof(why))
		                             : "start it: systemctl start ga4relay; then: journalctl -u ga4relay";

		d->no_access = r == -EACCES;
		doctor_say(d, FINDING_FAILED, "daemon", advice, "no answer on %s: %s", path, strerror(-r));
		return;
	}
	d->running = client_call(&d->client, client_begin(&d->client, QUERY_paths), -1, NULL, NULL, &end) == CTL_DONE;
	if (!d->running) {
		doctor_say(d, FINDING_FAILED, "daemon", "look into its log: journalctl -u ga4relay",
		           "no answer on %s", path);
		return;
	}
	if (!d->ctl->args.config) {
		struct slice config = answer_text(end, end->nodes, "config");

		snprintf(d->config, sizeof(d->config), "%.*s", SLICE_ARG(config));
	}
	doctor_say(d, FINDING_OK, "daemon", NULL, "answers on %s", path);
}

static void check_intake(struct doctor *d)
{
	const struct json_doc *end;
	struct slice problem, aside;

	if (!d->running ||
	    client_call(&d->client, client_begin(&d->client, QUERY_doctor), -1, NULL, NULL, &end) != CTL_DONE)
		return;
	problem = answer_text(end, end->nodes, "problem");
	aside = answer_text(end, end->nodes, "set_aside");
	if (problem.n)
		doctor_say(d, FINDING_FAILED, "intake",
		           "make room: see disk and outbox below, and ga4relay-ctl status", "%.*s",
		           SLICE_ARG(problem));
	else
		doctor_say(d, FINDING_OK, "intake", NULL, "events are stored durably");
	if (aside.n)
		doctor_say(
		        d, FINDING_FAILED, "outbox",
		        "bring back what is readable: ga4relay-ctl --offline FILE export | ga4relay-ctl send -; then "
		        "ga4relay-ctl --offline FILE remove --yes",
		        "%s and set aside as %.*s",
		        memmem(aside.p, aside.n, ".replaced-", 10) ? "was replaced by a backup" : "was damaged",
		        SLICE_ARG(aside));
	if (answer_i64(end, end->nodes, "failed_commits", 0) > 0)
		doctor_say(d, FINDING_WARNING, "intake", "look into the log and at the disk", "%lld commits failed",
		           (long long)answer_i64(end, end->nodes, "failed_commits", 0));
	if (answer_i64(end, end->nodes, "recent_events", 0) >= CONSTANT_ID_EVENTS &&
	    answer_i64(end, end->nodes, "top_client_events", 0) * 2 > answer_i64(end, end->nodes, "recent_events", 0))
		doctor_say(d, FINDING_WARNING, "client_id",
		           "take it from the browser's _ga cookie and keep it with the order: a constant id joins no "
		           "session",
		           "one client_id carries %lld of the last %lld events",
		           (long long)answer_i64(end, end->nodes, "top_client_events", 0),
		           (long long)answer_i64(end, end->nodes, "recent_events", 0));
}

static enum ctl_exit look_at_streams(void *arg, struct slice line)
{
	struct doctor *d = arg;
	struct json_in *json = json_in_new(32);
	const struct json_node *list = NULL;
	const struct json_doc *doc;
	struct err err;

	if (json && json_in_read(json, line, &doc, &err) == 0)
		list = json_member(doc, doc->nodes, "streams");
	for (const struct json_node *s = list ? json_first(doc, list) : NULL; s; s = json_next(doc, list, s)) {
		struct slice name = answer_text(doc, s, "name"), state = answer_text(doc, s, "state");
		struct slice error = answer_text(doc, s, "last_error");
		int64_t since_us = answer_i64(doc, s, "down_since_micros", 0);
		char since[64], resume[128];

		snprintf(resume, sizeof(resume), "ga4relay-ctl resume %.*s", SLICE_ARG(name));
		if (slice_eq(state, SLICE_LIT("paused")))
			doctor_say(d, FINDING_WARNING, "stream", resume, "%.*s is paused: nothing is delivered",
			           SLICE_ARG(name));
		else if (!slice_eq(state, SLICE_LIT("up")))
			doctor_say(d, FINDING_FAILED, "stream",
			           "its events wait and are sent when the endpoint answers; look at what is said of "
			           "it below",
			           "%.*s is down since %s: %.*s", SLICE_ARG(name),
			           text_when(since_us, clock_wall_us(), since), SLICE_ARG(error));
		else
			doctor_say(d, FINDING_OK, "stream", NULL, "%.*s is up", SLICE_ARG(name));
	}
	json_in_free(json);
	return CTL_DONE;
}

/* ---- the configuration ---- */

static void check_placeholders(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->n_streams; i++) {
		const char *what = conf_placeholder(&d->conf->streams[i]);

		if (what)
			doctor_say(d, FINDING_WARNING, "stream",
			           "put in what GA4 shows under Admin, Data streams: its answer is 204 to any",
			           "%s: %s", d->conf->streams[i].name, what);
	}
}

static void check_config(struct doctor *d)
{
	struct err err;
	int r;

	if (d->config[0] == '\0' && d->running) {
		doctor_say(d, FINDING_OK, "configuration", NULL, "built in (sandbox)");
		return;
	}
	r = conf_load_check(&d->conf, d->config, &err);
	if (r == -EACCES && geteuid() != 0) {
		doctor_say(d, FINDING_NOTE, "configuration",
		           "run doctor as root; the service's user must be able to read it", "not judged: %s",
		           err.text);
		return;
	}
	if (r < 0) {
		doctor_say(d, FINDING_FAILED, "configuration", "correct it, then: ga4relay-ctl check-config", "%s",
		           err.text);
		return;
	}
	if (conf_check_as_service(d->conf, &err) < 0)
		doctor_say(d, FINDING_FAILED, "configuration",
		           "let the service read it: chgrp ga4relay FILE && chmod 0640 FILE", "%s", err.text);
	else
		doctor_say(d, FINDING_OK, "configuration", NULL, "%s: %zu stream%s", d->config, d->conf->n_streams,
		           d->conf->n_streams == 1 ? "" : "s");
	if (d->conf->n_unseen > 0)
		doctor_say(d, FINDING_NOTE, "configuration", NULL,
		           "%zu secret%s not looked at: only the service is given its credentials and environment",
		           d->conf->n_unseen, d->conf->n_unseen == 1 ? "" : "s");
	check_placeholders(d);
}

static void say_what_ga4_cannot(struct doctor *d)
{
	doctor_say(d, FINDING_NOTE, "secret",
	           "ga4relay-ctl verify asks GA4's Realtime report for a test event; or look there by hand, within "
	           "minutes, "
	           "for events with session_id and engagement_time_msec",
	           "GA4 answers 204 to a wrong secret or id too");
}

static void check_streams(struct doctor *d)
{
	struct json_out *j = d->running ? client_begin(&d->client, QUERY_status) : NULL;

	if (j)
		json_out_kv_bool(j, "detail", true);
	if (d->running && client_call(&d->client, j, -1, look_at_streams, d, NULL) != CTL_DONE)
		d->running = false;
}

enum ctl_exit ctl_doctor(struct ctl *ctl)
{
	struct doctor d = {.ctl = ctl, .client.fd = -1};

	log_set_level(LOG_LEVEL_ERROR); /* the checks below report what the loader warns of */
	snprintf(d.config, sizeof(d.config), "%s", ctl->args.config ? ctl->args.config : CTL_DEFAULT_CONFIG);
	check_daemon(&d);
	check_config(&d);
	check_intake(&d);
	doctor_files(&d);
	check_streams(&d);
	doctor_fleet(&d);
	doctor_network(&d);
	say_what_ga4_cannot(&d);
	if (!ctl->args.json)
		printf("\n%u failed, %u warning%s\n", d.failed, d.warnings, d.warnings == 1 ? "" : "s");
	client_close(&d.client);
	d.conf = conf_free(d.conf);
	return !d.running ? CTL_NO_DAEMON : d.failed ? CTL_REFUSED : CTL_DONE;
}
