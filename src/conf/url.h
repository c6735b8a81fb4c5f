/* url.h - splits an http URL into its parts, strictly; private to conf/ */
#ifndef CONF_URL_H
#define CONF_URL_H

#include <stdbool.h>

#include "base/macros.h"
#include "base/slice.h"

struct url {
	struct slice scheme, userinfo, host, port; /* host: an IPv6 address keeps its brackets; port may be empty */
	struct slice path;                         /* from its first '/', without query and fragment; may be empty */
	bool has_userinfo, has_query, has_fragment;
};

/* Returns NULL, or a short static text on what is wrong that quotes nothing. The parts point into text. */
const char *url_split(const char *text, struct url *ret) MUST_CHECK;
/* Whether host is "localhost", in 127.0.0.0/8, or [::1]. */
bool host_is_loopback(struct slice host);
/* Whether port is a number from 1 to 65535. */
bool port_is_valid(struct slice port);

#endif
