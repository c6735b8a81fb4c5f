/* row.c - an event row as a scan finds it */
#include "store/row.h"

#include "store/store_private.h"

bool body_name(struct slice body, struct slice *ret)
{
	static const struct slice start = {"{\"name\":\"", 9};
	size_t i;

	*ret = (struct slice){NULL, 0};
	if (body.n == 0)
		return true;
	if (!slice_starts(body, start) || body.p[body.n - 1] != '}')
		return false;
	for (i = start.n; i < body.n && body.p[i] != '"'; i++)
		i += body.p[i] == '\\';
	if (i >= body.n)
		return false;
	*ret = (struct slice){body.p + start.n, i - start.n};
	return true;
}

void scan_row_head(struct store *st, enum sql q, struct scan_row *ret)
{
	int64_t sid = db_col(&st->db, q, 1), state = db_col(&st->db, q, 2);

	ret->id = (uint64_t)db_col(&st->db, q, 0);
	ret->sid = sid > 0 && sid < STORE_STREAMS_MAX ? (uint32_t)sid : 0;
	ret->state = state >= 0 && state < STATE_COUNT ? (enum event_state)state : STATE_COUNT;
	ret->envelope = (uint64_t)db_col(&st->db, q, 3);
}

void scan_row_body(struct store *st, enum sql q, struct scan_row *row)
{
	row->accepted_us = db_col(&st->db, q, 4);
	row->time_us = db_col(&st->db, q, 5);
	row->props_us = db_col(&st->db, q, 6);
	row->body = db_col_text(&st->db, q, 7);
	row->sound = body_name(row->body, &row->name) && row->sid != 0 && row->state != STATE_COUNT;
}
