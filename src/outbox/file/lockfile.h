/* lockfile.h - PATH.lock: one process per outbox, and facts that survive a damaged database
 *
 * The file is text: a title line, `next_id N` (every id below N may have been used), `suspect
 * 0|1` (the last process found damage while it ran), `closed 0|1` (it ended normally: N is
 * exact), `aside SUFFIX|none` (the outbox is being set aside under its name plus that suffix:
 * set_aside.c) and `restore 0|1` (a backup will replace it: restore.c). All fields have a fixed
 * width and are rewritten in place, so a full disk cannot damage the file. */
#ifndef OUTBOX_FILE_LOCKFILE_H
#define OUTBOX_FILE_LOCKFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum { LOCKFILE_ASIDE_MAX = 40 };

struct lockfile {
	int fd; /* -1: not locked */
	uint64_t id_mark;
	bool suspect;
	/* The last process closed the outbox: id_mark is its next id */
	bool closed;
	/* It already was an outbox's lock file before this process started */
	bool known;
	char aside[LOCKFILE_ASIDE_MAX + 1]; /* "": nothing is being set aside */
	bool restore;
};

/* Makes it when it is missing. 0; -EBUSY another process holds it. */
int lockfile_take(struct lockfile *ret, const char *outbox_path, struct err *err) MUST_CHECK;
/* Whether there is one with our title, and what it says, without taking it: 1 or 0; negative: that cannot be told. */
int lockfile_look(struct lockfile *ret, const char *outbox_path, struct err *err) MUST_CHECK;
/* Writes and syncs the facts; closed, aside and restore as they stand in *l. */
int lockfile_write(struct lockfile *l, uint64_t id_mark, bool suspect) MUST_CHECK;
void lockfile_release(struct lockfile *l, const char *outbox_path);

#endif
