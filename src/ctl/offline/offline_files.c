/* offline_files.c - the commands remove and restore: move whole files of a stopped daemon away or into place */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/ctl.h"
#include "ctl/offline/offline.h"
#include "ctl/output/terminal_text.h"
#include "outbox/store/store.h"
#include "json/json_write.h"

enum { LINE_MAX_BYTES = 1 << 16 };

static enum ctl_exit needs_offline(const char *what)
{
	ctl_complain("%s: of which file? Name it: ga4relay-ctl --offline FILE %s", what, what);
	return CTL_USAGE;
}

static enum ctl_exit failed(int r, const struct err *err)
{
	ctl_complain("%s", err->text);
	if (r == -EBUSY)
		ctl_complain("stop the daemon first; whatever else has the file open must end too");
	return CTL_REFUSED;
}

static void end_line(struct json_out *j, struct buf *line)
{
	if (json_out_end(j) == 0 && buf_append_char(line, '\n') == 0)
		fwrite(line->data, 1, line->len, stdout);
}

/* ---- remove ---- */

static void said_json(const char *name)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(LINE_MAX_BYTES);
	struct json_out *j = json_out_begin(&line);

	if (!j)
		return;
	json_out_object(j);
	json_out_kv_str(j, "removed", name);
	end_line(j, &line);
}

static void said_text(const char *name)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(LINE_MAX_BYTES);

	if (text_safe(&safe, slice_of(name)) == 0)
		printf("removed %.*s\n", (int)safe.len, safe.data);
}

enum ctl_exit ctl_remove(struct ctl *ctl)
{
	struct err err;
	int r;

	if (!ctl->args.offline)
		return needs_offline("remove");
	if (!ctl->args.yes) {
		ctl_complain("remove takes %s away for good, with all that belongs to it: add --yes",
		             ctl->args.offline);
		return CTL_USAGE;
	}
	r = store_remove_aside(ctl->args.offline, ctl->args.json ? said_json : said_text, &err);
	return r < 0 ? failed(r, &err) : CTL_DONE;
}

/* ---- restore ---- */

static void say_restored_json(const char *path, const struct store_restored *restored)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(LINE_MAX_BYTES);
	struct json_out *j = json_out_begin(&line);

	if (!j)
		return;
	json_out_object(j);
	json_out_kv_str(j, "restored", path);
	json_out_kv_i64(j, "events", (int64_t)restored->events);
	json_out_kv_i64(j, "next_id", (int64_t)restored->next_id);
	json_out_kv_str(j, "set_aside", restored->aside[0] ? restored->aside : NULL);
	end_line(j, &line);
}

static void say_restored_text(const char *path, const struct store_restored *restored)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(LINE_MAX_BYTES), aside = BUF_INIT(LINE_MAX_BYTES);
	char events[32];

	if (text_safe(&safe, slice_of(path)) < 0 || text_safe(&aside, slice_of(restored->aside)) < 0)
		return;
	printf("%.*s: restored, %s events; the next one gets id %llu\n", (int)safe.len, safe.data,
	       text_count(restored->events, events), (unsigned long long)restored->next_id);
	puts("What was delivered since the backup was made is sent again.");
	if (aside.len > 0)
		printf("What was there is set aside as %.*s.\nAfter the start bring back what was accepted since: "
		       "ga4relay-ctl --offline %.*s export | ga4relay-ctl send -\n",
		       (int)aside.len, aside.data, (int)aside.len, aside.data);
}

enum ctl_exit ctl_restore(struct ctl *ctl)
{
	const char *path = ctl->args.offline, *backup = ctl->args.n_words ? ctl->args.words[0] : NULL;
	struct store_restored restored;
	struct err err;
	int r;

	if (!path)
		return needs_offline("restore BACKUP");
	if (!backup) {
		ctl_complain("restore: from which backup? ga4relay-ctl --offline FILE restore BACKUP");
		return CTL_USAGE;
	}
	r = store_restore(path, backup, clock_wall_us(), &restored, &err);
	if (restored.passed_over_wal)
		offline_say_anothers_wal(backup);
	if (r < 0)
		return failed(r, &err);
	if (ctl->args.json)
		say_restored_json(path, &restored);
	else
		say_restored_text(path, &restored);
	return CTL_DONE;
}
