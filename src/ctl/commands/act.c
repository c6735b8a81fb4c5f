/* act.c - the commands that change something: retry, hold, release, drop, pause, resume, flush, reload, log-level */
#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/ids.h"
#include "ctl/output/acted.h"

struct acting {
	struct ctl *ctl;
	struct client client;
	enum query_command command;
	struct acted acted;
};

static enum ctl_exit take_answer(struct acting *a, const struct json_doc *end, bool by_ids)
{
	uint64_t unknown = answer_complain_unknown(end);
	uint64_t in_flight =
	        answer_complain_each(end, "in_flight", "in flight, left alone; try again when it is settled");

	a->acted.unknown += unknown;
	a->acted.changed += (uint64_t)answer_i64(end, end->nodes, "changed", 0);
	a->acted.in_flight += by_ids ? in_flight : (uint64_t)answer_i64(end, end->nodes, "refused", 0);
	return unknown + in_flight > 0 ? CTL_REFUSED : CTL_DONE;
}

static enum ctl_exit act_on_ids(void *arg, const uint64_t *ids, size_t n)
{
	struct acting *a = arg;
	struct json_out *j = client_begin(&a->client, a->command);
	const struct json_doc *end;
	enum ctl_exit code;

	client_add_ids(j, ids, n);
	code = client_call(&a->client, j, -1, NULL, NULL, &end);
	return code == CTL_DONE ? take_answer(a, end, true) : code;
}

static enum ctl_exit act_on_filter(struct acting *a, bool all)
{
	struct json_out *j = client_begin(&a->client, a->command);
	const struct json_doc *end;
	enum ctl_exit code;

	client_add_filter(j, &a->ctl->args);
	if (j && all)
		json_out_kv_bool(j, "all", true);
	code = client_call(&a->client, j, -1, NULL, NULL, &end);
	return code == CTL_DONE ? take_answer(a, end, false) : code;
}

static enum ctl_exit act(struct ctl *ctl, enum query_command command, const char *done, bool all)
{
	struct acting a = {.ctl = ctl, .command = command};
	bool filter = all || ctl->args.dead || (ctl->args.given & OPTS_FILTER);
	enum ctl_exit code;

	if (filter == (ctl->args.n_words > 0 && !all)) {
		ctl_complain(filter ? "%s: ids or a filter, not both"
		                    : "%s: of which events? Give ids, - or a filter",
		             query_command_name(command));
		return CTL_USAGE;
	}
	code = client_open(&a.client, ctl);
	if (code != CTL_DONE)
		return code;
	code = filter ? act_on_filter(&a, all) : ids_each(ctl, act_on_ids, &a);
	if (code == CTL_DONE || code == CTL_REFUSED)
		if (code == CTL_DONE || !filter)
			acted_print(ctl, &a.acted, done);
	client_close(&a.client);
	return code;
}

enum ctl_exit ctl_retry(struct ctl *ctl)
{
	return act(ctl, QUERY_retry, "due now", false);
}

enum ctl_exit ctl_hold(struct ctl *ctl)
{
	return act(ctl, QUERY_hold, "held", false);
}

enum ctl_exit ctl_release(struct ctl *ctl)
{
	return act(ctl, QUERY_release, "released", false);
}

enum ctl_exit ctl_drop(struct ctl *ctl)
{
	bool all = ctl->args.n_words == 1 && strcmp(ctl->args.words[0], "ALL") == 0;
	bool filter = all || ctl->args.dead || (ctl->args.given & OPTS_FILTER);

	if (filter && !ctl->args.yes) {
		ctl_complain("drop removes for good. Look first (ga4relay-ctl count with the same filter), then add "
		             "--yes");
		return CTL_USAGE;
	}
	return act(ctl, QUERY_drop, "dropped", all);
}

/* ---- commands that take no events ---- */

/* "note" of an answer is what the command could not do. */
static void say_done(const struct ctl *ctl, const struct json_doc *end, const char *said)
{
	struct slice note = answer_text(end, end->nodes, "note");

	puts(ctl->args.json ? "{\"ok\":true}" : said);
	if (note.n)
		ctl_complain("%.*s", SLICE_ARG(note));
}

static enum ctl_exit simple(struct ctl *ctl, enum query_command command, const char *member, const char *said)
{
	struct client client;
	enum ctl_exit code = client_open(&client, ctl);
	const struct json_doc *end;
	struct json_out *j;

	if (code != CTL_DONE)
		return code;
	j = client_begin(&client, command);
	if (j && ctl->args.n_words > 0)
		json_out_kv_str(j, member, ctl->args.words[0]);
	code = client_call(&client, j, -1, NULL, NULL, &end);
	if (code == CTL_DONE)
		say_done(ctl, end, said);
	client_close(&client);
	return code;
}

enum ctl_exit ctl_pause(struct ctl *ctl)
{
	return simple(ctl, QUERY_pause, "stream", "paused: events are taken and kept, none is sent until resume");
}

enum ctl_exit ctl_resume(struct ctl *ctl)
{
	return simple(ctl, QUERY_resume, "stream", "resumed");
}

enum ctl_exit ctl_flush(struct ctl *ctl)
{
	return simple(ctl, QUERY_flush, "", "flushed: nothing waits for company or for its next try");
}

enum ctl_exit ctl_reload(struct ctl *ctl)
{
	return simple(ctl, QUERY_reload, "", "configuration reloaded");
}

enum ctl_exit ctl_log_level(struct ctl *ctl)
{
	if (ctl->args.n_words == 0) {
		ctl_complain("log-level: which? error, warning, info or debug");
		return CTL_USAGE;
	}
	return simple(ctl, QUERY_log_level, "level", "log level changed, until the next reload");
}
