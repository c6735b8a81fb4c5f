/* aside.h - outboxes that were set aside: their names, and what belongs to them */
#ifndef OUTBOX_STORE_ASIDE_H
#define OUTBOX_STORE_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/file/lockfile.h"

enum aside_reason { ASIDE_CORRUPT, ASIDE_REPLACED };

/* A suffix under which neither the outbox nor anything of it is there yet. */
int aside_choose(const char *path, enum aside_reason reason, int64_t wall_us, char ret[LOCKFILE_ASIDE_MAX + 1],
                 struct err *err) MUST_CHECK;
/* Does a file of this name look like one that was set aside? */
bool aside_is_name(const char *path);

/* Notes in the lock file that the outbox is to be set aside under a name of now, and that ids go on from id_mark. A
 * WAL that is not its own is kept apart before. */
int aside_begin(const char *path, struct lockfile *lock, enum aside_reason reason, uint64_t id_mark, int64_t wall_us,
                struct err *err) MUST_CHECK;
/* The same where there is no outbox, for a backup that is to take its place. */
int aside_begin_empty(const char *path, struct lockfile *lock, uint64_t id_mark, struct err *err) MUST_CHECK;
/* Above every id that was given: what the lock file says or, where that is lost, the clock in milliseconds, which is
 * above any that could be, and below 2^53. */
uint64_t aside_id_mark(const struct lockfile *lock, int64_t wall_us);
/* Goes on with what the lock file says was begun: the outbox under lock->aside, with its WAL and journal; then, if
 * lock->restore, PATH.restoring in its place. May be stopped at any point and called again. Afterwards the note is
 * gone. 0, also when nothing was begun; negative. */
int aside_go_on(const char *path, struct lockfile *lock, struct err *err) MUST_CHECK;

/* Where a backup waits, whole and synced, to take the outbox's place. */
#define ASIDE_RESTORING ".restoring"

#endif
