/* beside.h - the files beside an outbox: their names, whether they are there, renaming them so that it lasts
 *
 * Only ENOENT means that a file is not there. Whatever else keeps a file from being looked at is an error that names
 * it: a file that cannot be read must never be treated as one that is missing or damaged. */
#ifndef OUTBOX_FILE_BESIDE_H
#define OUTBOX_FILE_BESIDE_H

#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

/* path with the suffix. -ENAMETOOLONG. */
int beside_name(char ret[PATH_MAX], const char *path, const char *suffix, struct err *err) MUST_CHECK;
/* 1: there is such a file (*ret, which may be NULL, is its lstat); 0: there is none; negative: that cannot be told.
 */
int beside_look(const char *path, const char *suffix, struct stat *ret, struct err *err) MUST_CHECK;
/* from to to, which must be free; each with the suffix. 1: renamed; 0: there was nothing to rename. */
int beside_rename(const char *from, const char *to, const char *suffix, struct err *err) MUST_CHECK;
/* 1: removed; 0: there was nothing. */
int beside_remove(const char *path, const char *suffix, struct err *err) MUST_CHECK;
/* Renames and removals in the directory of path are on the disk. */
int beside_sync(const char *path, struct err *err) MUST_CHECK;
/* n bytes at that offset of the file that err names; fewer only at its end. The count, or negative. */
ssize_t beside_read(int fd, const char *name, void *p, size_t n, off_t at, struct err *err) MUST_CHECK;
/* Keeps path's -wal or -journal, which is not its own, under a name of its own: PATH-wal.orphan, PATH-wal.orphan-2,
 * …; an empty file is removed. 1: kept, and logged with why; 0: there was nothing to keep. */
int beside_keep_orphan(const char *path, const char *suffix, const char *why, struct err *err) MUST_CHECK;

#endif
