/* fleet_act.c - the commands retry, hold, release and drop on the fleet's queue
 *
 * What a hub has taken is left alone. Each statement is a transaction of its own, and looks at the state again when
 * it has the row: a hub may record an outcome at any time. */
#include <stdio.h>
#include <string.h>

#include "ctl/fleet/fleet.h"
#include "ctl/ids.h"
#include "ctl/output/acted.h"

#define BIT(state) (1u << (state))

struct action {
	const char *name, *done, *set;
	uint32_t states; /* that it changes */
};
static const struct action actions[] = {
        {"retry", "queued again", "state = 0, reason = NULL, attempts = 0, settled = NULL, flags = flags | 2",
         BIT(STATE_DEAD)},
        {"hold", "held", "state = 1", BIT(STATE_QUEUED)},
        {"release", "released", "state = 0", BIT(STATE_HELD)},
        {"drop", "dropped",
         "state = 3, reason = 'dropped', body = '', envelope = '', client = '', last_error = NULL, answer = NULL,"
         " settled = now()",
         BIT(STATE_QUEUED) | BIT(STATE_HELD) | BIT(STATE_DEAD)},
};

struct acting {
	const struct action *action;
	struct pg_session *session;
	struct fleet_filter filter;
	struct pg_args args;
	struct buf sql;
	struct acted acted;
};

/* ids NULL: by the filter alone. ret NULL: only the number of rows matters. */
static int ask(struct acting *a, const char *sql, const uint64_t *ids, size_t n, struct pg_answer *ret,
               struct err *err)
{
	fleet_filter_args(&a->filter, ids, n, &a->args);
	return pg_session_ask(a->session, sql, &a->args, ret, err);
}

static const char *write_update(struct acting *a)
{
	buf_clear(&a->sql);
	if (buf_printf(&a->sql,
	               "UPDATE ga4relay.event SET %s WHERE (outbox, id) IN (SELECT e.outbox, e.id%.*s AND "
	               "NOT " FLEET_SQL_TAKEN ") AND (%u >> state) & 1 = 1 RETURNING seq%c",
	               a->action->set, (int)a->filter.from.len, a->filter.from.data, a->action->states, '\0') < 0)
		return NULL;
	return a->sql.data;
}

static const char *write_taken(struct acting *a)
{
	buf_clear(&a->sql);
	if (buf_printf(&a->sql, "SELECT e.seq%.*s AND " FLEET_SQL_TAKEN "%c", (int)a->filter.from.len,
	               a->filter.from.data, '\0') < 0)
		return NULL;
	return a->sql.data;
}

static bool has(const struct pg_answer *a, uint64_t id)
{
	for (unsigned row = 0; row < pg_rows(a); row++)
		if ((uint64_t)pg_i64(a, row, 0) == id)
			return true;
	return false;
}

/* Names those that were left alone, and why. */
static enum ctl_exit judge_ids(struct acting *a, const struct pg_answer *changed, const struct pg_answer *taken,
                               const uint64_t *ids, size_t n)
{
	enum ctl_exit code = CTL_DONE;

	for (size_t i = 0; i < n; i++) {
		bool is_taken = has(taken, ids[i]);

		if (has(changed, ids[i]))
			continue;
		if (is_taken)
			ctl_complain("event %llu: a hub has taken it, left alone; try again when it is settled",
			             (unsigned long long)ids[i]);
		else
			ctl_complain("event %llu: unknown, or in no state for %s; see show",
			             (unsigned long long)ids[i], a->action->name);
		a->acted.in_flight += is_taken;
		a->acted.unknown += !is_taken;
		code = CTL_REFUSED;
	}
	return code;
}

static enum ctl_exit act_on(void *arg, const uint64_t *ids, size_t n)
{
	struct acting *a = arg;
	enum ctl_exit code = CTL_DONE;
	struct pg_answer changed, taken;
	struct err err = {"out of memory"};
	const char *sql = write_update(a);
	int r = sql ? ask(a, sql, ids, n, &changed, &err) : -1;

	if (r == 0) {
		sql = write_taken(a);
		r = sql ? ask(a, sql, ids, n, &taken, &err) : -1;
		a->acted.changed += pg_rows(&changed);
		if (r == 0 && ids)
			code = judge_ids(a, &changed, &taken, ids, n);
		else if (r == 0)
			a->acted.in_flight += pg_rows(&taken);
		if (r == 0)
			pg_session_clear(&taken);
		pg_session_clear(&changed);
	}
	if (r == 0)
		return code;
	ctl_complain("%s: %s", a->action->name, err.text);
	return CTL_REFUSED;
}

static enum ctl_exit run(struct acting *a, struct ctl *ctl, bool by_filter)
{
	enum ctl_exit code = fleet_filter_read(&a->filter, ctl, a->action->states, !by_filter);

	if (code != CTL_DONE)
		return code;
	code = fleet_session(ctl, &a->session);
	if (code == CTL_DONE)
		code = by_filter ? act_on(a, NULL, 0) : ids_each(ctl, act_on, a);
	if (code == CTL_DONE || (code == CTL_REFUSED && !by_filter && a->session))
		acted_print(ctl, &a->acted, a->action->done);
	pg_session_close(a->session);
	fleet_filter_free(&a->filter);
	return code;
}

/* The same demands on the command line as without --fleet. */
static enum ctl_exit check_words(const struct ctl *ctl, bool *ret_by_filter)
{
	const struct ctl_args *args = &ctl->args;
	bool drop = strcmp(args->command->name, "drop") == 0;
	bool all = drop && args->n_words == 1 && strcmp(args->words[0], "ALL") == 0;

	*ret_by_filter = all || args->dead || (args->given & OPTS_FILTER);
	if (*ret_by_filter == (args->n_words > 0 && !all)) {
		ctl_complain(*ret_by_filter ? "%s: ids or a filter, not both"
		                            : "%s: of which events? Give ids, - or a filter",
		             args->command->name);
		return CTL_USAGE;
	}
	if (!drop || !*ret_by_filter || args->yes)
		return CTL_DONE;
	ctl_complain("drop removes for good. Look first (ga4relay-ctl --fleet count with the same filter), then add "
	             "--yes");
	return CTL_USAGE;
}

enum ctl_exit fleet_act(struct ctl *ctl)
{
	struct acting a = {.sql = BUF_INIT(16384)};
	bool by_filter;
	enum ctl_exit code = check_words(ctl, &by_filter);

	if (code != CTL_DONE)
		return code;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(actions[i].name, ctl->args.command->name) == 0)
			a.action = &actions[i];
	pg_args_init(&a.args, FLEET_ARGS_MAX);
	code = run(&a, ctl, by_filter);
	pg_args_free(&a.args);
	buf_free(&a.sql);
	return code;
}
