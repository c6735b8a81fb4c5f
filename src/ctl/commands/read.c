/* read.c - the commands list, show, count and export: from the daemon, or from the file of a stopped one */
#include <stdio.h>

#include "ctl/client.h"
#include "ctl/ids.h"
#include "ctl/offline/offline.h"
#include "ctl/output/rows.h"

/* One connection serves all portions of ids. */
struct reading {
	struct ctl *ctl;
	struct client client;
	struct rows rows;
	enum query_command command;
	client_line_fn *print;
};

static enum ctl_exit reading_begin(struct reading *r, struct ctl *ctl, enum query_command command,
                                   client_line_fn *print)
{
	enum ctl_exit code;

	*r = (struct reading){.ctl = ctl, .command = command, .print = ctl->args.json ? rows_print_json : print};
	code = rows_begin(&r->rows, ctl);
	if (code == CTL_DONE)
		code = client_open(&r->client, ctl);
	if (code != CTL_DONE)
		rows_end(&r->rows);
	return code;
}

static void reading_end(struct reading *r)
{
	client_close(&r->client);
	rows_end(&r->rows);
}

static enum ctl_exit read_by_filter(struct reading *r)
{
	struct json_out *j = client_begin(&r->client, r->command);

	client_add_selection(j, &r->ctl->args);
	return client_call(&r->client, j, -1, r->print, &r->rows, NULL);
}

static enum ctl_exit filtered(struct ctl *ctl, enum query_command command, client_line_fn *print)
{
	struct reading r;
	enum ctl_exit code;

	if (ctl->args.offline)
		return offline_read(ctl, command, print);
	code = reading_begin(&r, ctl, command, print);
	if (code != CTL_DONE)
		return code;
	code = read_by_filter(&r);
	if (code == CTL_DONE && r.rows.n == 0 && ctl->tty && !ctl->args.json && print == rows_print_table)
		puts("no such events");
	reading_end(&r);
	return code;
}

static enum ctl_exit read_ids(void *arg, const uint64_t *ids, size_t n)
{
	struct reading *r = arg;
	struct json_out *j = client_begin(&r->client, r->command);
	const struct json_doc *end;
	enum ctl_exit code;

	client_add_ids(j, ids, n);
	code = client_call(&r->client, j, -1, r->print, &r->rows, &end);
	if (code == CTL_DONE && answer_complain_unknown(end) > 0)
		code = CTL_REFUSED;
	return code;
}

static enum ctl_exit by_ids(struct ctl *ctl, enum query_command command, client_line_fn *print)
{
	struct reading r;
	enum ctl_exit code;

	if (ctl->args.offline)
		return offline_read(ctl, command, print);
	code = reading_begin(&r, ctl, command, print);
	if (code != CTL_DONE)
		return code;
	code = ids_each(ctl, read_ids, &r);
	reading_end(&r);
	return code;
}

enum ctl_exit ctl_list(struct ctl *ctl)
{
	return filtered(ctl, QUERY_list, rows_print_table);
}

enum ctl_exit ctl_count(struct ctl *ctl)
{
	return filtered(ctl, QUERY_count, rows_print_count);
}

enum ctl_exit ctl_show(struct ctl *ctl)
{
	if (ctl->args.n_words == 0) {
		ctl_complain("show: of which events? Give ids, or - to read them from standard input");
		return CTL_USAGE;
	}
	return by_ids(ctl, QUERY_show, rows_print_whole);
}

/* Always prints JSON, because `send` reads it. */
enum ctl_exit ctl_export(struct ctl *ctl)
{
	if (ctl->args.n_words > 0 && (ctl->args.given & OPTS_FILTER)) {
		ctl_complain("export: ids or a filter, not both");
		return CTL_USAGE;
	}
	return ctl->args.n_words > 0 ? by_ids(ctl, QUERY_export, rows_print_json)
	                             : filtered(ctl, QUERY_export, rows_print_json);
}
