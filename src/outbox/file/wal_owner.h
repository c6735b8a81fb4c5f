/* wal_owner.h - whether the WAL that lies beside an outbox is its own, read before SQLite opens them */
#ifndef OUTBOX_FILE_WAL_OWNER_H
#define OUTBOX_FILE_WAL_OWNER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macros.h"

enum wal_kind {
	WAL_NONE,    /* there is none, or an empty file */
	WAL_NO_WAL,  /* the file is not a WAL */
	WAL_UNUSED,  /* nothing was committed in it */
	WAL_OWN,     /* or nothing says that it is not: versions before 1.0 wrote no marks (pairing.h) */
	WAL_ANOTHERS /* of another file, or of an older or newer copy of this one */
};

struct wal_look {
	enum wal_kind kind;
	bool is_needed; /* the database's mark says that it cannot be whole without its WAL */
	bool has_mode;  /* the database is in WAL mode: it has no rollback journal */
};

/* The caller holds the lock and has checked that path is a regular file, or that there is none (then the WAL of a
 * file that is gone is WAL_ANOTHERS). Negative: something cannot be opened or read, and err names it. Must not run
 * while this process has the database open (src/README.md, trap 2). */
int wal_look(const char *path, struct wal_look *ret, struct err *err) MUST_CHECK;
/* Keeps a WAL and a rollback journal that are not its own out of SQLite's way, each logged as an error. 1: something
 * was kept; 0: there was nothing. */
int wal_keep_anothers(const char *path, const struct wal_look *look, struct err *err) MUST_CHECK;

#endif
