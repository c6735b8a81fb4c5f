/* google_verdict.h - a verdict in the form that Google's validation endpoint gives it */
#ifndef GA4_GOOGLE_VERDICT_H
#define GA4_GOOGLE_VERDICT_H

#include "base/buf.h"
#include "base/macros.h"
#include "ga4/verdict.h"
#include "json/json_tree.h"

/* Appends {"validationMessages":[…]} with n findings. payload shows the offending names where Google's
 * own sentences quote them; NULL when it could not be parsed. 0, -ENOBUFS, -ENOMEM. */
int google_verdict_write(struct buf *out, const struct finding *findings, size_t n,
                         const struct json_doc *payload) MUST_CHECK;

#endif
