/* control_rows.c - a request's rows, with what only the running daemon knows of them: which are in flight */
#include "control/control_private.h"

static const char *stream_name(const void *arg, uint32_t sid)
{
	const struct control *c = arg;

	return c->names[sid];
}

uint32_t control_find_stream(const struct control *c, struct slice name)
{
	return query_find_stream(&(struct query_streams){stream_name, c}, name);
}

int control_read_selection(const struct control *c, const struct request *r, uint32_t default_states,
                           struct selection *ret, struct err *err)
{
	return selection_read(r, &(struct query_streams){stream_name, c}, default_states, ret, err);
}

/* Queued and in flight are one state on disk. */
bool control_selects(const struct control *c, const struct selection *sel, const struct event_row *row)
{
	if (row->is_rejected || row->state != STATE_QUEUED || sel->queued == sel->inflight)
		return true;
	return delivery_is_in_flight(c->context->delivery, row->id) == sel->inflight;
}

void control_view(const struct control *c, const struct event_row *row, int64_t mono_us, struct row_view *ret)
{
	row_view_of(row, row->sid < STORE_STREAMS_MAX ? c->names[row->sid] : "", ret);
	if (row->is_rejected || row->state != STATE_QUEUED)
		return;
	if (delivery_is_in_flight(c->context->delivery, row->id))
		ret->state = "inflight";
	else
		ret->next_attempt_ms = delivery_next_attempt_ms(c->context->delivery, row->id, mono_us);
}
