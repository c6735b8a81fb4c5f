/* json_write.h - JSON text into a buf: yajl_gen behind a few verbs that cannot be half-checked */
#ifndef JSON_JSON_WRITE_H
#define JSON_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"

struct json_out; /* errors stick: the verbs return nothing and json_out_end() tells */

/* Appends one value to `out`, which must outlive it. NULL: no memory. */
struct json_out *json_out_begin(struct buf *out);
void json_out_object(struct json_out *j);
void json_out_array(struct json_out *j);
void json_out_close(struct json_out *j); /* the innermost object or array */
void json_out_key(struct json_out *j, const char *key);
void json_out_str(struct json_out *j, const char *s);    /* NULL: null */
void json_out_slice(struct json_out *j, struct slice s); /* bytes that are not UTF-8 become U+FFFD */
void json_out_i64(struct json_out *j, int64_t v);
void json_out_double(struct json_out *j, double v); /* not finite: null; shortest text that reads back */
void json_out_bool(struct json_out *j, bool v);
void json_out_null(struct json_out *j);
void json_out_raw(struct json_out *j, struct slice text); /* a value that is JSON already */
/* Key and value at once, for objects. */
void json_out_kv_str(struct json_out *j, const char *key, const char *s);
void json_out_kv_i64(struct json_out *j, const char *key, int64_t v);
void json_out_kv_bool(struct json_out *j, const char *key, bool v);
void json_out_kv_double(struct json_out *j, const char *key, double v);
/* Closes what is open, frees j; 0 or the first error (-ENOMEM, -ENOBUFS); on error `out` is as it was before begin.
 */
int json_out_end(struct json_out *j) MUST_CHECK;

#endif
