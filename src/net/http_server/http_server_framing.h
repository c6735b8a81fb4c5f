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
	/* NULL, or static text with the error, which is permanent */
	const char *problem;
	bool chunked, has_length, has_host, may_have_body, is_old /* HTTP/1.0 */, in_trailer, past_head;
	/* What the last piece was the end of */
	bool head_ended, ended;
	uint64_t left; /* bytes left of the body or of the chunk */
	/* N: bytes of a method, a name, a size or a chunk extension so far */
	unsigned n, n_value, spaces;
	/* Long enough for all headers that matter; `value` also holds the end of the request
	 * line */
	char name[24], value[24];
};

enum http_piece_kind {
	HTTP_PIECE_HEAD, /* of the request line and the headers, or of empty lines before them */
	HTTP_PIECE_BODY,
	HTTP_PIECE_FRAME /* of chunk sizes and trailers: to be skipped */
};
struct http_piece {
	enum http_piece_kind kind;
	size_t n;
};

/* Parses the next of n bytes of a connection: a piece ends where its kind, or the request, does. */
struct http_piece http_framing_next(struct http_framing *f, const char *p, size_t n);
/* How many bytes of the body, or of the chunk, have been announced and not come yet. */
uint64_t http_framing_announced(const struct http_framing *f);
/* True between two requests. */
bool http_framing_between(const struct http_framing *f);

#endif
