/* ids.h - event ids from the command line or, for `-`, from standard input, handed on in portions */
#ifndef CTL_IDS_H
#define CTL_IDS_H

#include "ctl/ctl.h"

enum { IDS_PORTION = 1000 /* what the daemon takes in a request */ };

typedef enum ctl_exit ids_fn(void *arg, const uint64_t *ids, size_t n);
/* Calls fn for portions of at most IDS_PORTION; the worst of its answers is the result. A word that is no id:
 * CTL_USAGE, named (with its line, from standard input). */
enum ctl_exit ids_each(const struct ctl *ctl, ids_fn *fn, void *arg) MUST_CHECK;

#endif
