/* json_problem.h - why a text is not JSON, in words for whoever wrote it */
#ifndef JSON_JSON_PROBLEM_H
#define JSON_JSON_PROBLEM_H

#include <stddef.h>

#include "base/slice.h"

enum { JSON_PROBLEM_MAX = 160 };

/* Finds the first place where text, which is UTF-8, is not one JSON object, and writes a sentence about it. Returns
 * its offset, or SIZE_MAX if the grammar has nothing against the text. */
size_t json_problem_find(struct slice text, char why[JSON_PROBLEM_MAX]);

#endif
