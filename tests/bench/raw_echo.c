/* raw_echo.c - the limit of 64 connections with one line in flight each: a server that only reads and answers
 *
 * One thread, epoll, one recv() and one send() a connection and turn, an ok for each LF: what the kernel and the load
 * generator leave of the machine when nothing is parsed, stored or synced. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"

enum { INPUT_MAX = 1 << 16, LINES_MAX = 256 };

static const char ok[] = "{\"ok\":true,\"id\":1234567,\"count\":1}\n";

static void die(const char *what)
{
	fprintf(stderr, "raw_echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int epoll, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll");
}

static void serve(int fd)
{
	static char input[INPUT_MAX], out[LINES_MAX * sizeof(ok)];
	ssize_t n = recv(fd, input, sizeof(input), MSG_DONTWAIT);
	size_t at = 0;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		close(fd);
		return;
	}
	for (const char *p = input, *end = input + n; at < sizeof(out) - sizeof(ok); at += sizeof(ok) - 1) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			break;
		memcpy(out + at, ok, sizeof(ok) - 1);
		p++;
	}
	if (at > 0 && send(fd, out, at, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		die("send");
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct epoll_event events[64];
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC);

	if (argc != 2 || strlen(argv[1]) >= sizeof(a.sun_path)) {
		fputs("usage: raw_echo SOCKET   (until it is killed)\n", stderr);
		return 2;
	}
	strcpy(a.sun_path, argv[1]);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 512) < 0)
		die(argv[1]);
	watch(epoll, listener);
	for (;;) {
		int n = epoll_wait(epoll, events, ARRAY_LEN(events), -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				watch(epoll, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
			else
				serve(events[i].data.fd);
		}
	}
}
