/* lockfile.h - PATH.lock: one process an outbox, and the facts that must outlive a damaged database
 *
 * The file is text: a title line, `next_id N` (every id below N may have been used), `suspect 0|1` (the last process
 * met damage while it ran) and `closed 0|1` (it ended in order: N is exact). Fixed width, rewritten in place, so that
 * a full disk cannot hurt it. */
#ifndef STORE_LOCKFILE_H
#define STORE_LOCKFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

struct lockfile {
	int fd; /* -1: not held */
	uint64_t id_mark;
	bool suspect;
	bool closed; /* the last process closed the outbox: id_mark is its next id */
	bool known;  /* it has been an outbox's lock file before this process came */
};

/* Makes it when it is missing. 0; -EBUSY another process holds it. */
int lockfile_take(struct lockfile *ret, const char *outbox_path, struct err *err) MUST_CHECK;
/* Whether there is one with our title, without taking it. */
bool lockfile_exists(const char *outbox_path);
/* Writes and syncs the facts; closed as it stands in *l. */
int lockfile_write(struct lockfile *l, uint64_t id_mark, bool suspect) MUST_CHECK;
void lockfile_release(struct lockfile *l, const char *outbox_path);

#endif
