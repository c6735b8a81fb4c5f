/* row.h - an event row as a scan finds it, what a filter says of it, and how it is shown */
#ifndef OUTBOX_JOBS_ROW_H
#define OUTBOX_JOBS_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"
#include "event/event_state.h"
#include "outbox/db/db.h"
#include "outbox/jobs/jobs.h"

struct scan_row {
	uint64_t id, envelope;
	uint32_t sid;           /* 0: none of ours */
	enum event_state state; /* STATE_COUNT: none of ours */
	/* With the body: */
	int64_t accepted_us, time_us, props_us;
	struct slice body, name; /* until the statement's next row */
	bool sound;              /* as this program writes them; otherwise corrupt */
};

/* Of SQL_SCAN_UP and SQL_SCAN_DOWN. The head alone when the row is to be skipped: the body may lie on other pages. */
void scan_row_head(struct store *st, enum sql q, struct scan_row *ret);
void scan_row_body(struct store *st, enum sql q, struct scan_row *row);
/* The value of a body's first member, "name", without its quotes. False: it does not begin like that. An empty body
 * (a payload without events) has an empty name. */
bool body_name(struct slice body, struct slice *ret);

/* Reads head, then as much more as the filter asks for. 1: matches, body read; 0: does not; negative: trouble. */
int row_matches(struct store *st, enum sql q, const struct event_filter *filter, struct scan_row *ret) MUST_CHECK;

/* As it is shown. Slices of *ret hold offsets into arena until rows_rebase(). */
int row_show(struct store *st, const struct scan_row *row, bool want_body, struct buf *arena,
             struct event_row *ret) MUST_CHECK;
/* A row of SQL_REJECTED_UP or SQL_REJECTED_DOWN. */
int row_show_rejected(struct store *st, enum sql q, bool want_body, struct buf *arena,
                      struct event_row *ret) MUST_CHECK;
void rows_rebase(struct event_row *rows, size_t n, const struct buf *arena);

#endif
