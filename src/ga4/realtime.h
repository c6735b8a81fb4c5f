/* realtime.h - whether GA4 shows an accepted event in its Realtime report */
#ifndef GA4_REALTIME_H
#define GA4_REALTIME_H

#include <stdint.h>

#include "json/json_tree.h"

/* event is an element of a request's "events", age_us how long ago it happened. NULL: it shows. Otherwise why not, as
 * a clause: static text. */
const char *realtime_why_not(const struct json_doc *event, int64_t age_us);

#endif
