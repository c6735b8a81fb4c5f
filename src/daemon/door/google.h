/* google.h - a verdict in the form that Google's validation endpoint gives it */
#ifndef DAEMON_DOOR_GOOGLE_H
#define DAEMON_DOOR_GOOGLE_H

#include "base/buf.h"
#include "base/macros.h"
#include "model/json.h"
#include "model/verdict.h"

/* Appends {"validationMessages":[…]}; refusal NULL: an empty list. payload shows the offending names where Google's
 * own sentences quote them; NULL when it could not be parsed. 0, -ENOBUFS, -ENOMEM. */
int google_verdict_write(struct buf *out, const struct finding *refusal, const struct json_doc *payload) MUST_CHECK;

#endif
