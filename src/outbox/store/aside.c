/* aside.c - setting an outbox aside: names, companion files, resuming after an interruption */
#include "outbox/store/aside.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "outbox/file/beside.h"
#include "outbox/store/store.h"

enum { NAMES_IN_ONE_SECOND = 100 };
/* Suffixes of the files that belong to an outbox. */
static const char *const companions[] = {"-wal", "-journal", ""};
static const char *const words[] = {[ASIDE_CORRUPT] = ".corrupt-", [ASIDE_REPLACED] = ".replaced-"};

/* ---- names ---- */

/* Returns 1 if a file with that name, or one of its companions, exists. */
static int is_taken(const char *path, const char *suffix, struct err *err)
{
	char name[PATH_MAX];
	int r = beside_name(name, path, suffix, err);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(companions); i++)
		r = beside_look(name, companions[i], NULL, err);
	return r;
}

int aside_choose(const char *path, enum aside_reason reason, int64_t wall_us, char ret[LOCKFILE_ASIDE_MAX + 1],
                 struct err *err)
{
	time_t seconds = (time_t)(wall_us / US_PER_S);
	size_t size = LOCKFILE_ASIDE_MAX + 1;
	char stamp[20];
	struct tm tm;
	int r;

	if (!gmtime_r(&seconds, &tm) || strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm) == 0)
		return err_set(err, -EINVAL, "outbox %s: the clock's date cannot be written", path);
	snprintf(ret, size, "%s%s", words[reason], stamp);
	for (unsigned i = 2; i < NAMES_IN_ONE_SECOND; i++) {
		r = is_taken(path, ret, err);
		if (r <= 0)
			return r;
		snprintf(ret, size, "%s%s-%u", words[reason], stamp, i % NAMES_IN_ONE_SECOND);
	}
	return err_set(err, -EEXIST, "outbox %s: too many that were set aside lie beside it", path);
}

/* True for the reason followed by a date and possibly a number. */
static bool is_suffix(const char *p)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i]);
		const char *zulu = strncmp(p, words[i], n) == 0 ? strchr(p + n, 'Z') : NULL;

		if (zulu && strspn(p + n, "0123456789T") == (size_t)(zulu - p) - n)
			return strspn(zulu + 1, "-0123456789") == strlen(zulu + 1);
	}
	return false;
}

bool aside_is_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && is_suffix(dot);
}

static bool is_orphan(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && dot - path > 4 && strncmp(dot, ".orphan", 7) == 0 &&
	       strspn(dot + 7, "-0123456789") == strlen(dot + 7);
}

/* ---- files beside an outbox ---- */

enum beside_kind { BESIDE_NOTHING, BESIDE_ASIDE, BESIDE_COMPANION, BESIDE_ORPHAN };

/* Copies name without the suffix, if it ends with it. */
static bool cut(const char *name, const char *suffix, char ret[NAME_MAX + 1])
{
	size_t n = strlen(name), m = strlen(suffix);

	if (n < m || strcmp(name + n - m, suffix) != 0)
		return false;
	snprintf(ret, NAME_MAX + 1, "%.*s", (int)(n - m), name);
	return true;
}

static enum beside_kind kind_of(const char *name, const char *outbox, char ret_of[NAME_MAX + 1])
{
	size_t n = strlen(outbox);

	if (strncmp(name, outbox, n) != 0)
		return BESIDE_NOTHING;
	if (strncmp(name + n, "-wal.orphan", 11) == 0 || strncmp(name + n, "-journal.orphan", 15) == 0)
		return BESIDE_ORPHAN;
	if (is_suffix(name + n))
		return BESIDE_ASIDE;
	if ((cut(name, "-wal", ret_of) || cut(name, "-journal", ret_of)) && is_suffix(ret_of + n))
		return BESIDE_COMPANION;
	return BESIDE_NOTHING;
}

struct search {
	const char *outbox;
	char directory[PATH_MAX]; /* "", or ending with a slash */
	struct store_asides *ret;
};

static void note_name(char *newest, size_t size, const struct search *s, const char *name)
{
	size_t n = strlen(s->directory);

	if (!newest[0] || strcmp(name, newest + n) > 0)
		snprintf(newest, size, "%s%s", s->directory, name);
}

static int note_entry(struct search *s, const char *name, struct err *err)
{
	char of[NAME_MAX + 1], path[PATH_MAX + NAME_MAX + 1];
	enum beside_kind kind = kind_of(name, s->outbox, of);
	int r = 0;

	if (kind == BESIDE_ASIDE) {
		s->ret->n++;
		note_name(s->ret->newest, sizeof(s->ret->newest), s, name);
	}
	/* A companion is a leftover only if its outbox no longer exists. */
	if (kind == BESIDE_COMPANION) {
		snprintf(path, sizeof(path), "%s%s", s->directory, of);
		r = beside_look(path, "", NULL, err);
	}
	if (kind == BESIDE_ORPHAN || (kind == BESIDE_COMPANION && r == 0)) {
		s->ret->n_leftovers++;
		note_name(s->ret->leftover, sizeof(s->ret->leftover), s, name);
	}
	return r < 0 ? r : 0;
}

int store_find_asides(const char *path, struct store_asides *ret, struct err *err)
{
	const char *slash = strrchr(path, '/');
	struct search s = {.outbox = slash ? slash + 1 : path, .ret = ret};
	const struct dirent *entry;
	int r = 0;
	DIR *dir;

	*ret = (struct store_asides){.n = 0};
	snprintf(s.directory, sizeof(s.directory), "%.*s", slash ? (int)(slash - path) + 1 : 0, path);
	dir = opendir(slash ? s.directory : ".");
	for (errno = 0; dir && r == 0 && (entry = readdir(dir)); errno = 0)
		r = note_entry(&s, entry->d_name, err);
	if (r == 0 && errno != 0)
		r = err_set(err, -errno, "outbox %s: its directory cannot be read: %s", path, strerror(errno));
	if (dir)
		closedir(dir);
	return r;
}

/* Stopped half way, it is still needed under this name: the rest of it follows at the next start. */
static int check_ended(const char *path, struct err *err)
{
	const char *suffix = strrchr(path, '.');
	struct lockfile lock;
	char outbox[PATH_MAX];
	int r = beside_name(outbox, path, "", err);

	if (r < 0)
		return r;
	outbox[suffix - path] = '\0';
	r = lockfile_look(&lock, outbox, err);
	if (r > 0 && strcmp(lock.aside, suffix) == 0)
		return err_set(err, -EBUSY,
		               "%s has not been set aside to the end, so nothing was removed: the next start of "
		               "ga4relay goes on with it",
		               path);
	return r < 0 ? r : 0;
}

int store_remove_aside(const char *path, void (*said)(const char *name), struct err *err)
{
	struct lockfile lock;
	char name[PATH_MAX];
	int n = 0, r;

	if (!aside_is_name(path) && !is_orphan(path))
		return err_set(err, -EINVAL, "%s is not an outbox that was set aside; left unchanged", path);
	r = aside_is_name(path) ? check_ended(path, err) : 0;
	if (r < 0)
		return r;
	r = lockfile_take(&lock, path, err);
	if (r < 0)
		return r;
	/* Removes the outbox last: while it exists its companions do too, unless they were
	 * removed on purpose. */
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(companions); i++) {
		r = beside_remove(path, companions[i], err);
		if (r > 0 && beside_name(name, path, companions[i], err) == 0)
			said(name);
		n += r > 0;
	}
	if (r >= 0)
		r = beside_remove(path, ".lock", err);
	lockfile_release(&lock, path);
	if (r >= 0)
		r = beside_sync(path, err);
	if (r >= 0 && n == 0)
		return err_set(err, -ENOENT, "%s: there is no such file, nor anything that belongs to it", path);
	return r < 0 ? r : 0;
}

/* ---- setting aside ---- */

/* A file under the new name was moved there by this operation, because that name was free when
 * it began. A file that is still at the old place was created since then; beside_keep_orphan()
 * removes it if it is empty. */
static int move_companion(const char *path, const char *aside, const char *suffix, struct err *err)
{
	int r = beside_look(aside, suffix, NULL, err);

	if (r < 0)
		return r;
	if (r > 0)
		r = beside_keep_orphan(path, suffix, "was made after the outbox had been set aside", err);
	else
		r = beside_rename(path, aside, suffix, err);
	return r < 0 ? r : 0;
}

static int move_all(const char *path, const char *aside, struct err *err)
{
	int there = beside_look(path, "", NULL, err), moved = beside_look(aside, "", NULL, err), r = 0;

	if (there < 0 || moved < 0)
		return there < 0 ? there : moved;
	/* Both exist: the file now at path was created since, and so were the files beside it. */
	if (there > 0 && moved > 0)
		return 0;
	/* Moves the companions first, so that once the outbox is moved they are too. */
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(companions) - 1; i++)
		r = move_companion(path, aside, companions[i], err);
	if (r >= 0 && there > 0)
		r = beside_rename(path, aside, "", err);
	return r < 0 ? r : 0;
}

/* Renames only if the target does not exist. */
static int put_in_place(const char *path, struct err *err)
{
	char from[PATH_MAX];
	int r = beside_look(path, "", NULL, err);

	if (r == 0)
		r = beside_name(from, path, ASIDE_RESTORING, err);
	else if (r > 0)
		return 0;
	if (r == 0)
		r = beside_rename(from, path, "", err);
	if (r >= 0)
		r = beside_sync(path, err);
	return r < 0 ? r : 0;
}

int aside_go_on(const char *path, struct lockfile *lock, struct err *err)
{
	char aside[PATH_MAX];
	bool restore = lock->restore;
	int r = 0;

	if (!lock->aside[0] && !restore)
		return 0;
	if (lock->aside[0]) {
		r = beside_name(aside, path, lock->aside, err);
		if (r == 0)
			r = move_all(path, aside, err);
		if (r == 0)
			r = beside_sync(path, err);
	}
	if (r == 0 && restore)
		r = put_in_place(path, err);
	if (r < 0)
		return r;
	lock->aside[0] = '\0';
	lock->restore = false;
	r = lockfile_write(lock, lock->id_mark, !restore);
	return r < 0 ? err_set(err, r, "outbox %s: its lock file cannot be written: %s", path, strerror(-r)) : 0;
}
