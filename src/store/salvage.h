/* salvage.h - reading on behind a destroyed page (ctl --offline) */
#ifndef STORE_SALVAGE_H
#define STORE_SALVAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/db.h"

struct store;

/* A scan up by `q` (first parameter: the least id) failed looking for ids from `from` on: the least id above from
 * which it works again. False: nothing more can be read, or the trouble was none of a damaged page. */
bool salvage_skip(struct store *st, enum sql q, uint64_t from, uint64_t *ret);

#endif
