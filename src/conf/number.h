/* number.h - checks that every version of libconfig reads a number alike; private to conf/ */
#ifndef CONF_NUMBER_H
#define CONF_NUMBER_H

#include "base/slice.h"

/* Returns NULL if all versions agree. Otherwise a static text: the rest of a sentence that begins with the number. */
const char *number_problem(struct slice word);

#endif
