/* http_server_bind.h - a listening socket for the HTTP server; for net/http_server*.c only */
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
	dev_t dev; /* of the socket's file: removed at the end only when it is still ours */
	ino_t ino;
	unsigned port; /* 0 for a Unix socket */
};

/* "127.0.0.1:8125", "[::1]:0", "unix:/path". A Unix socket gets mode 0660; a file in its place is removed when it is
 * a socket that nobody answers on. 0; -EINVAL, -EADDRINUSE, -EACCES, … */
int http_server_bind(struct bound *ret, const char *listen, struct err *err) MUST_CHECK;
/* Removes the file, not the descriptor. */
void http_server_unbind(struct bound *b);

#endif
