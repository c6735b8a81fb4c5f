/* json_read.h - a strict JSON parser that builds a flat tree (src/README.md, traps 19 to 21) */
#ifndef JSON_JSON_READ_H
#define JSON_JSON_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "json/json_tree.h"

struct json_in;

/* max_depth counts nested objects and arrays, at most 32. Memory is bounded by the text: at
 * worst one node of 36 bytes per two bytes of text, released with the next line. Returns NULL if
 * out of memory. */
struct json_in *json_in_new(unsigned max_depth);
/* Limits the number of values in a text, for texts that need few. */
void json_in_limit(struct json_in *in, uint32_t max_values);
struct json_in *json_in_free(struct json_in *in);
/* Parses one object. *ret belongs to `in` and stays valid until the next call; the text must
 * stay in place as long. Returns 0; -EBADMSG: not strict JSON (err gives the problem and its
 * byte offset); -ENOMEM. */
int json_in_read(struct json_in *in, struct slice text, const struct json_doc **ret, struct err *err) MUST_CHECK;

#endif
