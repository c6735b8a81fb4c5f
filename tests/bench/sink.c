/* sink.c - the collector: reads every body whole, answers 204, and counts how often each event of lines.h arrived
 *
 * GET /stats tells numbers, GET /counts the arrivals of each event by its number, GET /marks when each
 * further thousand was there, POST /reset forgets all. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "lines.h"

enum { INPUT_MAX = 1 << 18, IDS_MAX = 1 << 20, BATCH_MAX = 26, MARKS_MAX = 1 << 14 };

struct conn {
	int fd;
	size_t n;
	char input[INPUT_MAX];
};

static struct {
	int listener, epoll;
	uint64_t requests, events, bytes;
	int64_t first_us, last_us; /* CLOCK_MONOTONIC */
	uint64_t sizes[BATCH_MAX];
	int64_t marks[MARKS_MAX]; /* [k]: when 1000 (k + 1) events were there */
	size_t n_marks;
	uint32_t counts[IDS_MAX];
	char answer[IDS_MAX * 4];
} g;

static void die(const char *what)
{
	fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void count(const char *body, size_t n)
{
	static const char mark[] = "\"T-";
	const char *end = body + n, *p = body;
	unsigned found = 0;

	while ((p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1))) {
		p += sizeof(mark) - 1;
		g.counts[strtoul(p, NULL, 10) % IDS_MAX]++;
		found++;
	}
	g.events += found;
	g.sizes[found < BATCH_MAX ? found : BATCH_MAX - 1]++;
	g.requests++;
	g.bytes += n;
	g.last_us = clock_mono_us();
	if (!g.first_us)
		g.first_us = g.last_us;
	while (g.n_marks < MARKS_MAX && g.n_marks < g.events / 1000)
		g.marks[g.n_marks++] = g.last_us;
}

static void reset(void)
{
	g.requests = g.events = g.bytes = 0;
	g.first_us = g.last_us = 0;
	g.n_marks = 0;
	memset(g.sizes, 0, sizeof(g.sizes));
	memset(g.counts, 0, sizeof(g.counts));
}

static int write_stats(char *to)
{
	int n = sprintf(to,
	                "{\"requests\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"first_us\":%" PRId64
	                ",\"last_us\":%" PRId64 ",\"sizes\":[",
	                g.requests, g.events, g.bytes, g.first_us, g.last_us);

	for (unsigned i = 0; i < BATCH_MAX; i++)
		n += sprintf(to + n, "%s%" PRIu64, i ? "," : "", g.sizes[i]);
	return n + sprintf(to + n, "]}\n");
}

static int write_counts(char *to)
{
	int n = sprintf(to, "[");
	uint32_t last = 0;

	for (uint32_t i = 0; i < IDS_MAX; i++)
		last = g.counts[i] ? i : last;
	for (uint32_t i = 0; i <= last && n < (int)sizeof(g.answer) - 1024; i++)
		n += sprintf(to + n, "%s%" PRIu32, i ? "," : "", g.counts[i]);
	return n + sprintf(to + n, "]\n");
}

static int write_marks(char *to)
{
	int n = sprintf(to, "[");

	for (size_t i = 0; i < g.n_marks; i++)
		n += sprintf(to + n, "%s%" PRId64, i ? "," : "", g.marks[i]);
	return n + sprintf(to + n, "]\n");
}

static int write_asked(const char *request, char *to)
{
	if (strncmp(request, "GET /counts", 11) == 0)
		return write_counts(to);
	return strncmp(request, "GET /marks", 10) == 0 ? write_marks(to) : write_stats(to);
}

static void send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
		if (done < 0 && errno != EINTR)
			return;
		p += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
}

static void answer(struct conn *c, const char *body, size_t n)
{
	static const char no_content[] = "HTTP/1.1 204 No Content\r\n\r\n";
	char head[96];
	int length;

	if (c->input[0] == 'G') {
		length = write_asked(c->input, g.answer);
		send_all(c->fd, head, (size_t)sprintf(head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length));
		send_all(c->fd, g.answer, (size_t)length);
		return;
	}
	if (strncmp(c->input, "POST /reset", 11) == 0)
		reset();
	else
		count(body, n);
	send_all(c->fd, no_content, sizeof(no_content) - 1);
}

/* Bytes of the request's head with its empty line; 0: not there yet. */
static size_t head_of(struct conn *c, size_t *body)
{
	char *end = memmem(c->input, c->n, "\r\n\r\n", 4), *length;

	*body = 0;
	if (!end)
		return 0;
	*end = '\0';
	length = strcasestr(c->input, "\r\ncontent-length:");
	if (length)
		*body = strtoul(length + 17, NULL, 10);
	*end = '\r';
	return (size_t)(end - c->input) + 4;
}

static void drop(struct conn *c)
{
	close(c->fd);
	free(c);
}

static void serve(struct conn *c)
{
	ssize_t got = recv(c->fd, c->input + c->n, sizeof(c->input) - c->n, MSG_DONTWAIT);
	size_t head, body;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		drop(c);
		return;
	}
	c->n += (size_t)got;
	while ((head = head_of(c, &body)) && head + body <= c->n) {
		answer(c, c->input + head, body);
		c->n -= head + body;
		memmove(c->input, c->input + head + body, c->n);
	}
	if (c->n == sizeof(c->input))
		drop(c);
}

static void take(void)
{
	struct conn *c = malloc(sizeof(*c));
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

	if (!c)
		die("memory");
	c->n = 0;
	c->fd = accept4(g.listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->fd < 0) {
		free(c);
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		die("epoll");
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event events[64], e = {.events = EPOLLIN, .data.ptr = NULL};

	if (argc != 2) {
		fputs("usage: sink PORT\n", stderr);
		return 2;
	}
	a.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	g.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	setsockopt(g.listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (g.epoll < 0 || bind(g.listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(g.listener, 512) < 0 ||
	    epoll_ctl(g.epoll, EPOLL_CTL_ADD, g.listener, &e) < 0)
		die("port");
	for (;;) {
		int n = epoll_wait(g.epoll, events, ARRAY_LEN(events), -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr);
			else
				take();
		}
	}
}
