/* nearest.h - a suggestion for a mistyped name */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

#include "base/slice.h"

/* Returns the name with the least edit distance (a transposition costs one) if that is at most a
 * third of the longer name's length, or at most 2 for short names; otherwise NULL. */
const char *nearest_name(struct slice name, const char *const names[], size_t n);

#endif
