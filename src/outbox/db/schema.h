/* schema.h - the outbox's tables, and how an older file becomes a present one */
#ifndef OUTBOX_DB_SCHEMA_H
#define OUTBOX_DB_SCHEMA_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"

/* "ga4r" at offset 68 of the file: what tells our files from others. */
#define SCHEMA_APPLICATION_ID 0x67613472

/* What this program writes; a file with a greater number is refused. */
int schema_version(void);
/* Runs what is missing from version `from` on, in one transaction. 0 (also when nothing was missing) or negative. */
int schema_migrate(struct db *db, int from, struct err *err) MUST_CHECK;
/* The same by any steps: steps[i] makes version i + 1 of version i. */
int schema_climb(struct db *db, const char *const *steps, int from, int to, struct err *err) MUST_CHECK;

#endif
