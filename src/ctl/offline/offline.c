/* offline.c - the commands list, show, count and export on the outbox of a stopped daemon, under the daemon's lock */
#include "ctl/offline/offline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/collections/tally.h"
#include "ctl/ids.h"
#include "ctl/output/rows.h"
#include "ctl/output/terminal_text.h"
#include "ctl/selection_args.h"
#include "event/row_json.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/store.h"
#include "query/view.h"

enum { OFFLINE_SLICE_EXAMINED = 5000, OFFLINE_SLICE_ROWS = 250, COUNT_ROWS = 5000 };

struct offline {
	struct ctl *ctl;
	struct store *store;
	struct selection selection;
	enum count_by by;
	int64_t wall_us;
	struct rows rows;
	struct buf line;
	client_line_fn *print;
	bool with_line, with_tries;
	struct tally tally;
	uint64_t left; /* rows still to print; UINT64_MAX: no limit */
	bool searched; /* all rows were read */
	uint64_t bare; /* events printed without their envelope, which could not be read */
	/* Events printed without the name of their stream, which could not be read */
	uint64_t nameless;
	enum { STREAMS_NOT_LOST, STREAMS_ONE_LOST, STREAMS_SOME_LOST } lost;
};

/* ---- which rows ---- */

static const char *stream_name(const void *arg, uint32_t sid)
{
	return store_stream_name(arg, sid);
}

static int read_selection(struct offline *o, struct err *err)
{
	const struct query_streams streams = {stream_name, o->store};

	return selection_of_args(&o->ctl->args, &streams, QUERY_BACKLOG, &o->selection, &o->by, err);
}

/* ---- rows ---- */

/* A number instead of a lost name is not the name of any configured stream, so `send` refuses it: to which stream
 * such an event belongs is for the operator to say. Where there was only one, the relay's default stream is right. */
static const char *name_of(struct offline *o, const struct event_row *row, char number[16])
{
	const char *name = row->sid ? store_stream_name(o->store, row->sid) : NULL;

	if (name || row->is_rejected)
		return name;
	if (o->lost == STREAMS_NOT_LOST)
		o->lost = store_has_one_lost_stream(o->store) ? STREAMS_ONE_LOST : STREAMS_SOME_LOST;
	if (o->lost == STREAMS_ONE_LOST)
		return NULL;
	snprintf(number, 16, "#%u", (unsigned)row->sid);
	return number;
}

static void view_of(struct offline *o, const struct event_row *row, char number[16], struct row_view *ret)
{
	row_view_of(row, name_of(o, row, number), ret);
	ret->with_line = o->with_line;
	ret->with_tries = o->with_tries;
}

static enum ctl_exit print_row(struct offline *o, const struct event_row *row)
{
	struct row_view view;
	char number[16];

	buf_clear(&o->line);
	view_of(o, row, number, &view);
	if (row_write(&o->line, &view) < 0) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	if (o->with_line && !row->is_rejected && row->envelope.n == 0)
		o->bare++;
	if (o->with_line && !row->is_rejected && !store_stream_name(o->store, row->sid))
		o->nameless++;
	o->line.len--; /* without the LF: lines are passed on without it */
	return o->print(&o->rows, buf_slice(&o->line));
}

static enum ctl_exit count_row(struct offline *o, const struct event_row *row)
{
	struct row_view view;
	char age[16], number[16];
	uint64_t rank;
	struct slice key;

	view_of(o, row, number, &view);
	key = row_view_key(&view, o->by, o->wall_us, age, &rank);
	if (tally_add(&o->tally, key, rank, 1) == 0)
		return CTL_DONE;
	ctl_complain("out of memory");
	return CTL_REFUSED;
}

typedef enum ctl_exit row_fn(struct offline *o, const struct event_row *row);

static enum ctl_exit use_rows(struct offline *o, const struct job_list_rows *job, row_fn *fn)
{
	enum ctl_exit code = CTL_DONE;

	for (size_t i = 0; i < job->n && o->left > 0 && code == CTL_DONE; i++) {
		code = fn(o, &job->rows[i]);
		if (o->left != UINT64_MAX)
			o->left--;
	}
	return code;
}

/* Runs one of the daemon's jobs in this thread, as there is no writer thread. If it meets damage, gathers once what
 * can be read and runs the job again on that. */
static int run_job(struct offline *o, struct job *job)
{
	struct err err;
	int r = job->class->run(o->store, job);

	if (r < 0 && r != -ENOENT && store_salvage(o->store, &err) == 0)
		r = job->class->run(o->store, job);
	return r;
}

static enum ctl_exit each_row(struct offline *o, row_fn *fn)
{
	struct job_list_rows job;
	enum ctl_exit code = CTL_DONE;
	uint64_t from = 0;
	bool end = false;

	while (!end && code == CTL_DONE && o->left > 0) {
		job_list_init(&job, NULL);
		job.filter = o->selection.filter;
		job.reverse = o->ctl->args.reverse;
		job.want_body = o->with_line;
		job.from = from;
		job.max_rows = fn == count_row ? COUNT_ROWS : OFFLINE_SLICE_ROWS;
		job.max_examined = OFFLINE_SLICE_EXAMINED;
		if (run_job(o, &job.job) < 0) {
			ctl_complain("the outbox cannot be read past event %llu", (unsigned long long)job.next);
			code = CTL_REFUSED;
		} else {
			code = use_rows(o, &job, fn);
		}
		from = job.next;
		end = job.end;
		job_list_clear(&job);
	}
	o->searched = end && code == CTL_DONE;
	return code;
}

/* ---- missing rows ---- */

static void complain_of_rows(const struct offline *o, const struct store_rows *rows)
{
	const char *what = o->selection.filter.rejected ? "refused lines" : "events";
	_cleanup_(buf_free) struct buf problem = BUF_INIT(1 << 12);
	char here[32], counted[32];

	if (rows->damaged && text_safe(&problem, slice_of(rows->problem)) < 0)
		buf_clear(&problem);
	text_count(rows->here, here);
	text_count(rows->counted, counted);
	ctl_complain("outbox %s: %s%.*s%s", o->ctl->args.offline, rows->damaged ? "damaged (" : "", (int)problem.len,
	             problem.len ? problem.data : "", rows->damaged ? ")" : "its counters differ from its rows");
	if (!rows->known)
		ctl_complain("%s %s could be read; how many there were is not known", here, what);
	else if (store_rows_whole(rows))
		ctl_complain("all %s %s could be read", here, what);
	else
		ctl_complain("%s of %s %s could be read", here, counted, what);
}

/* Reports what the printed lines lack. */
static void complain_of_lines(const struct offline *o)
{
	char n[32];

	if (o->bare)
		ctl_complain("%s of what was printed lacks what events share (client_id, ...): that is lost, and "
		             "`send` refuses them",
		             text_count(o->bare, n));
	if (o->nameless && o->lost == STREAMS_ONE_LOST)
		ctl_complain("%s of what was printed lacks the stream's name: that is lost, and `send` gives them to "
		             "the default stream",
		             text_count(o->nameless, n));
	else if (o->nameless)
		ctl_complain(
		        "%s of what was printed has a number instead of the stream's name, such as \"#1\": that is "
		        "lost, and `send` refuses them until the stream's name is put in its place",
		        text_count(o->nameless, n));
}

/* Reports damage, and fails if rows are missing. A file without known damage is judged only if the command has read
 * all rows anyway. */
static enum ctl_exit judge_whole(struct offline *o)
{
	struct store_rows rows;
	struct err err;
	bool lacks_wal = store_lacks_wal(o->store);
	int r = 0;

	if (!o->searched && !store_is_salvaged(o->store))
		return lacks_wal ? CTL_REFUSED : CTL_DONE;
	r = store_count_rows(o->store, o->selection.filter.rejected, &rows);
	if (r < 0 && store_salvage(o->store, &err) == 0)
		r = store_count_rows(o->store, o->selection.filter.rejected, &rows);
	if (r < 0) {
		ctl_complain("outbox %s: what is missing of it cannot be found out", o->ctl->args.offline);
		return CTL_REFUSED;
	}
	if (rows.damaged || !store_rows_whole(&rows))
		complain_of_rows(o, &rows);
	complain_of_lines(o);
	return store_rows_whole(&rows) && o->bare == 0 && o->nameless == 0 && !lacks_wal ? CTL_DONE : CTL_REFUSED;
}

static enum ctl_exit show_ids(void *arg, const uint64_t *ids, size_t n)
{
	struct offline *o = arg;
	struct job_list_rows job;
	enum ctl_exit code = CTL_DONE;
	struct store_stats stats;

	store_get_stats(o->store, &stats);
	for (size_t i = 0; i < n && code <= CTL_REFUSED; i++) {
		int r;

		job_show_init(&job, ids[i], NULL);
		r = run_job(o, &job.job);
		if (r == 0 && job.n == 1) {
			enum ctl_exit printed = print_row(o, &job.rows[0]);

			code = printed > code ? printed : code;
		} else {
			ctl_complain("event %llu: %s", (unsigned long long)ids[i],
			             r != -ENOENT ? "cannot be read"
			             : store_is_salvaged(o->store)
			                     ? "not among what could be read of the damaged file"
			             : ids[i] > 0 && ids[i] < stats.next_id
			                     ? "left the outbox: delivered, or dropped by an operator"
			                     : "unknown id");
			code = CTL_REFUSED;
		}
		job_list_clear(&job);
	}
	return code;
}

/* ---- opening ---- */

static enum ctl_exit open_failed(int r, const struct err *err)
{
	ctl_complain("%s", err->text);
	if (r == -EBUSY)
		ctl_complain("the daemon holds it: ask the daemon, without --offline");
	return CTL_REFUSED;
}

static enum ctl_exit open_store(const char *path, struct store **ret)
{
	const struct store_config config = {
	        .path = path,
	        .read_only = true,
	        .max_events = UINT64_MAX,
	        .max_bytes = UINT64_MAX,
	};
	struct err err;
	int r = store_open(ret, &config, clock_wall_us(), &err);

	if (r < 0)
		return open_failed(r, &err);
	offline_say_passed_over(*ret, path);
	return CTL_DONE;
}

static enum ctl_exit begin(struct offline *o, struct ctl *ctl, enum query_command command, client_line_fn *print)
{
	struct err err;
	enum ctl_exit code;
	int r;

	*o = (struct offline){.ctl = ctl,
	                      .print = ctl->args.json ? rows_print_json : print,
	                      .with_line = command == QUERY_show || command == QUERY_export,
	                      .with_tries = command == QUERY_show,
	                      .line = BUF_INIT(CLIENT_LINE_MAX),
	                      .wall_us = clock_wall_us(),
	                      .left = UINT64_MAX};
	tally_init(&o->tally);
	if ((ctl->args.command->options & OPT_LIMIT) && ctl->args.limit > 0)
		o->left = ctl->args.limit;
	code = open_store(ctl->args.offline, &o->store);
	if (code == CTL_DONE)
		code = rows_begin(&o->rows, ctl);
	if (code != CTL_DONE)
		return code;
	r = read_selection(o, &err);
	if (r == 0)
		return CTL_DONE;
	ctl_complain("%s", err.text);
	return r == -EINVAL ? CTL_USAGE : CTL_REFUSED;
}

static void end(struct offline *o)
{
	o->store = store_close(o->store);
	rows_end(&o->rows);
	buf_free(&o->line);
	tally_free(&o->tally);
	selection_clear(&o->selection);
}

/* ---- count ---- */

static enum ctl_exit print_count(struct offline *o, struct slice key, uint64_t count)
{
	struct json_out *j;

	buf_clear(&o->line);
	j = json_out_begin(&o->line);
	if (j) {
		json_out_object(j);
		json_out_key(j, "key");
		json_out_slice(j, key);
		json_out_kv_i64(j, "count", (int64_t)count);
	}
	if (j && json_out_end(j) == 0)
		return o->print(&o->rows, buf_slice(&o->line));
	ctl_complain("out of memory");
	return CTL_REFUSED;
}

static enum ctl_exit count(struct offline *o)
{
	enum ctl_exit code = each_row(o, count_row);

	tally_sort(&o->tally);
	for (size_t i = 0; i < o->tally.n && code == CTL_DONE; i++) {
		const struct tally_entry *e = &o->tally.entries[i];

		code = print_count(o, (struct slice){e->key, e->key_n}, e->count);
	}
	if (code == CTL_DONE && o->tally.other)
		code = print_count(o, SLICE_LIT("(other)"), o->tally.other);
	if (code == CTL_DONE && o->by == BY_NOTHING && o->tally.n == 0)
		code = print_count(o, SLICE_LIT("total"), 0);
	return code;
}

enum ctl_exit offline_read(struct ctl *ctl, enum query_command command, client_line_fn *print)
{
	struct offline o;
	enum ctl_exit code = begin(&o, ctl, command, print);

	if (code == CTL_DONE && command == QUERY_count)
		code = count(&o);
	else if (code == CTL_DONE && ctl->args.n_words > 0)
		code = ids_each(ctl, show_ids, &o);
	else if (code == CTL_DONE)
		code = each_row(&o, print_row);
	if (code == CTL_DONE && ctl->args.n_words == 0)
		code = judge_whole(&o);
	end(&o);
	return code;
}
