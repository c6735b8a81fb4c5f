/* schema.h - the outbox's tables and the migrations from older formats */
#ifndef OUTBOX_DB_SCHEMA_H
#define OUTBOX_DB_SCHEMA_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/db/db.h"

/* "ga4r" at offset 68 of the file, which identifies an outbox of ga4relay. */
#define SCHEMA_APPLICATION_ID 0x67613472

/* Returns the version that this program writes; a file with a higher version is refused. */
int schema_version(void);
/* Runs the missing migrations from version `from` on, in one transaction. Returns 0 (also if
 * none was missing) or a negative errno. */
int schema_migrate(struct db *db, int from, struct err *err) MUST_CHECK;
/* Like schema_migrate(), with the given steps: steps[i] migrates version i to version i + 1. */
int schema_climb(struct db *db, const char *const *steps, int from, int to, struct err *err) MUST_CHECK;

#endif
