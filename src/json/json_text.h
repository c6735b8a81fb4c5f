/* json_text.h - JSON text written and scanned without a library, where one would allocate */
#ifndef JSON_JSON_TEXT_H
#define JSON_JSON_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"

/* Appends s, which must be valid UTF-8, as a JSON string with quotes. Escapes only what must be
 * escaped, so that equal values have equal texts. Returns 0, -ENOBUFS or -ENOMEM. */
int json_text_append_string(struct buf *out, struct slice s) MUST_CHECK;

/* An iteration over the members of an object's valid text:
 *	struct json_text_member m;
 *	for (bool more = json_text_first(object, &m); more; more = json_text_next(&m)) */
struct json_text_member {
	struct slice key;   /* with its quotes, as written */
	struct slice value; /* as written */
	const char *end;    /* end of the object's text */
};
/* Returns false if the text is not an object, or an empty one. */
bool json_text_first(struct slice object, struct json_text_member *ret);
bool json_text_next(struct json_text_member *m);

#endif
