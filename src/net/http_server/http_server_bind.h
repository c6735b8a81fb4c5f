/* http_server_bind.h - the listening socket of the HTTP server; for net/http_server/ only */
#ifndef NET_HTTP_SERVER_HTTP_SERVER_BIND_H
#define NET_HTTP_SERVER_HTTP_SERVER_BIND_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/macros.h"

struct bound {
	int fd; /* nonblocking, close-on-exec, listening */
	bool is_unix;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	/* Device of the socket's file, which is removed only if it is still the same file */
	dev_t dev;
	ino_t ino;
	unsigned port; /* 0 for a Unix socket */
};

/* Listens on "127.0.0.1:8125", "[::1]:0" or "unix:/path". A Unix socket gets mode 0660; an
 * existing socket file that nothing listens on is removed. Returns 0, -EINVAL, -EADDRINUSE,
 * -EACCES, … */
int http_server_bind(struct bound *ret, const char *listen, struct err *err) MUST_CHECK;
/* Removes the socket's file but does not close the descriptor. */
void http_server_unbind(struct bound *b);

#endif
