/* row.h - an event row: reading it in a scan, matching a filter, preparing it for display */
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
	uint64_t id;
	uint64_t envelope;      /* its number, if inline is empty */
	struct slice inline_;   /* the envelope itself (inline_envelope.h); valid until the statement's next row */
	uint32_t sid;           /* 0: not a valid stream */
	enum event_state state; /* STATE_COUNT: not a valid state */
	/* Read together with the body: */
	int64_t accepted_us, time_us, props_us;
	struct slice body, name; /* valid until the statement's next row */
	bool sound;              /* the row is as this program writes it; otherwise it is corrupt */
};

/* These read rows of SQL_SCAN_UP and SQL_SCAN_DOWN. For rows that are skipped the head is
 * enough; the body may be on other pages. */
void scan_row_head(struct store *st, enum sql q, struct scan_row *ret);
void scan_row_body(struct store *st, enum sql q, struct scan_row *row);
/* Returns the row's envelope and its client. Returns 0, -ENOENT if it is missing, or another negative
 * errno. */
int row_envelope(struct store *st, const struct scan_row *row, struct slice *ret_envelope,
                 struct slice *ret_client) MUST_CHECK;

/* Reads the head, then as much more as the filter needs. Returns 1 if the row matches (body
 * read), 0 if not, negative on trouble. */
int row_matches(struct store *st, enum sql q, const struct event_filter *filter, struct scan_row *ret) MUST_CHECK;

/* Prepares a row for display. Slices in *ret are offsets into arena until rows_rebase(). */
int row_show(struct store *st, const struct scan_row *row, bool want_body, struct buf *arena,
             struct event_row *ret) MUST_CHECK;
/* Prepares a row of SQL_REJECTED_UP or SQL_REJECTED_DOWN. */
int row_show_rejected(struct store *st, enum sql q, bool want_body, struct buf *arena,
                      struct event_row *ret) MUST_CHECK;
void rows_rebase(struct event_row *rows, size_t n, const struct buf *arena);

#endif
