/* ids.h - event ids from the command line or, for `-`, from standard input, in portions */
#ifndef CTL_IDS_H
#define CTL_IDS_H

#include "ctl/ctl.h"

enum { IDS_PORTION = 1000 /* maximum of ids per request to the daemon */ };

typedef enum ctl_exit ids_fn(void *arg, const uint64_t *ids, size_t n);
/* Calls fn for portions of at most IDS_PORTION ids and returns the worst of its results. A word that is not an id is
 * reported, from standard input with its line number, and gives CTL_USAGE. */
enum ctl_exit ids_each(const struct ctl *ctl, ids_fn *fn, void *arg) MUST_CHECK;

#endif
