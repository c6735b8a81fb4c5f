/* backup.c - the command backup: opens a file here and passes it to the daemon, which writes the copy */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/client.h"
#include "ctl/offline/offline.h"
#include "ctl/output/terminal_text.h"

static enum ctl_exit show_progress(void *arg, struct slice line)
{
	const struct ctl *ctl = arg;
	struct json_in *json = json_in_new(8);
	const struct json_doc *d;
	struct err err;

	if (ctl->tty_err && json && json_in_read(json, line, &d, &err) == 0) {
		int64_t total = answer_i64(d, d->nodes, "pages_total", 0);

		fprintf(stderr, "\rcopying: %lld %%\033[K",
		        total ? (long long)(100 * answer_i64(d, d->nodes, "pages_done", 0) / total) : 0);
	}
	json_in_free(json);
	return CTL_DONE;
}

static enum ctl_exit copy(struct ctl *ctl, int fd)
{
	struct client client;
	enum ctl_exit code = client_open(&client, ctl);

	if (code != CTL_DONE)
		return code;
	code = client_call(&client, client_begin(&client, QUERY_backup), fd, show_progress, ctl, NULL);
	client_close(&client);
	if (ctl->tty_err)
		fputs("\r\033[K", stderr);
	return code;
}

static void say_done(const struct ctl *ctl, const char *path, int fd)
{
	_cleanup_(buf_free) struct buf safe = BUF_INIT(1 << 14);
	struct json_out *j;
	struct stat sb;
	char size[16];

	if (fstat(fd, &sb) < 0)
		return;
	if (!ctl->args.json) {
		if (text_safe(&safe, slice_of(path)) == 0)
			printf("%.*s: %s, checked\n", (int)safe.len, safe.data,
			       text_bytes((uint64_t)sb.st_size, size));
		return;
	}
	j = json_out_begin(&safe);
	if (!j)
		return;
	json_out_object(j);
	json_out_kv_str(j, "file", path);
	json_out_kv_i64(j, "bytes", sb.st_size);
	if (json_out_end(j) == 0)
		printf("%.*s\n", (int)safe.len, safe.data);
}

/* Removes the files that verifying the copy left beside it. */
static void tidy(const char *path)
{
	static const char *const beside[] = {"-wal", ".lock"};
	char name[4096];

	for (size_t i = 0; i < ARRAY_LEN(beside); i++)
		if (snprintf(name, sizeof(name), "%s%s", path, beside[i]) < (int)sizeof(name))
			(void)unlink(name);
}

enum ctl_exit ctl_backup(struct ctl *ctl)
{
	const char *path = ctl->args.n_words ? ctl->args.words[0] : NULL;
	_cleanup_(fd_closep) int fd = -1;
	enum ctl_exit code;

	if (!path) {
		ctl_complain("backup: into which file? It must not exist yet");
		return CTL_USAGE;
	}
	/* The copy holds personal data as the outbox does: readable by its owner only, and an existing file is never
	 * overwritten. */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		ctl_complain("%s: %s", path, strerror(errno));
		return CTL_REFUSED;
	}
	code = copy(ctl, fd);
	if (code == CTL_DONE)
		code = offline_verify(ctl, path, OFFLINE_SAY_DAMAGE);
	tidy(path);
	if (code == CTL_DONE)
		say_done(ctl, path, fd);
	else
		(void)unlink(path); /* an incomplete copy must not pass for a backup */
	return code;
}
