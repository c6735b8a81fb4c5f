/* cookie.h - the ids inside Google's cookies, and times as GA4 writes them */
#ifndef GA4_COOKIE_H
#define GA4_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"
#include "json/json_tree.h"

/* `_ga`: "GA1.1.123.456" and "GA1.2-2.123.456" hold the client_id "123.456", a slice of the value. */
bool cookie_client_id(struct slice value, struct slice *ret);
/* `_ga_<container>`: "GS1.1.1700000000.…" and "GS2.1.s1700000000$o…" hold the session_id, digits. */
bool cookie_session_id(struct slice value, struct slice *ret);

/* A whole number, as number or (digits only) as string; what int64_t cannot hold becomes its nearest end.
 * 0 or -EINVAL. */
int micros_read(const struct json_doc *d, const struct json_node *node, int64_t *ret) MUST_CHECK;
/* The same with fractions: 0, or 1 when one was rounded down, or -EINVAL. */
int micros_read_time(const struct json_doc *d, const struct json_node *node, int64_t *ret) MUST_CHECK;

#endif
