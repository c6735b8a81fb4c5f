/* request.c - a request's members, the rows it selects, and a row as it is answered */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "control/control_private.h"

struct slice request_text(const struct request *r, const char *name)
{
	const struct json_node *m = json_member(r->doc, r->doc->nodes, name);

	return m && m->type == JSON_STRING ? json_value(r->doc, m) : (struct slice){NULL, 0};
}

bool request_flag(const struct request *r, const char *name)
{
	const struct json_node *m = json_member(r->doc, r->doc->nodes, name);

	return m && m->type == JSON_BOOL && m->truth;
}

int request_u64(const struct request *r, const char *name, uint64_t *ret, struct err *err)
{
	const struct json_node *m = json_member(r->doc, r->doc->nodes, name);

	if (!m)
		return 0;
	if (m->type != JSON_NUMBER || parse_u64(json_value(r->doc, m), ret) < 0)
		return err_set(err, -EINVAL, "request: %s is not a whole number", name);
	return 0;
}

int request_ids(const struct request *r, uint64_t **ret, size_t *ret_n, struct err *err)
{
	const struct json_node *list = json_member(r->doc, r->doc->nodes, "ids");
	uint64_t *ids;
	size_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	if (!list || list->type != JSON_ARRAY || list->count == 0)
		return 0;
	if (list->count > CONTROL_IDS_MAX)
		return err_set(err, -EINVAL, "request: more than %d ids", CONTROL_IDS_MAX);
	ids = calloc(list->count, sizeof(*ids));
	if (!ids)
		return err_set(err, -ENOMEM, "out of memory");
	for (const struct json_node *m = json_first(r->doc, list); m; m = json_next(r->doc, list, m)) {
		if (m->type != JSON_NUMBER || parse_u64(json_value(r->doc, m), &ids[n]) < 0) {
			free(ids);
			return err_set(err, -EINVAL, "request: an id is not a whole number");
		}
		n++;
	}
	*ret = ids;
	*ret_n = n;
	return 0;
}

/* ---- which rows ---- */

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

static int read_stream(struct control *c, const struct request *r, struct selection *sel, struct err *err)
{
	struct slice name = request_text(r, "stream");

	if (!name.n)
		return 0;
	sel->by_filter = true;
	sel->filter.sid = control_find_stream(c, name);
	if (sel->filter.sid == 0)
		return err_set(err, -ENOENT, "no stream is called \"%.*s\"; `ga4relay-ctl status` names them",
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

int selection_read(struct control *c, const struct request *r, uint32_t default_states, struct selection *ret,
                   struct err *err)
{
	struct selection sel = {.filter.reason = -1};
	int s = read_states(r, default_states, &sel, err);

	if (s == 0)
		s = read_reason(r, &sel, err);
	if (s == 0)
		s = read_stream(c, r, &sel, err);
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

/* Queued and in flight are one state on disk. */
bool selection_takes(const struct control *c, const struct selection *sel, const struct event_row *row)
{
	if (row->is_rejected || row->state != STATE_QUEUED || sel->queued == sel->inflight)
		return true;
	return delivery_is_in_flight(c->context->delivery, row->id) == sel->inflight;
}

/* ---- a row ---- */

static void view_rejected(const struct event_row *row, struct row_view *v)
{
	v->state = "rejected";
	v->event_us = 0;
	v->last_error = row->message;
	v->code = code_name(row->code);
	v->field = row->field;
	v->message = row->message;
	v->line = row->line.p ? row->line : SLICE_LIT("");
	v->uid = row->uid;
	v->pid = row->pid;
	v->address = row->address;
}

static void view_live(const struct control *c, const struct event_row *row, int64_t mono_us, struct row_view *v)
{
	if (row->state != STATE_QUEUED)
		return;
	if (delivery_is_in_flight(c->context->delivery, row->id))
		v->state = "inflight";
	else
		v->next_attempt_ms = delivery_next_attempt_ms(c->context->delivery, row->id, mono_us);
}

void control_view(const struct control *c, const struct event_row *row, int64_t mono_us, struct row_view *ret)
{
	*ret = (struct row_view){
	        .id = row->id,
	        .state = event_state_name(row->state),
	        .reason = row->state == STATE_DEAD && !row->is_rejected ? dead_reason_name(row->reason) : NULL,
	        .stream = slice_of(row->sid < STORE_STREAMS_MAX ? c->names[row->sid] : ""),
	        .client = row->client,
	        .name = row->name,
	        .accepted_us = row->accepted_us,
	        .event_us = row->time_us,
	        .attempts = row->attempts,
	        .last_status = row->last_status,
	        .last_error = row->last_error,
	        .next_attempt_ms = -1,
	        .maybe_sent = row->maybe_sent,
	        .bytes = row->bytes,
	        .envelope = row->envelope,
	        .body = row->body,
	        .props_us = row->props_us,
	        .tries = row->tries,
	        .answer = row->answer,
	};
	if (row->is_rejected)
		view_rejected(row, ret);
	else
		view_live(c, row, mono_us, ret);
}
