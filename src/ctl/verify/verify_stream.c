/* verify_stream.c - which stream the test event goes to, and whether it delivers */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/verify/verify.h"

static bool is_wanted(const struct verify *v, const struct json_doc *d, const struct json_node *stream)
{
	const char *name = v->ctl->args.stream;

	return name ? slice_eq(answer_text(d, stream, "name"), slice_of(name)) : answer_flag(d, stream, "default");
}

static void take_stream(struct verify *v, const struct json_doc *d, const struct json_node *stream)
{
	struct slice web = answer_text(d, stream, "measurement_id"), app = answer_text(d, stream, "firebase_app_id");

	v->is_app = app.n > 0;
	snprintf(v->stream, sizeof(v->stream), "%.*s", SLICE_ARG(answer_text(d, stream, "name")));
	snprintf(v->id_kind, sizeof(v->id_kind), "%s", v->is_app ? "firebase_app_id" : "measurement_id");
	snprintf(v->id, sizeof(v->id), "%.*s", SLICE_ARG(v->is_app ? app : web));
	snprintf(v->endpoint, sizeof(v->endpoint), "%.*s", SLICE_ARG(answer_text(d, stream, "endpoint")));
}

static const struct json_node *streams_of(const struct json_doc *d)
{
	const struct json_node *list = json_member(d, d->nodes, "streams");

	return list && list->type == JSON_ARRAY ? list : NULL;
}

enum ctl_exit verify_find_stream(struct verify *v)
{
	struct verify_stream_state state;
	const struct json_doc *end;
	const struct json_node *list;
	char resume[128];
	enum ctl_exit code = client_call(&v->client, client_begin(&v->client, QUERY_doctor), -1, NULL, NULL, &end);

	if (code != CTL_DONE)
		return code;
	v->timeout_ms = (int)answer_i64(end, end->nodes, "timeout_ms", 0);
	list = streams_of(end);
	for (const struct json_node *s = list ? json_first(end, list) : NULL; s; s = json_next(end, list, s))
		if (is_wanted(v, end, s))
			take_stream(v, end, s);
	if (!v->stream[0])
		return verify_fail(v, "stream", "ga4relay-ctl status names the streams", "none is called \"%s\"",
		                   v->ctl->args.stream ? v->ctl->args.stream : "");
	code = verify_stream_state(v, &state);
	if (code != CTL_DONE || !state.paused)
		return code;
	snprintf(resume, sizeof(resume), "ga4relay-ctl resume %s, then verify again", v->stream);
	return verify_fail(v, "stream", resume, "%s is paused: an event would wait. None was sent", v->stream);
}

/* ---- its state ---- */

struct state_search {
	struct verify *v;
	struct verify_stream_state *state;
};

static enum ctl_exit take_status(void *arg, struct slice line)
{
	struct state_search *search = arg;
	const struct json_node *list;
	const struct json_doc *d;
	struct err err;

	if (json_in_read(search->v->json, line, &d, &err) < 0)
		return CTL_DONE;
	list = streams_of(d);
	for (const struct json_node *s = list ? json_first(d, list) : NULL; s; s = json_next(d, list, s)) {
		struct slice state = answer_text(d, s, "state");

		if (!slice_eq(answer_text(d, s, "name"), slice_of(search->v->stream)))
			continue;
		search->state->paused = slice_eq(state, SLICE_LIT("paused"));
		search->state->up = slice_eq(state, SLICE_LIT("up"));
		snprintf(search->state->last_error, sizeof(search->state->last_error), "%.*s",
		         SLICE_ARG(answer_text(d, s, "last_error")));
	}
	return CTL_DONE;
}

enum ctl_exit verify_stream_state(struct verify *v, struct verify_stream_state *ret)
{
	struct state_search search = {v, ret};

	*ret = (struct verify_stream_state){0};
	return client_call(&v->client, client_begin(&v->client, QUERY_status), -1, take_status, &search, NULL);
}
