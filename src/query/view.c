/* view.c - a row of the outbox as list, show, export and count see it */
#include "query/view.h"

#include "base/collections/tally.h"

static void view_rejected(const struct event_row *row, struct row_view *v)
{
	v->state = "rejected";
	v->reason = NULL;
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

void row_view_of(const struct event_row *row, const char *stream, struct row_view *ret)
{
	*ret = (struct row_view){
	        .id = row->id,
	        .state = event_state_name(row->state),
	        .reason = row->state == STATE_DEAD ? dead_reason_name(row->reason) : NULL,
	        .stream = slice_of(stream),
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
}

struct slice row_view_key(const struct row_view *view, enum count_by by, int64_t wall_us, char age[16],
                          uint64_t *ret_rank)
{
	struct slice key = SLICE_LIT("total");

	*ret_rank = 0;
	switch (by) {
	case BY_STREAM:
		key = view->stream;
		break;
	case BY_NAME:
		key = view->name;
		break;
	case BY_STATE:
		key = slice_of(view->state);
		break;
	case BY_REASON:
		key = slice_of(view->code ? view->code : view->reason);
		break;
	case BY_AGE:
		key = slice_of(tally_age_key(wall_us - view->accepted_us, age, ret_rank));
		break;
	case BY_NOTHING:
	case BY_COUNT:
		break;
	}
	return key.n ? key : SLICE_LIT("(none)");
}
