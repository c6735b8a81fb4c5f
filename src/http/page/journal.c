/* journal.c - the last lines and events in bounded memory, for the live page */
#include "http/page/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/payload.h"
#include "ga4/limits.h"
#include "ga4/realtime.h"

enum { WARNINGS_MAX = 16 << 10 };

int journal_init(struct journal *j, bool contents, int64_t wall_us)
{
	*j = (struct journal){.contents = contents, .last = (uint64_t)wall_us};
	TAILQ_INIT(&j->by_age);
	TAILQ_INIT(&j->by_change);
	idmap_init(&j->by_id);
	j->reader = json_in_new(32);
	return j->reader ? 0 : -ENOMEM;
}

static void forget(struct journal *j, struct journal_entry *e)
{
	if (j->on_forget)
		j->on_forget(j->arg, e);
	TAILQ_REMOVE(&j->by_age, e, by_age);
	TAILQ_REMOVE(&j->by_change, e, by_change);
	if (e->id && idmap_get(&j->by_id, e->id) == e)
		idmap_remove(&j->by_id, e->id);
	j->n--;
	j->bytes -= e->size;
	free(e);
}

void journal_free(struct journal *j)
{
	j->on_forget = NULL;
	while (!TAILQ_EMPTY(&j->by_age))
		forget(j, TAILQ_FIRST(&j->by_age));
	idmap_free(&j->by_id);
	json_in_free(j->reader);
}

/* ---- a new entry ---- */

static struct slice copy(char **to, struct slice s)
{
	struct slice kept = {*to, s.n};

	if (s.n > 0)
		memcpy(*to, s.p, s.n);
	*to += s.n;
	return kept;
}

/* Where no contents are kept, a name is: it follows the form of names, and says nothing of a person. */
static struct journal_entry *entry_new(const struct journal *j, const struct journal_entry *from)
{
	struct journal_entry only = *from, *e;
	char *to;
	size_t size;

	if (!j->contents)
		only.client = only.line = only.body = only.warnings = only.field = only.message = SLICE_LIT("");
	if (only.line.n > JOURNAL_LINE_MAX)
		only.line.n = JOURNAL_LINE_MAX;
	size = sizeof(*e) + only.name.n + only.client.n + only.line.n + only.body.n + only.warnings.n + only.field.n +
	       only.message.n;
	e = malloc(size);
	if (!e)
		return NULL;
	*e = only;
	e->size = size;
	to = e->text;
	e->name = copy(&to, only.name);
	e->client = copy(&to, only.client);
	e->line = copy(&to, only.line);
	e->body = copy(&to, only.body);
	e->warnings = copy(&to, only.warnings);
	e->field = copy(&to, only.field);
	e->message = copy(&to, only.message);
	return e;
}

static struct journal_entry *add(struct journal *j, const struct journal_entry *from)
{
	struct journal_entry *e = entry_new(j, from);

	if (!e)
		return NULL;
	if (e->id && e->state != JOURNAL_NONE && idmap_put(&j->by_id, e->id, e) < 0) {
		free(e);
		return NULL;
	}
	e->made = e->changed = ++j->last;
	TAILQ_INSERT_TAIL(&j->by_age, e, by_age);
	TAILQ_INSERT_TAIL(&j->by_change, e, by_change);
	j->n++;
	j->bytes += e->size;
	while (j->n > JOURNAL_ENTRIES || (j->bytes > JOURNAL_BYTES && j->n > 1))
		forget(j, TAILQ_FIRST(&j->by_age));
	return e;
}

static void add_step(struct journal_entry *e, int64_t wall_us)
{
	if (e->n_steps == JOURNAL_STEPS) {
		memmove(&e->steps[1], &e->steps[2], (JOURNAL_STEPS - 2) * sizeof(e->steps[0]));
		e->n_steps--;
	}
	e->steps[e->n_steps++] = (struct journal_step){.state = e->state, .status = e->last_status, .at_us = wall_us};
}

/* `,"warnings":[…],"warnings_omitted":3` without what is around the array. */
static struct slice warnings_array(struct journal *j, struct slice json, struct buf *room)
{
	const struct json_node *list;
	const struct json_doc *d;

	if (json.n == 0 || buf_printf(room, "{%.*s}", (int)(json.n - 1), json.p + 1) < 0 ||
	    json_in_read(j->reader, buf_slice(room), &d, NULL) < 0)
		return SLICE_LIT("");
	list = json_member(d, &d->nodes[0], "warnings");
	return list ? json_raw(d, list) : SLICE_LIT("");
}

static const char *not_realtime(struct journal *j, const struct event *event, int64_t wall_us)
{
	const struct json_doc *d;

	if (event->body.n == 0)
		return "it carries no event";
	if (json_in_read(j->reader, event->body, &d, NULL) < 0)
		return "it cannot be read";
	return realtime_why_not(d, wall_us - event->time_us);
}

/* The request as it goes to GA4 when this event is alone in it. */
static void add_event(struct journal *j, const struct submission *sub, uint32_t index, struct journal_entry *from,
                      int64_t wall_us)
{
	_cleanup_(buf_free) struct buf body = BUF_INIT(LIMIT_REQUEST_BYTES);
	const struct event *event = &sub->events[index];
	struct journal_entry *e;

	if (j->contents && payload_write(&body, &(struct payload_event){sub, index}, 1) < 0)
		buf_clear(&body);
	from->sid = sub->sid;
	from->index = index;
	from->n_events = sub->n_events;
	from->received_us = sub->accepted_us;
	from->event_us = event->time_us;
	from->client = sub->client;
	from->name = event->name;
	from->body = buf_slice(&body);
	from->not_realtime = not_realtime(j, event, wall_us);
	e = add(j, from);
	if (e && e->state != JOURNAL_NONE)
		add_step(e, wall_us);
}

static void add_accepted(struct journal *j, const struct tap_line *l, int64_t wall_us)
{
	_cleanup_(buf_free) struct buf room = BUF_INIT(WARNINGS_MAX);
	struct slice warnings = warnings_array(j, l->warnings_json, &room);
	uint32_t n = l->is_duplicate ? 1 : l->sub->n_events;

	/* Of more events than are kept, the last ones. */
	for (uint32_t i = n > JOURNAL_ENTRIES ? n - JOURNAL_ENTRIES : 0; i < n; i++) {
		struct journal_entry from = {
		        .id = l->first_id + i,
		        .line_id = l->first_id,
		        .verdict = l->is_duplicate          ? VERDICT_DUPLICATE
		                   : l->warnings_json.n > 0 ? VERDICT_WARNED
		                                            : VERDICT_ACCEPTED,
		        .state = l->is_duplicate ? JOURNAL_NONE : JOURNAL_QUEUED,
		        .line = i == 0 ? l->line : SLICE_LIT(""),
		        .line_bytes = (uint32_t)l->line.n,
		        .warnings = i == 0 ? warnings : SLICE_LIT(""),
		};
		add_event(j, l->sub, i, &from, wall_us);
	}
}

void journal_line(struct journal *j, const struct tap_line *l, int64_t wall_us)
{
	if (!l->refusal) {
		add_accepted(j, l, wall_us);
		return;
	}
	const struct journal_entry from = {
	        .n_events = 1,
	        .verdict = VERDICT_REFUSED,
	        .state = JOURNAL_NONE,
	        .received_us = wall_us,
	        .code = l->refusal->code,
	        .not_realtime = "the relay refused it: nothing is sent",
	        .line = l->line,
	        .line_bytes = (uint32_t)l->line.n,
	        .field = slice_of(l->refusal->field),
	        .message = slice_of(l->refusal->message),
	};
	j->n_refused++;
	(void)add(j, &from);
}

/* ---- what became of it ---- */

/* One that is new to this process: it waited in the outbox since an earlier one. */
static struct journal_entry *find(struct journal *j, const struct tap_event *e, int64_t wall_us)
{
	struct journal_entry *found = idmap_get(&j->by_id, e->id);

	if (!found) {
		struct journal_entry from = {.id = e->id, .line_id = e->id, .state = JOURNAL_QUEUED};

		add_event(j, e->sub, e->index, &from, wall_us);
		found = idmap_get(&j->by_id, e->id);
	}
	return found;
}

static void note_change(struct journal *j, struct journal_entry *entry, int64_t wall_us)
{
	add_step(entry, wall_us);
	entry->changed = ++j->last;
	TAILQ_REMOVE(&j->by_change, entry, by_change);
	TAILQ_INSERT_TAIL(&j->by_change, entry, by_change);
}

void journal_event(struct journal *j, const struct tap_event *e, int64_t wall_us)
{
	static const enum journal_state states[] = {
	        [TAP_ACCEPTED] = JOURNAL_QUEUED,     [TAP_SENT] = JOURNAL_SENT, [TAP_DELIVERED] = JOURNAL_DELIVERED,
	        [TAP_FORWARDED] = JOURNAL_FORWARDED, [TAP_DEAD] = JOURNAL_DEAD, [TAP_FAILED] = JOURNAL_RETRYING};
	struct journal_entry *entry;

	if (e->what == TAP_ACCEPTED) /* journal_line() has seen it */
		return;
	entry = find(j, e, wall_us);
	if (!entry)
		return;
	entry->state = states[e->what];
	entry->reason = e->what == TAP_DEAD ? e->reason : DEAD_NONE;
	entry->attempts = e->attempts;
	entry->maybe_sent = e->maybe_sent;
	entry->last_status = e->last_status;
	if (e->request_events > 0)
		entry->request_events = e->request_events;
	snprintf(entry->last_error, sizeof(entry->last_error), "%s", e->last_error);
	note_change(j, entry, wall_us);
}

void journal_act(struct journal *j, enum tap_act what, const uint64_t *ids, size_t n, int64_t wall_us)
{
	static const enum journal_state states[] = {
	        [TAP_QUEUED] = JOURNAL_QUEUED, [TAP_HELD] = JOURNAL_HELD, [TAP_DROPPED] = JOURNAL_DROPPED};

	for (size_t i = 0; i < n; i++) {
		struct journal_entry *entry = idmap_get(&j->by_id, ids[i]);

		if (!entry)
			continue;
		entry->state = states[what];
		entry->reason = DEAD_NONE;
		entry->last_status = 0;
		note_change(j, entry, wall_us);
	}
}

const struct journal_entry *journal_after(const struct journal *j, uint64_t seen)
{
	const struct journal_entry *e, *first = NULL;

	TAILQ_FOREACH_REVERSE(e, &j->by_change, journal_list, by_change)
	{
		if (e->changed <= seen)
			break;
		first = e;
	}
	return first;
}
