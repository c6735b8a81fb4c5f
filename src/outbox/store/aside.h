/* aside.h - setting an outbox aside: names, companion files, resuming after an interruption */
#ifndef OUTBOX_STORE_ASIDE_H
#define OUTBOX_STORE_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/file/lockfile.h"

enum aside_reason { ASIDE_CORRUPT, ASIDE_REPLACED };

/* Chooses a suffix that neither the outbox nor its companions use yet. */
int aside_choose(const char *path, enum aside_reason reason, int64_t wall_us, char ret[LOCKFILE_ASIDE_MAX + 1],
                 struct err *err) MUST_CHECK;
/* True if the file's name looks like that of an outbox that was set aside. */
bool aside_is_name(const char *path);

/* Stores in the lock file that the outbox is to be set aside, under a name with the current
 * time, and that ids continue from id_mark. A WAL that does not belong to the outbox is moved
 * away before. */
int aside_begin(const char *path, struct lockfile *lock, enum aside_reason reason, uint64_t id_mark, int64_t wall_us,
                struct err *err) MUST_CHECK;
/* Like aside_begin() if there is no outbox, before a backup takes its place. */
int aside_begin_empty(const char *path, struct lockfile *lock, uint64_t id_mark, struct err *err) MUST_CHECK;
/* Returns an id above all that were used: the mark in the lock file or, if that is lost, the
 * clock in milliseconds, which is above any id in use and below 2^53. */
uint64_t aside_id_mark(const struct lockfile *lock, int64_t wall_us);
/* Completes what the lock file says was begun: moves the outbox with its WAL and journal to
 * lock->aside, then, if lock->restore is set, PATH.restoring to its place. May be interrupted
 * anywhere and called again. Afterwards the lock file's entry is cleared. Returns 0, also if
 * nothing was begun, or a negative errno. */
int aside_go_on(const char *path, struct lockfile *lock, struct err *err) MUST_CHECK;

/* Suffix of a complete and synced backup that is about to replace the outbox. */
#define ASIDE_RESTORING ".restoring"

#endif
