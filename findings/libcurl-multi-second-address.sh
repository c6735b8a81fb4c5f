#!/bin/bash
# libcurl-multi-second-address.sh - libcurl's multi interface never tries the second address of a name
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"

cat <<'TEXT'
version     libcurl 7.88.1
source      Debian 12, libcurl4-openssl-dev; CURLOPT_CONNECTTIMEOUT_MS(3), curl_multi_socket_action(3); curl issue 11920 is
            about the same timer
good guess  A name has two addresses, the first does not answer. As the manual has it, every address gets its part of the
            time to connect: after half of it libcurl goes on to the second, whichever interface drives it.
behaviour   The easy interface does. With curl_multi_socket_action() libcurl closes the first socket after half the time,
            opens no second one, asks for no timer before the other half is over, and fails with error 28 (it timed out). One
            dead address of several makes a service unreachable for programs that run libcurl in their own event loop.
TEXT
debs "libcurl4-openssl-dev=7.88.1-*" "libcurl4=7.88.1-*"

# A listener whose queue is full drops SYNs, as a firewall would; another one answers at the same port of another address.
cat >try.c <<'SOURCE'
#include <arpa/inet.h>
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 4000L

#define SOCKETS 8

static struct pollfd watched[SOCKETS];
static long due = -1; /* milliseconds; -1: no timer is set */

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int listener(const char *address, in_port_t *port, int backlog)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = *port, .sin_addr.s_addr = inet_addr(address)};
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a, size) < 0 || listen(fd, backlog) < 0 || getsockname(fd, (struct sockaddr *)&a, &size) < 0)
		perror(address);
	*port = a.sin_port;
	return fd;
}

static void fill(const char *address, in_port_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = inet_addr(address)};

	for (int i = 0; i < 4; i++)
		if (connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (struct sockaddr *)&a, sizeof(a)) < 0)
			continue;
	usleep(300000);
}

static void *answer(void *arg)
{
	static const char text[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
	char buf[4096];

	for (;;) {
		int fd = accept(*(int *)arg, NULL, NULL);

		if (read(fd, buf, sizeof(buf)) > 0 && write(fd, text, sizeof(text) - 1) < 0)
			perror("write");
		close(fd);
	}
	return NULL;
}

static int watch(CURL *c, curl_socket_t fd, int what, void *a, void *b)
{
	int i = 0;

	(void)c, (void)a, (void)b;
	while (i < SOCKETS - 1 && watched[i].fd != fd)
		i++;
	if (watched[i].fd != fd)
		for (i = 0; watched[i].fd >= 0; i++)
			continue;
	watched[i].fd = what == CURL_POLL_REMOVE ? -1 : fd;
	watched[i].events = (what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0);
	return 0;
}

static int set_timer(CURLM *m, long ms, void *a)
{
	(void)m, (void)a;
	due = ms < 0 ? -1 : now() + ms;
	return 0;
}

static void turn(CURLM *m)
{
	long wait = due < 0 ? -1 : due > now() ? due - now() : 0;
	struct pollfd ready[SOCKETS];
	int running;

	if (poll(watched, SOCKETS, (int)wait) == 0) {
		due = -1;
		curl_multi_socket_action(m, CURL_SOCKET_TIMEOUT, 0, &running);
		return;
	}
	memcpy(ready, watched, sizeof(ready));
	for (int i = 0; i < SOCKETS; i++) {
		int bits = (ready[i].revents & POLLIN ? CURL_CSELECT_IN : 0) | (ready[i].revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
		           (ready[i].revents & (POLLERR | POLLHUP) ? CURL_CSELECT_ERR : 0);

		if (ready[i].fd >= 0 && bits)
			curl_multi_socket_action(m, ready[i].fd, bits, &running);
	}
}

static CURLcode by_multi(CURL *c)
{
	CURLM *m = curl_multi_init();
	CURLMsg *done;
	int left;

	for (int i = 0; i < SOCKETS; i++)
		watched[i].fd = -1;
	curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, watch);
	curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_add_handle(m, c);
	while (!(done = curl_multi_info_read(m, &left)))
		turn(m);
	return done->data.result;
}

static void get(const char *what, const char *resolve, in_port_t port, CURLcode (*perform)(CURL *))
{
	CURL *c = curl_easy_init();
	struct curl_slist *names = curl_slist_append(NULL, resolve);
	char url[64];
	long status = 0;
	int error;

	snprintf(url, sizeof(url), "http://two.test:%d/", ntohs(port));
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_RESOLVE, names);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, TIMEOUT_MS);
	error = perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	printf("%s: error %d, status %ld\n", what, error, status);
	fflush(stdout);
}

int main(void)
{
	in_port_t port = 0;
	int good = listener("127.0.0.1", &port, 16);
	pthread_t thread;
	char one[64], two[64];

	listener("127.0.0.2", &port, 0);
	fill("127.0.0.2", port);
	pthread_create(&thread, NULL, answer, &good);
	snprintf(one, sizeof(one), "two.test:%d:127.0.0.1", ntohs(port));
	snprintf(two, sizeof(two), "two.test:%d:127.0.0.2,127.0.0.1", ntohs(port));
	curl_global_init(CURL_GLOBAL_ALL);
	get("easy, the good address alone", one, port, curl_easy_perform);
	get("multi, the good address alone", one, port, by_multi);
	get("easy, the silent one before it", two, port, curl_easy_perform);
	get("multi, the silent one before it", two, port, by_multi);
	return 0;
}
SOURCE
compile gcc try.c -lcurl -lpthread
expect ./try <<'OUTPUT'
easy, the good address alone: error 0, status 204
multi, the good address alone: error 0, status 204
easy, the silent one before it: error 0, status 204
multi, the silent one before it: error 28, status 0
OUTPUT
