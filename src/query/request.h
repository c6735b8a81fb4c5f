/* request.h - a request of ga4relay-ctl: a JSON object whose members are read by name
 *
 * A missing member reads as an empty slice, no ids, 0 or false. */
#ifndef QUERY_REQUEST_H
#define QUERY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "json/json_read.h"

enum { QUERY_IDS_MAX = 1000 /* ids per request */ };

/* A parsed request, valid as long as the document is. */
struct request {
	const struct json_doc *doc;
};

struct slice request_text(const struct request *r, const char *name);
bool request_flag(const struct request *r, const char *name);
int request_u64(const struct request *r, const char *name, uint64_t *ret, struct err *err) MUST_CHECK;
/* *ret is malloc'd and owned by the caller. Without ids, *ret is NULL and *ret_n is 0. */
int request_ids(const struct request *r, uint64_t **ret, size_t *ret_n, struct err *err) MUST_CHECK;

#endif
