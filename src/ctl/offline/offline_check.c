/* offline_check.c - the command check on a file: what is wrong with it, and what can still be read */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/offline/offline.h"
#include "ctl/output/terminal_text.h"
#include "outbox/store/store.h"

static uint64_t rows_of(const struct store_check *check)
{
	uint64_t n = 0;

	for (int s = 0; s < STATE_COUNT; s++)
		n += check->events[s];
	return n;
}

static void print_json(const struct store_check *check)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 16);
	struct json_out *j = json_out_begin(&out);

	if (!j)
		return;
	json_out_object(j);
	json_out_kv_bool(j, "ok", check->sound);
	json_out_kv_i64(j, "rows", (int64_t)rows_of(check));
	json_out_kv_i64(j, "corrupt", (int64_t)check->incomplete);
	json_out_key(j, "events");
	json_out_object(j);
	for (enum event_state s = STATE_QUEUED; s < STATE_COUNT; s++)
		json_out_kv_i64(j, event_state_name(s), (int64_t)check->events[s]);
	json_out_close(j);
	json_out_kv_i64(j, "counted", check->counted_known ? (int64_t)check->counted : 0);
	json_out_kv_bool(j, "counted_known", check->counted_known);
	json_out_kv_i64(j, "lost_pages", (int64_t)check->lost_pages);
	json_out_kv_i64(j, "lost_cells", (int64_t)check->lost_cells);
	json_out_kv_str(j, "problem", check->problem[0] ? check->problem : NULL);
	if (json_out_end(j) == 0 && buf_append_char(&out, '\n') == 0)
		fwrite(out.data, 1, out.len, stdout);
}

static void print_counts(const struct store_check *check)
{
	char rows[32], counted[32];

	if (!check->counted_known)
		printf("  readable   %s events; how many there were is not known\n",
		       text_count(rows_of(check), rows));
	else if (check->counted)
		printf("  readable   %s of %s events\n", text_count(rows_of(check), rows),
		       text_count(check->counted, counted));
	else
		printf("  readable   %s events\n", text_count(rows_of(check), rows));
	for (enum event_state s = STATE_QUEUED; s < STATE_COUNT; s++)
		if (check->events[s])
			printf("  %-10s %s\n", event_state_name(s), text_count(check->events[s], rows));
	if (check->incomplete)
		printf("  incomplete %s rows that are no events\n", text_count(check->incomplete, rows));
	if (check->lost_pages)
		printf("  lost       %s pages that the disk does not give\n", text_count(check->lost_pages, rows));
	if (check->lost_cells)
		printf("  garbled    %s entries of tables that are no rows\n", text_count(check->lost_cells, rows));
}

static void print_text(const struct ctl *ctl, const char *path, const struct store_check *check)
{
	_cleanup_(buf_free) struct buf problem = BUF_INIT(1 << 12), word = BUF_INIT(1 << 16);

	printf("%s: %s%s%s\n", path, text_color_on(ctl->color, check->sound ? COLOR_GREEN : COLOR_RED),
	       check->sound ? "sound" : "damaged", text_color_off(ctl->color));
	if (check->problem[0] && text_safe(&problem, slice_of(check->problem)) == 0)
		printf("  problem    %.*s\n", (int)problem.len, problem.data);
	print_counts(check);
	if (!check->sound && text_shell_word(&word, path) == 0)
		printf("Bring back what is readable:\n  ga4relay-ctl --offline %.*s export | ga4relay-ctl send -\n",
		       (int)word.len, word.data);
}

void offline_say_anothers_wal(const char *path)
{
	ctl_complain("%s-wal belongs to another file, or to another copy of this one: it was not read", path);
}

void offline_say_passed_over(const struct store *store, const char *path)
{
	if (store_passed_over_wal(store))
		offline_say_anothers_wal(path);
	if (store_lacks_wal(store))
		ctl_complain("%s needs its -wal file, which is not there: what was written last may be missing",
		             path);
}

static enum ctl_exit look(const char *path, struct store_check *ret, bool *ret_lacks_wal)
{
	const struct store_config config = {
	        .path = path, .read_only = true, .max_events = UINT64_MAX, .max_bytes = UINT64_MAX};
	struct store *store;
	struct err err;

	if (store_open(&store, &config, clock_wall_us(), &err) < 0) {
		ctl_complain("%s", err.text);
		return CTL_REFUSED;
	}
	offline_say_passed_over(store, path);
	*ret_lacks_wal = store_lacks_wal(store);
	store_check(store, ret);
	store_close(store);
	return CTL_DONE;
}

enum ctl_exit offline_verify(struct ctl *ctl, const char *path, enum offline_say say)
{
	struct store_check check;
	bool lacks_wal;
	enum ctl_exit code = look(path, &check, &lacks_wal);

	if (code != CTL_DONE)
		return code;
	if (ctl->args.json && say == OFFLINE_SAY_ALL)
		print_json(&check);
	else if (say == OFFLINE_SAY_ALL || (say == OFFLINE_SAY_DAMAGE && !check.sound))
		print_text(ctl, path, &check);
	return check.sound && !lacks_wal ? CTL_DONE : CTL_REFUSED;
}

enum ctl_exit offline_check(struct ctl *ctl)
{
	return offline_verify(ctl, ctl->args.offline, OFFLINE_SAY_ALL);
}
