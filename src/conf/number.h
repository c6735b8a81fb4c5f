/* number.h - whether every version of libconfig reads a number alike; private to conf/ */
#ifndef CONF_NUMBER_H
#define CONF_NUMBER_H

#include "base/slice.h"

/* NULL: it does. Otherwise the rest of a sentence that begins with the number. */
const char *number_problem(struct slice word);

#endif
