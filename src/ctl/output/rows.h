/* rows.h - prints rows, received as JSON lines from the daemon or a file, as tables or JSON */
#ifndef CTL_OUTPUT_ROWS_H
#define CTL_OUTPUT_ROWS_H

#include "ctl/client.h"
#include "ctl/ctl.h"

/* State of printing a sequence of lines. The heading is printed with the first one. */
struct rows {
	const struct ctl *ctl;
	struct json_in *json;
	struct buf line; /* the line being composed */
	bool whole;      /* standard output is no terminal: no value is cut */
	size_t width;    /* columns of the terminal */
	uint64_t n;
};
/* CTL_DONE, or CTL_REFUSED if out of memory. Call rows_end() afterwards. */
enum ctl_exit rows_begin(struct rows *rows, const struct ctl *ctl) MUST_CHECK;
void rows_end(struct rows *rows);

/* Line functions for client_call(), with a struct rows as arg. */
client_line_fn rows_print_json;  /* the line as it is */
client_line_fn rows_print_table; /* list */
client_line_fn rows_print_whole; /* show */
client_line_fn rows_print_count;
client_line_fn rows_print_event; /* tap */

#endif
