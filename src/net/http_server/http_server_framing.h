/* http_server_framing.h - a strict parser for the boundaries of HTTP requests (RFC 9112) */
#ifndef NET_HTTP_SERVER_HTTP_SERVER_FRAMING_H
#define NET_HTTP_SERVER_HTTP_SERVER_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* The state of one connection; initialise it with {0}. */
struct http_framing {
	unsigned state; /* enum framing_state */
	const char *problem;
	bool chunked, has_length, has_host, may_have_body, is_old /* HTTP/1.0 */, in_trailer;
	uint64_t left; /* bytes left of the body or of the chunk */
	/* N: bytes of a method, a name, a size or a chunk extension so far */
	unsigned n, n_value, spaces;
	/* Long enough for all headers that matter; `value` also holds the end of the request
	 * line */
	char name[24], value[24];
};

/* Parses the next n bytes of a connection. Returns NULL, or static text with the error, which is
 * permanent. Chunk extensions, which evhttp does not support, are overwritten with spaces. */
const char *http_framing_feed(struct http_framing *f, char *p, size_t n);

#endif
