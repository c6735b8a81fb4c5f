/* door_access.h - pure decisions on access to the HTTP door: Host, secret, stream */
#ifndef HTTP_DOOR_ACCESS_H
#define HTTP_DOOR_ACCESS_H

#include <stdbool.h>

#include "conf/conf.h"

/* A Host header against the configured names, which have no port: "LOCALHOST:8125" is localhost, "[::1]:8125" is
 * [::1]. host may be NULL: no. hosts is NULL-terminated. */
bool door_host_allowed(const char *host, char *const *hosts);
/* Takes as long for a wrong secret as for a right one of the same length. */
bool door_secret_equal(const char *given, const char *secret);

enum door_stream { DOOR_STREAM_FOUND, DOOR_STREAM_UNKNOWN, DOOR_STREAM_NOT_NAMED /* none or both in the query */ };
/* The stream that a request's query names. *ret_index is that in conf->streams, when found. */
enum door_stream door_find_stream(const struct conf *conf, const char *measurement_id, const char *firebase_app_id,
                                  size_t *ret_index);

#endif
