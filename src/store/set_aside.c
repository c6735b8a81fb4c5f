/* set_aside.c - a damaged outbox makes way, whole, for a new one
 *
 * It may be stopped at any point and goes on at the next start, under the same name: the companions go first, and the
 * lock file calls the outbox suspect until a new one is there. */
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/lockfile.h"
#include "store/store.h"

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* The path's own bytes stand for themselves. */
static bool make_pattern(const char *path, char ret[2 * PATH_MAX + 32])
{
	size_t n = 0;

	if (strlen(path) >= PATH_MAX)
		return false;
	for (const char *p = path; *p; p++) {
		if (strchr("*?[\\", *p))
			ret[n++] = '\\';
		ret[n++] = *p;
	}
	strcpy(ret + n, ".corrupt-*-wal");
	return true;
}

/* The name that an earlier start gave it before it was stopped: the WAL has it already. */
static bool find_begun(const char *path, char *ret, size_t size)
{
	char pattern[2 * PATH_MAX + 32];
	bool begun = false;
	glob_t found;

	if (!make_pattern(path, pattern) || glob(pattern, 0, NULL, &found) != 0)
		return false;
	for (size_t i = found.gl_pathc; i > 0 && !begun; i--) {
		const char *wal = found.gl_pathv[i - 1];
		int n = (int)(strlen(wal) - strlen("-wal"));

		begun = snprintf(ret, size, "%.*s", n, wal) < (int)size && !exists(ret);
	}
	globfree(&found);
	return begun;
}

bool store_set_aside_begun(const char *path)
{
	char aside[PATH_MAX];

	return find_begun(path, aside, sizeof(aside));
}

/* A name that is free: two in one second get a number. */
static int choose_name(const char *path, int64_t wall_us, char *ret, size_t size)
{
	time_t seconds = (time_t)(wall_us / US_PER_S);
	char stamp[32];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm) == 0)
		return -EINVAL;
	if (snprintf(ret, size, "%s.corrupt-%s", path, stamp) >= (int)size)
		return -ENAMETOOLONG;
	for (int i = 2; exists(ret) && i < 100; i++) {
		if (snprintf(ret, size, "%s.corrupt-%s-%d", path, stamp, i) >= (int)size)
			return -ENAMETOOLONG;
	}
	return exists(ret) ? -EEXIST : 0;
}

/* What has followed already stays; what an opening made since is no loss (new_outbox.c). */
static int move_companion(const char *path, const char *aside, const char *suffix)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (snprintf(from, sizeof(from), "%s%s", path, suffix) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s%s", aside, suffix) >= (int)sizeof(to))
		return -ENAMETOOLONG;
	return !exists(to) && rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

static int move_all(const struct store_config *config, struct lockfile *lock, const char *aside, int64_t wall_us)
{
	/* The new outbox's ids begin at the mark. One that was lost is replaced by the clock in milliseconds: above
	 * any id that was ever given, and below 2^53. */
	uint64_t mark = lock->known && lock->id_mark > 0 ? lock->id_mark : (uint64_t)(wall_us / US_PER_MS);
	int r = lockfile_write(lock, mark, true);

	if (r == 0)
		r = move_companion(config->path, aside, "-wal");
	if (r == 0)
		r = move_companion(config->path, aside, "-journal");
	if (r == 0 && rename(config->path, aside) < 0)
		r = -errno;
	return r;
}

static bool is_aside(const char *name, const char *outbox)
{
	size_t n = strlen(outbox);
	const char *zulu;

	if (strncmp(name, outbox, n) != 0 || strncmp(name + n, ".corrupt-", 9) != 0)
		return false;
	zulu = strchr(name + n + 9, 'Z'); /* what follows is a number, or it is a companion */
	return zulu && strspn(zulu + 1, "-0123456789") == strlen(zulu + 1);
}

bool store_find_aside(const char *path, char *ret_name, size_t size)
{
	const char *slash = strrchr(path, '/'), *outbox = slash ? slash + 1 : path;
	char directory[PATH_MAX], newest[NAME_MAX + 1] = "";
	const struct dirent *entry;
	DIR *dir;

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	dir = opendir(directory);
	while (dir && (entry = readdir(dir)))
		if (is_aside(entry->d_name, outbox) && strcmp(entry->d_name, newest) > 0)
			snprintf(newest, sizeof(newest), "%s", entry->d_name);
	if (dir)
		closedir(dir);
	return newest[0] && snprintf(ret_name, size, "%s%s", slash ? directory : "", newest) < (int)size;
}

int store_set_aside(const struct store_config *config, int64_t wall_us, char *ret_name, size_t size, struct err *err)
{
	struct lockfile lock;
	char aside[PATH_MAX];
	int r = lockfile_take(&lock, config->path, err);

	if (r < 0)
		return r;
	if (!lock.suspect || !find_begun(config->path, aside, sizeof(aside)))
		r = choose_name(config->path, wall_us, aside, sizeof(aside));
	if (r == 0 && strlen(aside) >= size)
		r = -ENAMETOOLONG;
	if (r == 0)
		r = move_all(config, &lock, aside, wall_us);
	lockfile_release(&lock, config->path);
	if (r < 0)
		return err_set(err, r, "outbox %s: damaged, and it cannot be renamed: %s", config->path,
		               strerror(-r));
	strcpy(ret_name, aside);
	return 0;
}
