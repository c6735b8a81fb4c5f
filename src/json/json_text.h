/* json_text.h - JSON text written and walked by hand where a library would allocate */
#ifndef JSON_JSON_TEXT_H
#define JSON_JSON_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"

/* Appends s as a JSON string with its quotes, escaping no more than must be: the same value has one text. s is valid
 * UTF-8. 0, -ENOBUFS, -ENOMEM. */
int json_text_append_string(struct buf *out, struct slice s) MUST_CHECK;

/* A walk over the members of an object's valid text:
 *	struct json_text_member m;
 *	for (bool more = json_text_first(object, &m); more; more = json_text_next(&m)) */
struct json_text_member {
	struct slice key;   /* with its quotes, as written */
	struct slice value; /* as written */
	const char *end;    /* of the object's text */
};
/* False: no object, or an empty one. */
bool json_text_first(struct slice object, struct json_text_member *ret);
bool json_text_next(struct json_text_member *m);

#endif
