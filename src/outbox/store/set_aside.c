/* set_aside.c - setting a damaged outbox aside, complete, so that a new one can be created
 *
 * Before anything is renamed, the lock file records the new name (aside.h) and that the outbox
 * is suspect until a new one exists. If interrupted anywhere, the next start completes the
 * operation. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbox/file/beside.h"
#include "outbox/file/lockfile.h"
#include "outbox/file/wal_owner.h"
#include "outbox/store/aside.h"
#include "outbox/store/store.h"

/* Only the outbox's own WAL moves with it. */
static int keep_anothers(const char *path, struct err *err)
{
	struct wal_look look;
	int r = wal_look(path, &look, err);

	if (r == 0)
		r = wal_keep_anothers(path, &look, err);
	return r < 0 ? r : 0;
}

static int write_note(const char *path, struct lockfile *lock, uint64_t id_mark, struct err *err)
{
	int r = lockfile_write(lock, id_mark, true);

	if (r < 0)
		return err_set(err, r, "outbox %s: its lock file cannot be written: %s", path, strerror(-r));
	return beside_sync(path, err); /* the lock file may be new */
}

int aside_begin_empty(const char *path, struct lockfile *lock, uint64_t id_mark, struct err *err)
{
	int r = keep_anothers(path, err);

	return r < 0 ? r : write_note(path, lock, id_mark, err);
}

int aside_begin(const char *path, struct lockfile *lock, enum aside_reason reason, uint64_t id_mark, int64_t wall_us,
                struct err *err)
{
	int r = keep_anothers(path, err);

	if (r == 0)
		r = aside_choose(path, reason, wall_us, lock->aside, err);
	return r < 0 ? r : write_note(path, lock, id_mark, err);
}

uint64_t aside_id_mark(const struct lockfile *lock, int64_t wall_us)
{
	return lock->known && lock->id_mark > 0 ? lock->id_mark : (uint64_t)(wall_us / US_PER_MS);
}

int store_set_aside(const struct store_config *config, int64_t wall_us, char *ret_name, size_t size, struct err *err)
{
	struct lockfile lock;
	char suffix[LOCKFILE_ASIDE_MAX + 1];
	int r = lockfile_take(&lock, config->path, err);

	if (r < 0)
		return r;
	if (!lock.aside[0])
		r = aside_begin(config->path, &lock, ASIDE_CORRUPT, aside_id_mark(&lock, wall_us), wall_us, err);
	strcpy(suffix, lock.aside);
	if (r == 0)
		r = aside_go_on(config->path, &lock, err);
	lockfile_release(&lock, config->path);
	if (r < 0)
		return err_prefix(err, r, "outbox %s: damaged, and it cannot be set aside", config->path);
	return snprintf(ret_name, size, "%s%s", config->path, suffix) < (int)size
	               ? 0
	               : err_set(err, -ENAMETOOLONG, "outbox %s: the path is too long", config->path);
}
