/* wal_owner.h - the check, before SQLite opens them, whether a WAL belongs to its outbox */
#ifndef OUTBOX_FILE_WAL_OWNER_H
#define OUTBOX_FILE_WAL_OWNER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macros.h"

enum wal_kind {
	WAL_NONE,    /* no file, or an empty one */
	WAL_NO_WAL,  /* the file is not a WAL */
	WAL_UNUSED,  /* it contains no committed transaction */
	WAL_OWN,     /* or nothing contradicts it: versions before 1.0 wrote no marks (pairing.h) */
	WAL_ANOTHERS /* of another file, or of an older or newer copy of this one */
};

struct wal_look {
	enum wal_kind kind;
	bool is_needed; /* the database's mark says that it is incomplete without its WAL */
	bool has_mode;  /* the database is in WAL mode, so it has no rollback journal */
};

/* Examines the WAL of path. The caller holds the lock and has checked that path is a regular
 * file or does not exist (then an existing WAL is WAL_ANOTHERS). A negative result means that a
 * file cannot be opened or read, and err names it. Must not run while this process has the
 * database open (src/README.md, trap 2). */
int wal_look(const char *path, struct wal_look *ret, struct err *err) MUST_CHECK;
/* Renames a WAL and a rollback journal that do not belong to the outbox, so that SQLite does not
 * replay them; each is logged as an error. Returns 1 if something was renamed, 0 if not. */
int wal_keep_anothers(const char *path, const struct wal_look *look, struct err *err) MUST_CHECK;

#endif
