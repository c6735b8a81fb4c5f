/* fleet_rows.c - the commands list, show, count and export on the fleet's queue */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/collections/tally.h"
#include "ctl/fleet/fleet.h"
#include "ctl/ids.h"
#include "ctl/output/rows.h"
#include "event/row_json.h"
#include "fleet/sql.h"

/* Rows per FETCH: a backlog is read in constant memory. */
enum { FETCH_ROWS = 250 };

struct reading {
	struct ctl *ctl;
	struct pg_session *session;
	struct fleet_filter filter;
	struct pg_args args;
	struct buf sql, line;
	struct rows rows;
	client_line_fn *print;
	bool with_line, with_tries;
};

static enum ctl_exit failed(const struct err *err)
{
	ctl_complain("%s", err->text);
	return CTL_REFUSED;
}

static enum ctl_exit begin(struct reading *r, struct ctl *ctl, client_line_fn *print, bool ids)
{
	const uint32_t any = QUERY_BACKLOG | (1u << STATE_DEAD) | (1u << STATE_DELIVERED);
	enum ctl_exit code;

	*r = (struct reading){.ctl = ctl,
	                      .print = ctl->args.json ? rows_print_json : print,
	                      .sql = BUF_INIT(16384),
	                      .line = BUF_INIT(CLIENT_LINE_MAX)};
	pg_args_init(&r->args, FLEET_ARGS_MAX);
	code = fleet_filter_read(&r->filter, ctl, ids ? any : QUERY_BACKLOG, ids);
	if (code == CTL_DONE)
		code = rows_begin(&r->rows, ctl);
	return code == CTL_DONE ? fleet_session(ctl, &r->session) : code;
}

static enum ctl_exit end(struct reading *r, enum ctl_exit code)
{
	pg_session_close(r->session);
	rows_end(&r->rows);
	fleet_filter_free(&r->filter);
	pg_args_free(&r->args);
	buf_free(&r->sql);
	buf_free(&r->line);
	return code;
}

/* ---- rows ---- */

#define SELECT_ROWS                                                                                                  \
	"SELECT e.seq, e.state, e.outbox, e.id, e.stream, e.client, e.name, e.accepted_us, e.time_us, e.props_us,"   \
	" e.attempts, e.reason, e.last_status, e.last_error, e.flags, e.answer, e.envelope, "                        \
	"e.body, " FLEET_SQL_TAKEN

enum {
	COL_SEQ,
	COL_STATE,
	COL_OUTBOX,
	COL_ID,
	COL_STREAM,
	COL_CLIENT,
	COL_NAME,
	COL_ACCEPTED,
	COL_TIME,
	COL_PROPS,
	COL_ATTEMPTS,
	COL_REASON,
	COL_STATUS,
	COL_ERROR,
	COL_FLAGS,
	COL_ANSWER,
	COL_ENVELOPE,
	COL_BODY,
	COL_TAKEN
};

static const char *state_of(const struct pg_answer *a, unsigned row)
{
	int64_t state = pg_i64(a, row, COL_STATE);

	if (state == FLEET_QUEUED && pg_bool(a, row, COL_TAKEN))
		return "inflight";
	if (state == FLEET_DELIVERED && slice_eq(pg_text(a, row, COL_REASON), SLICE_LIT("dropped")))
		return "dropped";
	return state >= 0 && state < STATE_COUNT ? event_state_name((enum event_state)state) : "unknown";
}

/* *reason holds the text that the view points to. */
static void view_of(const struct reading *r, const struct pg_answer *a, unsigned row, char reason[32],
                    struct row_view *v)
{
	int64_t state = pg_i64(a, row, COL_STATE);

	snprintf(reason, 32, "%.*s", SLICE_ARG(pg_text(a, row, COL_REASON)));
	*v = (struct row_view){
	        .id = (uint64_t)pg_i64(a, row, COL_SEQ),
	        .outbox = pg_text(a, row, COL_OUTBOX),
	        .outbox_id = (uint64_t)pg_i64(a, row, COL_ID),
	        .state = state_of(a, row),
	        .reason = state == FLEET_DEAD ? reason : NULL,
	        .stream = pg_text(a, row, COL_STREAM),
	        .client = pg_text(a, row, COL_CLIENT),
	        .name = pg_text(a, row, COL_NAME),
	        .accepted_us = pg_i64(a, row, COL_ACCEPTED),
	        .event_us = pg_i64(a, row, COL_TIME),
	        .attempts = (uint32_t)pg_i64(a, row, COL_ATTEMPTS),
	        .last_status = (int)pg_i64(a, row, COL_STATUS),
	        .last_error = pg_text(a, row, COL_ERROR),
	        .next_attempt_ms = -1,
	        .maybe_sent = pg_i64(a, row, COL_FLAGS) & FLEET_MAYBE_SENT,
	        .bytes = (uint32_t)(pg_text(a, row, COL_ENVELOPE).n + pg_text(a, row, COL_BODY).n),
	        .with_line = r->with_line && state != FLEET_DELIVERED, /* of which the key alone is left */
	        .envelope = pg_text(a, row, COL_ENVELOPE),
	        .body = pg_text(a, row, COL_BODY),
	        .props_us = pg_i64(a, row, COL_PROPS),
	        .with_tries = r->with_tries,
	        .answer = pg_text(a, row, COL_ANSWER),
	};
}

static enum ctl_exit print_row(struct reading *r, const struct pg_answer *a, unsigned row)
{
	struct row_view view;
	char reason[32];

	buf_clear(&r->line);
	view_of(r, a, row, reason, &view);
	if (row_write(&r->line, &view) < 0) {
		ctl_complain("out of memory");
		return CTL_REFUSED;
	}
	r->line.len--; /* lines are passed on without the LF */
	return r->print(&r->rows, buf_slice(&r->line));
}

/* *ret_n: how many there were. */
static enum ctl_exit fetch(struct reading *r, unsigned *ret_n)
{
	enum ctl_exit code = CTL_DONE;
	struct pg_answer answer;
	struct err err;
	char text[64];

	snprintf(text, sizeof(text), "FETCH %d FROM events", FETCH_ROWS);
	if (pg_session_ask(r->session, text, NULL, &answer, &err) < 0)
		return failed(&err);
	*ret_n = pg_rows(&answer);
	for (unsigned row = 0; row < *ret_n && code == CTL_DONE; row++)
		code = print_row(r, &answer, row);
	pg_session_clear(&answer);
	return code;
}

static enum ctl_exit each_row(struct reading *r)
{
	const struct ctl_args *args = &r->ctl->args;
	bool limited = (args->command->options & OPT_LIMIT) && args->limit > 0;
	enum ctl_exit code = CTL_DONE;
	unsigned n = FETCH_ROWS;
	struct pg_answer answer;
	struct err err;
	int s = buf_printf(&r->sql, "DECLARE events NO SCROLL CURSOR FOR " SELECT_ROWS "%.*s ORDER BY e.seq%s",
	                   (int)r->filter.from.len, r->filter.from.data, args->reverse ? " DESC" : "");

	if (s == 0 && limited)
		s = buf_printf(&r->sql, " LIMIT %llu", (unsigned long long)args->limit);
	if (s == 0)
		s = buf_append_char(&r->sql, '\0');
	if (s < 0)
		s = err_set(&err, s, "out of memory");
	fleet_filter_args(&r->filter, NULL, 0, &r->args);
	if (s == 0)
		s = pg_session_run(r->session, "BEGIN", &err);
	if (s == 0)
		s = pg_session_ask(r->session, r->sql.data, &r->args, &answer, &err);
	if (s < 0)
		return failed(&err);
	pg_session_clear(&answer);
	while (code == CTL_DONE && n == FETCH_ROWS)
		code = fetch(r, &n);
	return code;
}

static enum ctl_exit by_filter(struct ctl *ctl, client_line_fn *print, bool with_line)
{
	struct reading r;
	enum ctl_exit code = begin(&r, ctl, print, false);

	r.with_line = with_line;
	if (code == CTL_DONE)
		code = each_row(&r);
	if (code == CTL_DONE && r.rows.n == 0 && ctl->tty && !ctl->args.json && print == rows_print_table)
		puts("no such events");
	return end(&r, code);
}

/* ---- ids ---- */

static bool is_among(const struct pg_answer *a, uint64_t id)
{
	for (unsigned row = 0; row < pg_rows(a); row++)
		if ((uint64_t)pg_i64(a, row, COL_SEQ) == id)
			return true;
	return false;
}

static enum ctl_exit read_ids(void *arg, const uint64_t *ids, size_t n)
{
	struct reading *r = arg;
	enum ctl_exit code = CTL_DONE;
	struct pg_answer answer;
	struct err err;
	int s;

	buf_clear(&r->sql);
	s = buf_printf(&r->sql, SELECT_ROWS "%.*s ORDER BY e.seq%c", (int)r->filter.from.len, r->filter.from.data,
	               '\0');
	fleet_filter_args(&r->filter, ids, n, &r->args);
	if (s < 0 || pg_session_ask(r->session, r->sql.data, &r->args, &answer, &err) < 0)
		return s < 0 ? CTL_REFUSED : failed(&err);
	for (unsigned row = 0; row < pg_rows(&answer) && code == CTL_DONE; row++)
		code = print_row(r, &answer, row);
	for (size_t i = 0; i < n && code <= CTL_REFUSED; i++) {
		if (is_among(&answer, ids[i]))
			continue;
		ctl_complain("event %llu: not in the fleet's queue: unknown, or delivered and its key forgotten",
		             (unsigned long long)ids[i]);
		code = CTL_REFUSED;
	}
	pg_session_clear(&answer);
	return code;
}

static enum ctl_exit by_ids(struct ctl *ctl, client_line_fn *print)
{
	struct reading r;
	enum ctl_exit code = begin(&r, ctl, print, true);

	r.with_line = true;
	r.with_tries = print == rows_print_whole;
	if (code == CTL_DONE)
		code = ids_each(ctl, read_ids, &r);
	return end(&r, code);
}

enum ctl_exit fleet_list(struct ctl *ctl)
{
	return by_filter(ctl, rows_print_table, false);
}

enum ctl_exit fleet_show(struct ctl *ctl)
{
	if (ctl->args.n_words > 0)
		return by_ids(ctl, rows_print_whole);
	ctl_complain("show: of which events? Give ids, or - to read them from standard input");
	return CTL_USAGE;
}

enum ctl_exit fleet_export(struct ctl *ctl)
{
	if (ctl->args.n_words > 0 && (ctl->args.given & OPTS_FILTER)) {
		ctl_complain("export: ids or a filter, not both");
		return CTL_USAGE;
	}
	return ctl->args.n_words > 0 ? by_ids(ctl, rows_print_json) : by_filter(ctl, rows_print_json, true);
}

/* ---- count ---- */

/* The age's bucket, as tally_age_key() has them: 0 below a minute, and then one more for each doubling. */
#define MINUTES "((extract(epoch FROM now()) * 1000000 - e.accepted_us) / 60000000)"
#define AGE "CASE WHEN " MINUTES " < 1 THEN 0 ELSE floor(ln(" MINUTES ") / ln(2)) + 1 END::bigint"

static const char *const keys[BY_COUNT] = {
        [BY_NOTHING] = "'total'",
        [BY_STREAM] = "e.stream",
        [BY_NAME] = "e.name",
        [BY_STATE] = "CASE WHEN " FLEET_SQL_TAKEN " THEN 'inflight' WHEN e.state = 0 THEN 'queued'"
                     " WHEN e.state = 1 THEN 'held' WHEN e.state = 2 THEN 'dead'"
                     " WHEN e.reason = 'dropped' THEN 'dropped' ELSE 'delivered' END",
        [BY_REASON] = "coalesce(e.reason, '(none)')",
        [BY_AGE] = AGE,
};

static enum ctl_exit print_count(struct reading *r, struct slice key, int64_t count)
{
	struct json_out *j;

	buf_clear(&r->line);
	j = json_out_begin(&r->line);
	if (j) {
		json_out_object(j);
		json_out_key(j, "key");
		json_out_slice(j, key);
		json_out_kv_i64(j, "count", count);
	}
	if (j && json_out_end(j) == 0)
		return r->print(&r->rows, buf_slice(&r->line));
	ctl_complain("out of memory");
	return CTL_REFUSED;
}

static enum ctl_exit print_counts(struct reading *r, const struct pg_answer *a)
{
	enum ctl_exit code = CTL_DONE;

	for (unsigned row = 0; row < pg_rows(a) && code == CTL_DONE; row++) {
		struct slice key = pg_text(a, row, 0);
		char age[16];
		uint64_t rank;

		if (r->filter.by == BY_AGE) {
			int64_t bucket = pg_i64(a, row, 0);

			key = slice_of(tally_age_key(bucket > 0 ? US_PER_MIN << (bucket - 1) : 0, age, &rank));
		}
		code = print_count(r, key.n ? key : SLICE_LIT("(none)"), pg_i64(a, row, 1));
	}
	if (code == CTL_DONE && r->filter.by == BY_NOTHING && pg_rows(a) == 0)
		code = print_count(r, SLICE_LIT("total"), 0);
	return code;
}

enum ctl_exit fleet_count(struct ctl *ctl)
{
	struct reading r;
	enum ctl_exit code = begin(&r, ctl, rows_print_count, false);
	struct pg_answer answer;
	struct err err;
	int s;

	if (code != CTL_DONE)
		return end(&r, code);
	s = buf_printf(&r.sql, "SELECT %s, count(*)%.*s GROUP BY 1 ORDER BY %s 1%c", keys[r.filter.by],
	               (int)r.filter.from.len, r.filter.from.data, r.filter.by == BY_AGE ? "" : "2 DESC,", '\0');
	if (s < 0)
		return end(&r, CTL_REFUSED);
	fleet_filter_args(&r.filter, NULL, 0, &r.args);
	if (pg_session_ask(r.session, r.sql.data, &r.args, &answer, &err) < 0)
		return end(&r, failed(&err));
	code = print_counts(&r, &answer);
	pg_session_clear(&answer);
	return end(&r, code);
}
