/* identify.h - whose file is that? Looked at before SQLite touches it */
#ifndef OUTBOX_FILE_IDENTIFY_H
#define OUTBOX_FILE_IDENTIFY_H

#include "base/err.h"
#include "base/macros.h"

enum outbox_file {
	OUTBOX_MISSING, /* or empty: a new one may be made */
	OUTBOX_OURS,
	OUTBOX_DAMAGED, /* the header is no SQLite header, yet the lock file says that an outbox was here */
	OUTBOX_STRANGE  /* no SQLite header, and nothing says that it ever was an outbox */
};

/* Each file of an outbox has one name, of its own: through a link somebody else's file would be written, and a WAL
 * beside the other name would not be found. -EPROTO: one has not, and nothing was touched. */
int outbox_check_names(const char *path, struct err *err) MUST_CHECK;

/* Reads 100 bytes. -EPROTO: somebody else's, or newer. Must not run while this process has the database open: closing
 * any descriptor of the file drops SQLite's locks (src/README.md, trap 2). */
int outbox_identify(const char *path, enum outbox_file *ret, struct err *err) MUST_CHECK;

#endif
