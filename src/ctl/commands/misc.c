/* misc.c - the commands metrics, version, check-config, tap and check */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "conf/conf.h"
#include "ctl/client.h"
#include "ctl/offline/offline.h"
#include "ctl/output/rows.h"
#include "ctl/output/terminal_text.h"

static void print_json_text(const char *key, struct slice text)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(CLIENT_LINE_MAX);
	struct json_out *j = json_out_begin(&out);

	if (!j)
		return;
	json_out_object(j);
	json_out_key(j, key);
	json_out_slice(j, text);
	if (json_out_end(j) == 0 && buf_append_char(&out, '\n') == 0)
		fwrite(out.data, 1, out.len, stdout);
}

enum ctl_exit ctl_metrics(struct ctl *ctl)
{
	struct client client;
	enum ctl_exit code = client_open(&client, ctl);
	const struct json_doc *end;

	if (code != CTL_DONE)
		return code;
	code = client_call(&client, client_begin(&client, QUERY_metrics), -1, NULL, NULL, &end);
	if (code == CTL_DONE) {
		struct slice text = answer_text(end, end->nodes, "text");

		if (ctl->args.json)
			print_json_text("text", text);
		else
			fwrite(text.p, 1, text.n, stdout);
	}
	client_close(&client);
	return code;
}

/* Without a daemon it prints ga4relay-ctl's own version, and exits with 3 as every command does. */
enum ctl_exit ctl_version(struct ctl *ctl)
{
	struct slice theirs = SLICE_LIT("");
	const struct json_doc *end;
	struct client client;
	enum ctl_exit code;

	if (!ctl->args.json) {
		puts("ga4relay-ctl " GA4RELAY_VERSION);
		fflush(stdout);
	}
	code = client_open(&client, ctl);
	if (code == CTL_DONE) {
		code = client_call(&client, client_begin(&client, QUERY_version), -1, NULL, NULL, &end);
		if (code == CTL_DONE)
			theirs = answer_text(end, end->nodes, "version");
		if (code == CTL_DONE && !ctl->args.json)
			printf("ga4relay     %.*s\n", SLICE_ARG(theirs));
		if (code == CTL_DONE && ctl->args.json)
			printf("{\"ctl\":\"" GA4RELAY_VERSION "\",\"daemon\":\"%.*s\"}\n", SLICE_ARG(theirs));
		client_close(&client);
	} else if (ctl->args.json) {
		puts("{\"ctl\":\"" GA4RELAY_VERSION "\",\"daemon\":null}");
	}
	return code;
}

enum ctl_exit ctl_check_config(struct ctl *ctl)
{
	const char *path = ctl->args.n_words ? ctl->args.words[0] : CTL_DEFAULT_CONFIG;
	struct conf *conf;
	struct err err;

	if (conf_load_check(&conf, path, &err) < 0) {
		ctl_complain("%s", err.text);
		return CTL_REFUSED;
	}
	int r = conf_check_as_service(conf, &err);
	if (r < 0)
		ctl_complain("%s", err.text);
	else if (ctl->args.json)
		printf("{\"ok\":true,\"streams\":%zu,\"unseen_secrets\":%zu}\n", conf->n_streams, conf->n_unseen);
	else
		printf("%s: good, %zu stream%s%s\n", path, conf->n_streams, conf->n_streams == 1 ? "" : "s",
		       conf->n_unseen > 0 ? "; not every secret could be looked at, see above" : "");
	conf_free(conf);
	return r < 0 ? CTL_REFUSED : CTL_DONE;
}

static enum ctl_exit print_event(void *arg, struct slice line)
{
	struct rows *rows = arg;
	enum ctl_exit code = rows->ctl->args.json ? rows_print_json(rows, line) : rows_print_event(rows, line);

	/* Flush per line: tap is followed live, also through a pipe. */
	return fflush(stdout) == 0 ? code : CTL_REFUSED;
}

enum ctl_exit ctl_tap(struct ctl *ctl)
{
	struct client client;
	struct rows rows;
	struct json_out *j;
	enum ctl_exit code = client_open(&client, ctl);

	if (code != CTL_DONE)
		return code;
	code = rows_begin(&rows, ctl);
	if (code == CTL_DONE) {
		j = client_begin(&client, QUERY_tap);
		client_add_filter(j, &ctl->args);
		code = client_call(&client, j, -1, print_event, &rows, NULL);
	}
	rows_end(&rows);
	client_close(&client);
	return code;
}

static void print_check(const struct ctl *ctl, const struct json_doc *end)
{
	const struct json_node *events = json_member(end, end->nodes, "events");
	char n[32];

	if (!events || events->type != JSON_OBJECT)
		return;
	if (ctl->args.json) {
		struct slice text = json_raw(end, events);

		printf("{\"ok\":true,\"rows\":%lld,\"corrupt\":%lld,\"events\":%.*s}\n",
		       (long long)answer_i64(end, end->nodes, "rows", 0),
		       (long long)answer_i64(end, end->nodes, "corrupt", 0), SLICE_ARG(text));
		return;
	}
	printf("every row could be read: %s events\n",
	       text_count((uint64_t)answer_i64(end, end->nodes, "rows", 0), n));
	for (const struct json_node *m = json_first(end, events); m; m = json_next(end, events, m)) {
		uint64_t count;

		if (m->type == JSON_NUMBER && parse_u64(json_value(end, m), &count) == 0)
			printf("  %-10.*s %s\n", SLICE_ARG(json_key(end, m)), text_count(count, n));
	}
}

enum ctl_exit ctl_check(struct ctl *ctl)
{
	struct client client;
	const struct json_doc *end;
	enum ctl_exit code;

	if (ctl->args.offline)
		return offline_check(ctl);
	code = client_open(&client, ctl);
	if (code != CTL_DONE)
		return code;
	code = client_call(&client, client_begin(&client, QUERY_check), -1, NULL, NULL, &end);
	if (code == CTL_DONE)
		print_check(ctl, end);
	client_close(&client);
	return code;
}
