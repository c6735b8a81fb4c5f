/* validate.c - the command validate: lines against the daemon's rules or a configuration file's, optionally Google's
 * too */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "ctl/client.h"
#include "ctl/input.h"
#include "ctl/output/terminal_text.h"
#include "event/event_in.h"
#include "event/reply.h"

enum { TEXT_MAX = 4 << 20 };

struct validating {
	const struct ctl *ctl;
	struct input in;
	struct client client; /* connection to the daemon, or … */
	struct conf *conf;    /* … the configuration file to validate by */
	struct stream_rules *rules;
	struct line_context context;
	struct event_in *judge;
	struct json_in *json;
	struct buf text;
	uint64_t good, refused;
};

/* ---- validation by a configuration file ---- */

static void *room_for(void *arg UNUSED, size_t size)
{
	return malloc(size);
}

static int judge_here(struct validating *v, struct slice line, struct buf *out)
{
	struct line_result result;
	int r = event_in_read(v->judge, line, &v->context, clock_wall_us(), room_for, NULL, &result);

	if (r < 0)
		return r;
	if (!result.sub)
		return reply_write_refusal(out, &result.refusal);
	r = reply_write_ok(out, 0, result.sub->n_events, false, result.warnings_json);
	free(result.sub);
	return r;
}

static enum ctl_exit open_config(struct validating *v)
{
	struct err err;

	if (conf_load_check(&v->conf, v->ctl->args.config, &err) < 0) {
		ctl_complain("%s", err.text);
		return CTL_REFUSED;
	}
	v->rules = calloc(v->conf->n_streams, sizeof(*v->rules));
	v->judge = event_in_new();
	v->json = json_in_new(64);
	if (!v->rules || !v->judge || !v->json) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	for (size_t i = 0; i < v->conf->n_streams; i++) {
		const struct conf_stream *s = &v->conf->streams[i];

		v->rules[i] = (struct stream_rules){
		        .name = slice_of(s->name), .sid = (uint32_t)i + 1, .type = s->type, .mode = s->validation};
	}
	v->context = (struct line_context){.streams = v->rules,
	                                   .n_streams = v->conf->n_streams,
	                                   .default_stream = v->conf->default_stream,
	                                   .limits_360 = v->conf->limits_360,
	                                   .max_age_us = v->conf->delivery.max_age_us,
	                                   .forced_stream = -1};
	return CTL_DONE;
}

/* ---- printing ---- */

static void print_safe(struct slice s)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(TEXT_MAX);

	if (text_safe(&safe, s) == 0 && safe.len > 0)
		fwrite(safe.data, 1, safe.len, stdout);
}

static void print_finding(const char *who, enum text_color color, const struct ctl *ctl, struct slice code,
                          struct slice field, struct slice message)
{
	printf("  %-8s%s", who, text_color_on(ctl->color, color));
	print_safe(code);
	printf("%s%s", text_color_off(ctl->color), field.n ? " " : "");
	print_safe(field);
	if (message.n)
		fputs(": ", stdout);
	print_safe(message);
	putchar('\n');
}

static bool print_local(const struct ctl *ctl, const struct json_doc *d, const struct json_node *local)
{
	const struct json_node *warnings = json_member(d, local, "warnings");

	if (!answer_flag(d, local, "ok")) {
		print_finding("local", COLOR_RED, ctl, answer_text(d, local, "code"), answer_text(d, local, "field"),
		              answer_text(d, local, "message"));
		return false;
	}
	printf("  %-8s%sok%s\n", "local", text_color_on(ctl->color, COLOR_GREEN), text_color_off(ctl->color));
	if (!warnings || warnings->type != JSON_ARRAY)
		return true;
	for (const struct json_node *w = json_first(d, warnings); w; w = json_next(d, warnings, w))
		print_finding("warning", COLOR_YELLOW, ctl, answer_text(d, w, "code"), answer_text(d, w, "field"),
		              answer_text(d, w, "message"));
	return true;
}

/* Google's answer is a JSON text of its own. */
static bool print_messages(const struct ctl *ctl, struct slice answer)
{
	struct json_in *json = json_in_new(32);
	const struct json_node *list = NULL;
	const struct json_doc *d;
	bool good = true;
	struct err err;

	if (json && json_in_read(json, answer, &d, &err) == 0)
		list = json_member(d, d->nodes, "validationMessages");
	if (!list || list->type != JSON_ARRAY) {
		puts("  remote  answered something that is no verdict");
		good = false;
	} else if (list->count == 0) {
		printf("  %-8s%sok%s\n", "remote", text_color_on(ctl->color, COLOR_GREEN),
		       text_color_off(ctl->color));
	} else {
		good = false;
		for (const struct json_node *m = json_first(d, list); m; m = json_next(d, list, m))
			print_finding("remote", COLOR_RED, ctl, answer_text(d, m, "validationCode"),
			              answer_text(d, m, "fieldPath"), answer_text(d, m, "description"));
	}
	json_in_free(json);
	return good;
}

static bool print_remote(const struct ctl *ctl, const struct json_doc *d, const struct json_node *remote)
{
	int64_t status = answer_i64(d, remote, "status", 0);

	if (status >= 200 && status < 300)
		return print_messages(ctl, answer_text(d, remote, "answer"));
	fputs("  remote  no verdict: ", stdout);
	if (status)
		printf("the endpoint answered %lld\n", (long long)status);
	else
		print_safe(answer_text(d, remote, "error"));
	if (!status)
		putchar('\n');
	return false;
}

/* Whether the validation endpoint had no objection. */
static bool remote_is_good(const struct json_doc *d, const struct json_node *remote)
{
	struct slice answer = answer_text(d, remote, "answer");
	struct json_in *json = json_in_new(32);
	const struct json_doc *verdict;
	bool good = false;
	struct err err;

	if (json && json_in_read(json, answer, &verdict, &err) == 0) {
		const struct json_node *list = json_member(verdict, verdict->nodes, "validationMessages");

		good = list && list->type == JSON_ARRAY && list->count == 0;
	}
	json_in_free(json);
	return good;
}

static void print_json(struct validating *v, const struct json_doc *d, const struct json_node *local,
                       const struct json_node *remote)
{
	struct json_out *j;

	buf_clear(&v->text);
	j = json_out_begin(&v->text);
	if (!j)
		return;
	json_out_object(j);
	json_out_kv_i64(j, "line", (int64_t)v->in.number);
	json_out_key(j, "local");
	json_out_raw(j, json_raw(d, local));
	json_out_key(j, "remote");
	if (remote && remote->type == JSON_OBJECT)
		json_out_raw(j, json_raw(d, remote));
	else
		json_out_null(j);
	if (json_out_end(j) == 0)
		printf("%.*s\n", (int)v->text.len, v->text.data);
}

static void print_verdicts(struct validating *v, const struct json_doc *d, const struct json_node *local)
{
	const struct json_node *remote = d->nodes == local ? NULL : json_member(d, d->nodes, "remote");
	bool asked = remote && remote->type == JSON_OBJECT, good;

	if (v->ctl->args.json) {
		good = answer_flag(d, local, "ok") && (!asked || remote_is_good(d, remote));
		print_json(v, d, local, remote);
	} else {
		printf("line %llu\n", (unsigned long long)v->in.number);
		good = print_local(v->ctl, d, local);
		if (asked)
			good = print_remote(v->ctl, d, remote) && good;
		else if (v->ctl->args.remote)
			puts("  remote  not asked: the line cannot be sent, or holds user_data that was not checked");
	}
	v->good += good;
	v->refused += !good;
}

/* ---- one line ---- */

static enum ctl_exit by_config(struct validating *v, struct slice line)
{
	_cleanup_(buf_free) struct buf reply = BUF_INIT(TEXT_MAX);
	const struct json_doc *d;
	struct err err;

	if (judge_here(v, line, &reply) < 0 || json_in_read(v->json, buf_slice(&reply), &d, &err) < 0) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	print_verdicts(v, d, d->nodes);
	return CTL_DONE;
}

static enum ctl_exit by_daemon(struct validating *v, struct slice line)
{
	struct json_out *j = client_begin(&v->client, QUERY_validate);
	const struct json_node *local;
	const struct json_doc *end;
	enum ctl_exit code;

	if (j) {
		json_out_key(j, "line");
		json_out_slice(j, line);
		json_out_kv_bool(j, "remote", v->ctl->args.remote);
		json_out_kv_bool(j, "relaxed", v->ctl->args.relaxed);
	}
	code = client_call(&v->client, j, -1, NULL, NULL, &end);
	if (code != CTL_DONE)
		return code;
	local = json_member(end, end->nodes, "local");
	if (local)
		print_verdicts(v, end, local);
	return CTL_DONE;
}

static enum ctl_exit each_line(struct validating *v)
{
	enum ctl_exit code = CTL_DONE;
	enum input_got got = INPUT_MORE;
	struct slice line;

	while (code == CTL_DONE && got != INPUT_END) {
		got = input_next(&v->in, &line);
		if (got == INPUT_MORE && input_fill(&v->in) < 0) {
			ctl_complain("the input cannot be read: %s", strerror(errno));
			return CTL_REFUSED;
		}
		if (got == INPUT_LONG) {
			printf("line %llu\n  local   LINE_TOO_LONG\n", (unsigned long long)v->in.number);
			v->refused++;
		}
		if (got == INPUT_LINE)
			code = v->conf ? by_config(v, line) : by_daemon(v, line);
	}
	return code;
}

static enum ctl_exit run(struct validating *v)
{
	const struct ctl_args *args = &v->ctl->args;
	enum ctl_exit code = input_open(&v->in, args->n_words ? args->words[0] : NULL);

	if (code == CTL_DONE)
		code = args->config ? open_config(v) : client_open(&v->client, v->ctl);
	if (code == CTL_NO_DAEMON)
		ctl_complain("without a daemon: validate --config FILE judges by a configuration");
	if (code == CTL_DONE)
		code = each_line(v);
	if (code == CTL_DONE && !args->json)
		printf("%llu good, %llu not\n", (unsigned long long)v->good, (unsigned long long)v->refused);
	return code == CTL_DONE && v->refused ? CTL_REFUSED : code;
}

enum ctl_exit ctl_validate(struct ctl *ctl)
{
	struct validating v = {.ctl = ctl, .client.fd = -1, .text = BUF_INIT(TEXT_MAX)};
	enum ctl_exit code;

	if (ctl->args.remote && ctl->args.config) {
		ctl_complain("validate: --remote asks through the daemon; leave out --config");
		return CTL_USAGE;
	}
	code = run(&v);
	client_close(&v.client);
	input_close(&v.in);
	v.judge = event_in_free(v.judge);
	v.conf = conf_free(v.conf);
	v.json = json_in_free(v.json);
	free(v.rules);
	buf_free(&v.text);
	return code;
}
