/* identify.h - the check that a file is an outbox of ga4relay, before SQLite opens it */
#ifndef OUTBOX_FILE_IDENTIFY_H
#define OUTBOX_FILE_IDENTIFY_H

#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

enum outbox_file {
	OUTBOX_MISSING, /* or empty: a new one may be created */
	OUTBOX_OURS,
	OUTBOX_DAMAGED, /* not an SQLite header, but the lock file shows that an outbox was here */
	OUTBOX_STRANGE  /* not an SQLite header, and no sign that it ever was an outbox */
};

/* Checks that each file of the outbox is a regular file with a single link: through a link the
 * file of another program would be written, and a WAL beside the other name would not be found.
 * They must be of that owner, or root's. Returns -EPROTO if not; nothing was changed then. */
int outbox_check_names(const char *path, uid_t owner, struct err *err) MUST_CHECK;

/* Identifies the file by its first 100 bytes. Returns -EPROTO if it belongs to another program
 * or to a newer version. Must not run while this process has the database open, because closing
 * any descriptor of the file drops SQLite's locks (src/README.md, trap 2). */
int outbox_identify(const char *path, enum outbox_file *ret, struct err *err) MUST_CHECK;

#endif
