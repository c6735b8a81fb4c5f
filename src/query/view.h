/* view.h - a row of the outbox as list, show, export and count see it */
#ifndef QUERY_VIEW_H
#define QUERY_VIEW_H

#include <stdint.h>

#include "event/row_json.h"
#include "query/selection.h"

/* Everything that the outbox knows of a row; whether it is in flight only the daemon knows. The slices are the row's,
 * and stream's. */
void row_view_of(const struct event_row *row, const char *stream, struct row_view *ret);

/* The key that the row counts under, and its rank among keys that have an order. age is room for a key that is made;
 * the result points into it, the view or a constant. */
struct slice row_view_key(const struct row_view *view, enum count_by by, int64_t wall_us, char age[16],
                          uint64_t *ret_rank);

#endif
