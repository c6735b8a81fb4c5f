/* http_server_framing.h - the ends of requests as RFC 9112 has them, to the byte; nothing else is taken */
#ifndef NET_HTTP_SERVER_HTTP_SERVER_FRAMING_H
#define NET_HTTP_SERVER_HTTP_SERVER_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* Of one connection; begin with {0}. */
struct http_framing {
	unsigned state; /* enum framing_state */
	const char *problem;
	bool chunked, has_length, has_host, may_have_body, is_old /* HTTP/1.0 */, in_trailer;
	uint64_t left;               /* of the body, or of the chunk */
	unsigned n, n_value, spaces; /* n: bytes of a method, a name, a size or a chunk's extension so far */
	char name[24], value[24];    /* as much of them as any that matters has; a request line's end is in value */
};

/* The next n bytes of a connection. NULL, or what is wrong with them, for ever: static text. A chunk's extensions,
 * which evhttp does not know, become spaces in place. */
const char *http_framing_feed(struct http_framing *f, char *p, size_t n);

#endif
