/* schema.h - the fleet's tables in PostgreSQL: made and migrated by `ga4relay-ctl fleet-init` */
#ifndef FLEET_SCHEMA_H
#define FLEET_SCHEMA_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

/* Of the schema that this program writes. */
int fleet_schema_version(void);
/* Whether this program works with a schema of that version, whose oldest program is works_from: 0, or -EPROTO with a
 * sentence. */
int fleet_schema_check(int64_t version, int64_t works_from, struct err *err) MUST_CHECK;
/* Creates what is missing; harmless when nothing is. Blocks. *ret_from: the version found, 0: none. */
int fleet_schema_init(const char *conninfo, int *ret_from, struct err *err) MUST_CHECK;

#endif
