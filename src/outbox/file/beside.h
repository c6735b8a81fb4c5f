/* beside.h - operations on the files beside an outbox: names, existence, durable renames
 *
 * Only ENOENT means that a file does not exist. Any other failure to access a file is an error
 * that names it: an unreadable file must never be treated as missing or damaged. */
#ifndef OUTBOX_FILE_BESIDE_H
#define OUTBOX_FILE_BESIDE_H

#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

/* Writes path plus suffix to ret. Returns 0 or -ENAMETOOLONG. */
int beside_name(char ret[PATH_MAX], const char *path, const char *suffix, struct err *err) MUST_CHECK;
/* Returns 1 if the file exists (*ret, which may be NULL, gets its lstat), 0 if not, or a
 * negative errno if that cannot be determined. */
int beside_look(const char *path, const char *suffix, struct stat *ret, struct err *err) MUST_CHECK;
/* Renames `from` to `to`, each with the suffix; `to` must not exist. Returns 1 if renamed, 0 if
 * there was no such file. */
int beside_rename(const char *from, const char *to, const char *suffix, struct err *err) MUST_CHECK;
/* Returns 1 if removed, 0 if there was no such file. */
int beside_remove(const char *path, const char *suffix, struct err *err) MUST_CHECK;
/* Syncs the directory of path, which makes renames and removals in it durable. */
int beside_sync(const char *path, struct err *err) MUST_CHECK;
/* Reads n bytes at that offset; fewer only at the end of the file. `name` is the file's name for
 * err. Returns the count or a negative errno. */
ssize_t beside_read(int fd, const char *name, void *p, size_t n, off_t at, struct err *err) MUST_CHECK;
/* Renames a -wal or -journal that does not belong to path to PATH-wal.orphan, PATH-wal.orphan-2,
 * …; removes it if it is empty. Returns 1 if kept (logged with the reason), 0 if there was
 * nothing to keep. */
int beside_keep_orphan(const char *path, const char *suffix, const char *why, struct err *err) MUST_CHECK;

#endif
