/* http_server_bind.c - the listening socket of the HTTP server */
#include "net/http_server/http_server_bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/slice.h"
#include "net/unix_bind.h"

enum { BACKLOG = 128 };

static int stream_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* On a Unix socket file permissions replace the secret: its owner and group may connect. */
static int open_unix(struct bound *b, const char *path, struct err *err)
{
	struct unix_bound bound;
	int r;

	if (path[0] != '/' || strlen(path) >= sizeof(b->path))
		return err_set(err, -EINVAL, "unix:%s: an absolute path of at most %zu bytes is needed", path,
		               sizeof(b->path) - 1);
	r = unix_bind(&bound, path, 0660, NULL, BACKLOG, err);
	if (r < 0)
		return r;
	b->fd = bound.fd;
	b->dev = bound.dev;
	b->ino = bound.ino;
	b->is_unix = true;
	memcpy(b->path, path, strlen(path) + 1);
	return 0;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
	                                      : ((struct sockaddr_in *)&ss)->sin_port);
}

/* Parses "127.0.0.1:8125" or "[::1]:0". Host names are not accepted, because their addresses may
 * change. */
static int parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	const char *colon = strrchr(text, ':');
	bool v6 = text[0] == '[';
	size_t n = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
	struct sockaddr_in sin = {.sin_family = AF_INET};
	uint64_t port;

	if (v6 && (n < 2 || text[n - 1] != ']'))
		return -EINVAL;
	n -= v6 ? 2 : 0;
	if (n == 0 || n >= sizeof(host) || parse_u64(slice_of(colon + 1), &port) < 0 || port > UINT16_MAX)
		return -EINVAL;
	memcpy(host, text + v6, n);
	host[n] = '\0';
	sin.sin_port = sin6.sin6_port = htons((uint16_t)port);
	if (inet_pton(v6 ? AF_INET6 : AF_INET, host, v6 ? (void *)&sin6.sin6_addr : (void *)&sin.sin_addr) != 1)
		return -EINVAL;
	*ret_len = v6 ? sizeof(sin6) : sizeof(sin);
	memcpy(ret, v6 ? (void *)&sin6 : (void *)&sin, *ret_len);
	return 0;
}

static int open_tcp(struct bound *b, const char *address, struct err *err)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int one = 1;

	if (parse_address(address, &ss, &len) < 0)
		return err_set(err, -EINVAL, "%s: not an address and port such as 127.0.0.1:8125 or [::1]:8125",
		               address);
	b->fd = stream_socket(ss.ss_family);
	if (b->fd < 0)
		return err_set(err, b->fd, "%s: %s", address, strerror(-b->fd));
	if (setsockopt(b->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (ss.ss_family == AF_INET6 && setsockopt(b->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(b->fd, (struct sockaddr *)&ss, len) < 0 || listen(b->fd, BACKLOG) < 0) {
		int e = errno;

		return err_set(err, -e, "%s: %s", address, strerror(e));
	}
	b->port = port_of(b->fd);
	return 0;
}

int http_server_bind(struct bound *ret, const char *listen_at, struct err *err)
{
	static const struct slice prefix = {"unix:", 5};
	struct bound b = {.fd = -1};
	int r = slice_starts(slice_of(listen_at), prefix) ? open_unix(&b, listen_at + prefix.n, err)
	                                                  : open_tcp(&b, listen_at, err);

	if (r < 0) {
		fd_close(b.fd);
		return r;
	}
	*ret = b;
	return 0;
}

void http_server_unbind(struct bound *b)
{
	if (b->is_unix)
		unix_unbind(b->path, b->dev, b->ino);
	b->is_unix = false;
}
