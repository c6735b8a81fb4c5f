/* row.h - an event row as a scan finds it */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/dead.h"
#include "store/db.h"

struct store;

struct scan_row {
	uint64_t id, envelope;
	uint32_t sid;
	enum event_state state;
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

#endif
