/* rows.h - rows as JSON lines, from the daemon or from a file, to a table or to JSON */
#ifndef CTL_OUTPUT_ROWS_H
#define CTL_OUTPUT_ROWS_H

#include "ctl/client.h"
#include "ctl/ctl.h"

/* Prints lines one after the other; the first decides about a heading. */
struct rows {
	const struct ctl *ctl;
	struct json_in *json;
	struct buf line; /* being printed */
	uint64_t n;
};
/* CTL_DONE or CTL_REFUSED (no memory). */
enum ctl_exit rows_begin(struct rows *rows, const struct ctl *ctl) MUST_CHECK;
void rows_end(struct rows *rows);

/* Each takes a struct rows as arg. */
client_line_fn rows_print_json;  /* the line as it is */
client_line_fn rows_print_table; /* list */
client_line_fn rows_print_whole; /* show */
client_line_fn rows_print_count;
client_line_fn rows_print_event; /* tap */

#endif
