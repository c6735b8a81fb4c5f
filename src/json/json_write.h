/* json_write.h - a JSON writer into a struct buf, on top of yajl_gen */
#ifndef JSON_JSON_WRITE_H
#define JSON_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"

/* Keeps the first error: the writing functions return nothing, json_out_end() reports it */
struct json_out;

/* Starts one value, appended to `out`, which must outlive the writer. Returns NULL if out of
 * memory. */
struct json_out *json_out_begin(struct buf *out);
void json_out_object(struct json_out *j);
void json_out_array(struct json_out *j);
void json_out_close(struct json_out *j); /* closes the innermost object or array */
void json_out_key(struct json_out *j, const char *key);
void json_out_str(struct json_out *j, const char *s); /* NULL is written as null */
/* Each byte that is not UTF-8 becomes U+FFFD */
void json_out_slice(struct json_out *j, struct slice s);
void json_out_i64(struct json_out *j, int64_t v);
/* The shortest text that reads back the same; null if not finite */
void json_out_double(struct json_out *j, double v);
void json_out_bool(struct json_out *j, bool v);
void json_out_null(struct json_out *j);
void json_out_raw(struct json_out *j, struct slice text); /* a value that is JSON already */
/* These write a key and its value, for objects. */
void json_out_kv_str(struct json_out *j, const char *key, const char *s);
void json_out_kv_i64(struct json_out *j, const char *key, int64_t v);
void json_out_kv_bool(struct json_out *j, const char *key, bool v);
void json_out_kv_double(struct json_out *j, const char *key, double v);
/* Closes all open containers and frees j. Returns 0 or the first error (-ENOMEM, -ENOBUFS); on
 * error `out` is as it was before json_out_begin(). */
int json_out_end(struct json_out *j) MUST_CHECK;

#endif
