/* nearest.h - the known name that a mistyped one probably meant */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

#include "base/slice.h"

/* Of n names the one with the least edit distance (transpositions count one), when it is at most
 * a third of the longer name's length and at least within 2 for short ones; NULL when none is near. */
const char *nearest_name(struct slice name, const char *const names[], size_t n);

#endif
