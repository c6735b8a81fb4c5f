/* json_read.h - strict JSON to a flat tree: what yajl lets pass is refused here (traps 19 to 21) */
#ifndef JSON_JSON_READ_H
#define JSON_JSON_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "json/json_tree.h"

struct json_in;

/* max_depth counts objects and arrays, 32 at most. Memory is bounded by the text: a node of 36 bytes for each two
 * bytes at worst, given back with the next line. NULL: no memory. */
struct json_in *json_in_new(unsigned max_depth);
/* More values than that in one text are refused: for texts that are known to need few. */
void json_in_limit(struct json_in *in, uint32_t max_values);
struct json_in *json_in_free(struct json_in *in);
/* Reads one object. *ret stays valid until the next call. The text must stay in place as long as *ret is used.
 * 0; -EBADMSG: not strict JSON (err says what and at which byte); -ENOMEM. */
int json_in_read(struct json_in *in, struct slice text, const struct json_doc **ret, struct err *err) MUST_CHECK;

#endif
