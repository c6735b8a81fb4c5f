/* selection.c - the rows that a request selects */
#include "query/selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

uint32_t query_find_stream(const struct query_streams *streams, struct slice name)
{
	for (uint32_t sid = 1; sid < STORE_STREAMS_MAX && name.n; sid++) {
		const char *has = streams->name(streams->arg, sid);

		if (has && slice_eq(slice_of(has), name))
			return sid;
	}
	return 0;
}

static const char *const state_words[] = {"queued", "inflight", "held", "dead", "delivered", "rejected"};

static int take_state(struct slice word, struct selection *sel, struct err *err)
{
	if (slice_eq(word, SLICE_LIT("inflight"))) {
		sel->inflight = true;
		sel->filter.states |= 1u << STATE_QUEUED;
		return 0;
	}
	if (slice_eq(word, SLICE_LIT("rejected"))) {
		sel->filter.rejected = true;
		return 0;
	}
	for (enum event_state s = STATE_QUEUED; s < STATE_COUNT; s++) {
		if (!slice_eq(word, slice_of(event_state_name(s))))
			continue;
		sel->queued = sel->queued || s == STATE_QUEUED;
		sel->filter.states |= 1u << s;
		return 0;
	}
	return err_set(err, -EINVAL, "no state is called \"%.*s\"; states: %s %s %s %s %s %s", SLICE_ARG(word),
	               state_words[0], state_words[1], state_words[2], state_words[3], state_words[4],
	               state_words[5]);
}

static int read_states(const struct request *r, uint32_t defaults, struct selection *sel, struct err *err)
{
	const struct json_node *list = json_member(r->doc, r->doc->nodes, "states");

	if (!list || list->type != JSON_ARRAY || list->count == 0) {
		sel->filter.states = defaults;
		sel->queued = sel->inflight = defaults & (1u << STATE_QUEUED);
		return 0;
	}
	sel->by_filter = true;
	for (const struct json_node *m = json_first(r->doc, list); m; m = json_next(r->doc, list, m)) {
		int s = take_state(json_value(r->doc, m), sel, err);

		if (s < 0)
			return s;
	}
	if (sel->filter.rejected && sel->filter.states)
		return err_set(err, -EINVAL, "state \"rejected\" (lines that never became events) stands alone");
	return 0;
}

static int read_reason(const struct request *r, struct selection *sel, struct err *err)
{
	struct slice word = request_text(r, "reason");

	sel->filter.reason = -1;
	if (!word.n)
		return 0;
	sel->by_filter = true;
	for (int reason = DEAD_NONE + 1; reason < DEAD_COUNT; reason++) {
		if (slice_eq(word, slice_of(dead_reason_name((enum dead_reason)reason)))) {
			sel->filter.reason = reason;
			return 0;
		}
	}
	return err_set(err, -EINVAL,
	               "no reason is called \"%.*s\"; reasons: refused too-large expired ambiguous corrupt",
	               SLICE_ARG(word));
}

static int read_stream(const struct request *r, const struct query_streams *streams, struct selection *sel,
                       struct err *err)
{
	struct slice name = request_text(r, "stream");

	if (!name.n)
		return 0;
	sel->by_filter = true;
	sel->filter.sid = query_find_stream(streams, name);
	if (sel->filter.sid == 0)
		return err_set(
		        err, -ENOENT,
		        "no stream is called \"%.*s\"; `ga4relay-ctl count --by stream` names those that have events",
		        SLICE_ARG(name));
	return 0;
}

static int read_name(const struct request *r, const char *member, char **copy, const char **filter,
                     struct selection *sel, struct err *err)
{
	struct slice text = request_text(r, member);

	if (!text.n)
		return 0;
	*copy = strndup(text.p, text.n);
	if (!*copy)
		return err_set(err, -ENOMEM, "out of memory");
	*filter = *copy;
	sel->by_filter = true;
	return 0;
}

static int read_older(const struct request *r, struct selection *sel, struct err *err)
{
	uint64_t older_us = 0;
	int s = request_u64(r, "older_us", &older_us, err);

	if (s == 0 && older_us > 0 && older_us < INT64_MAX) {
		sel->filter.accepted_before_us = clock_wall_us() - (int64_t)older_us;
		sel->by_filter = true;
	}
	return s;
}

void selection_clear(struct selection *sel)
{
	free(sel->client);
	free(sel->name);
	*sel = (struct selection){.filter.reason = -1};
}

int selection_read(const struct request *r, const struct query_streams *streams, uint32_t default_states,
                   struct selection *ret, struct err *err)
{
	struct selection sel = {.filter.reason = -1};
	int s = read_states(r, default_states, &sel, err);

	if (s == 0)
		s = read_reason(r, &sel, err);
	if (s == 0)
		s = read_stream(r, streams, &sel, err);
	if (s == 0)
		s = read_name(r, "client", &sel.client, &sel.filter.client, &sel, err);
	if (s == 0)
		s = read_name(r, "name", &sel.name, &sel.filter.name, &sel, err);
	if (s == 0)
		s = read_older(r, &sel, err);
	if (s < 0)
		selection_clear(&sel);
	else
		*ret = sel;
	return s;
}

int selection_read_by(const struct request *r, enum count_by *ret, struct err *err)
{
	static const char *const words[BY_COUNT] = {"", "stream", "name", "state", "reason", "age"};
	struct slice word = request_text(r, "by");

	for (int by = 0; by < BY_COUNT; by++) {
		if (slice_eq(word, slice_of(words[by]))) {
			*ret = (enum count_by)by;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "cannot count by \"%.*s\"; by: stream name state reason age", SLICE_ARG(word));
}
