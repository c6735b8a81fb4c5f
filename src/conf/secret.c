/* secret.c - a stream's API secret, or a connection string: from a file, a systemd credential, the environment, or
 * the configuration itself
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fd.h"
#include "conf/reader.h"

enum { SECRET_MAX = 512, FILE_MAX = 4096 };

char *secret_free(char *secret)
{
	if (secret) {
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
	return NULL;
}

/* Returns NULL or what is wrong, without quoting a byte of the secret. */
static const char *secret_problem(struct slice s, bool is_conninfo)
{
	if (s.n == 0)
		return "the secret is empty";
	if (s.n > SECRET_MAX && !is_conninfo)
		return "the secret is longer than 512 bytes: is this the right file?";
	for (size_t i = 0; i < s.n; i++)
		if (is_conninfo ? s.p[i] == '\0' : s.p[i] <= 0x20 || s.p[i] >= 0x7f)
			return is_conninfo
			               ? "the connection string holds a NUL"
			               : "the secret holds a space, a line break, a control or a non-ASCII character";
	return NULL;
}

static int take_secret(const struct reader *rd, const struct secret_source *source, struct slice s, const char *where,
                       char **ret)
{
	const char *wrong;

	if (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n && s.p[s.n - 1] == '\r')
		s.n--;
	wrong = secret_problem(s, source->is_conninfo);
	if (wrong)
		return reader_fail(rd, source->line, source->option, "%s%s%s", where, where[0] ? ": " : "", wrong);
	*ret = strndup(s.p, s.n);
	return *ret ? 0 : reader_no_memory(rd);
}

static void warn_of_readers(const struct reader *rd, const struct secret_source *source, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & S_IROTH))
		reader_warn(rd, source->line, source->option, "%s can be read by everybody: chmod o= %s", path, path);
}

static int read_secret_file(const struct reader *rd, const struct secret_source *source, const char *path, char **ret)
{
	/* Reserve everything at once, so that the buffer never moves and leaves a copy behind. */
	_cleanup_(buf_wipe) struct buf b = BUF_INIT(FILE_MAX);
	struct err why;
	int r = buf_reserve(&b, FILE_MAX);

	if (r < 0)
		return reader_no_memory(rd);
	r = file_read(path, &b, &why);
	if (r == -EFBIG)
		return reader_fail(rd, source->line, source->option, "%s: the file is too large to be a secret",
		                   path);
	if (r < 0) {
		reader_fail(rd, source->line, source->option, "%s", why.text);
		return r;
	}
	warn_of_readers(rd, source, path);
	return take_secret(rd, source, buf_slice(&b), path, ret);
}

static int read_credential(const struct reader *rd, const struct secret_source *source, char **ret)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4400];

	if (strchr(source->credential, '/') || source->credential[0] == '.' || strlen(source->credential) > 255)
		return reader_fail(rd, source->line, source->option,
		                   "a credential's name has no / and does not begin with a dot");
	if (!dir && rd->only_check) {
		reader_warn(rd, source->line, source->option,
		            "not looked at: systemd hands credential \"%s\" to the service alone "
		            "($CREDENTIALS_DIRECTORY is not set here)",
		            source->credential);
		rd->conf->n_unseen++;
		return 0;
	}
	if (!dir || dir[0] != '/' || strlen(dir) > 4000)
		return reader_fail(rd, source->line, source->option,
		                   "$CREDENTIALS_DIRECTORY is not set: this needs systemd's LoadCredential=%s:PATH",
		                   source->credential);
	snprintf(path, sizeof(path), "%s/%s", dir, source->credential);
	return read_secret_file(rd, source, path, ret);
}

/* ---- the environment ---- */

/* The secrets taken from the environment: read once, and needed again at each reload. */
struct taken {
	struct taken *next;
	char *secret;
	char name[];
};
static struct taken *taken;

static const char *find_taken(const char *name)
{
	for (const struct taken *t = taken; t; t = t->next)
		if (strcmp(t->name, name) == 0)
			return t->secret;
	return NULL;
}

/* Overwrites the value where it lies, because /proc/PID/environ shows that memory. The name stays: unsetenv() would
 * move entries that the resolver's threads may be reading. */
static int take_variable(const char *name, char *value, const char **ret)
{
	size_t n = strlen(name) + 1;
	struct taken *t = malloc(sizeof(*t) + n);

	if (!t)
		return -ENOMEM;
	t->secret = strdup(value);
	if (!t->secret) {
		free(t);
		return -ENOMEM;
	}
	memcpy(t->name, name, n);
	t->next = taken;
	taken = t;
	explicit_bzero(value, strlen(value));
	*ret = t->secret;
	return 0;
}

static int read_variable(const struct reader *rd, const struct secret_source *source, char **ret)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
	const char *name = source->variable, *secret = find_taken(name);
	char *value = getenv(name);

	if (name[0] == '\0' || name[strspn(name, letters)] || (name[0] >= '0' && name[0] <= '9'))
		return reader_fail(rd, source->line, source->option, "\"%.80s\" is no variable's name", name);
	if (!secret && !value && rd->only_check) {
		reader_warn(rd, source->line, source->option, "not looked at: $%.80s is not set here", name);
		rd->conf->n_unseen++;
		return 0;
	}
	if (!secret && !value)
		return reader_fail(rd, source->line, source->option, "$%.80s is not set", name);
	if (!secret && take_variable(name, value, &secret) < 0)
		return reader_no_memory(rd);
	return take_secret(rd, source, slice_of(secret), "", ret);
}

int secret_read(const struct reader *rd, const struct secret_source *source, char **ret)
{
	if (source->file)
		return read_secret_file(rd, source, source->file, ret);
	if (source->credential)
		return read_credential(rd, source, ret);
	if (source->variable)
		return read_variable(rd, source, ret);
	if (rd->others_can_read)
		return reader_fail(
		        rd, source->line, source->option,
		        "this file can be read by everybody and holds a secret: chmod o= %s, or use api_secret_file",
		        rd->file);
	return take_secret(rd, source, slice_of(source->text), "", ret);
}
