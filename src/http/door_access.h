/* door_access.h - access checks of the HTTP door: Host header, secret, stream; pure functions */
#ifndef HTTP_DOOR_ACCESS_H
#define HTTP_DOOR_ACCESS_H

#include <stdbool.h>

#include "conf/conf.h"

/* Whether a Host header, less its port, is an IP address or one of the configured names: "LOCALHOST:8125" matches
 * localhost. host may be NULL, which matches nothing; hosts is NULL-terminated. */
bool door_host_allowed(const char *host, char *const *hosts);
/* Whether a request comes from the page at this Host, or from no page at all: its headers, each of which may be NULL.
 * Browsers send Origin with each POST and Sec-Fetch-Site with each request to a loopback address; to them, another
 * port is the same site, but not the same origin. */
bool door_same_origin(const char *origin, const char *fetch_site, const char *host);
/* Compares secrets in constant time for equal lengths. */
bool door_secret_equal(const char *given, const char *secret);

enum door_stream {
	DOOR_STREAM_FOUND,
	DOOR_STREAM_UNKNOWN,
	DOOR_STREAM_NOT_NAMED /* the query has none of the two ids, or both */
};
/* Finds the stream named by a request's query. *ret_index is its index in conf->streams, set only when found. */
enum door_stream door_find_stream(const struct conf *conf, const char *measurement_id, const char *firebase_app_id,
                                  size_t *ret_index);

#endif
