/* load.c - writes events to the relay's socket and counts the replies: rate, latencies, refusals as one JSON line */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"

enum { POOL_LINES = 4096, DEPTH_MAX = 1 << 16, BUCKETS = 512, READ_SIZE = 1 << 18 };

static const char usage[] =
        "usage: load [-s SOCKET] [-c CONNECTIONS] [-d DEPTH] [-n LINES] [-k CLIENTS] [-b BYTES]\n"
        "  -d  lines in flight a connection (1: wait for each reply; 0: as many as the relay takes)\n"
        "  -k  different client_ids (default 1000)   -b  bytes a line (default 320)\n";

struct options {
	const char *socket;
	unsigned connections, depth, clients, bytes;
	uint64_t lines;
};

/* Lines one behind the other, so that many go out with one send(). */
struct pool {
	char *text;
	size_t start[POOL_LINES + 1];
};

struct conn {
	int fd;
	size_t line, at; /* next byte to write: of which line of the pool */
	uint64_t sent, answered, quota;
	char head[8]; /* the beginning of a reply, across reads */
	size_t n_head;
	int64_t *sent_us; /* ring of DEPTH_MAX */
	bool wants_write;
};

struct load {
	struct options o;
	struct pool pool;
	struct conn *conns;
	int epoll;
	unsigned open;
	uint64_t ok, refused;
	uint64_t buckets[BUCKETS]; /* log-linear: 16 steps an octave of microseconds */
	int64_t longest_us;
	char *input;
};

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t write_line(char *to, size_t room, unsigned i, const struct options *o)
{
	int n = snprintf(
	        to, room,
	        "{\"client_id\":\"%u.%u\",\"name\":\"purchase\",\"params\":{\"transaction_id\":\"T-%07u\","
	        "\"currency\":\"EUR\",\"value\":%u.99,\"session_id\":\"1700000000\",\"engagement_time_msec\":100,"
	        "\"items\":[{\"item_id\":\"SKU_%u\",\"item_name\":\"",
	        1000000 + i % o->clients, 1700000000 + i % o->clients, i, i % 500, i % 97);
	static const char tail[] = "\",\"price\":9.99,\"quantity\":1}]}}\n";
	size_t pad = o->bytes > (size_t)n + sizeof(tail) - 1 ? o->bytes - (size_t)n - (sizeof(tail) - 1) : 1;

	memset(to + n, 'x', pad > 100 ? 100 : pad); /* an item_name has at most 100 characters */
	n += pad > 100 ? 100 : (int)pad;
	memcpy(to + n, tail, sizeof(tail) - 1);
	return (size_t)n + sizeof(tail) - 1;
}

static void fill_pool(struct load *l)
{
	size_t at = 0;

	l->pool.text = malloc((size_t)POOL_LINES * 1024);
	if (!l->pool.text)
		die("memory");
	for (unsigned i = 0; i < POOL_LINES; i++) {
		l->pool.start[i] = at;
		at += write_line(l->pool.text + at, 1024, i, &l->o);
	}
	l->pool.start[POOL_LINES] = at;
}

static unsigned bucket_of(int64_t us)
{
	unsigned octave, v = us < 1 ? 1 : us > INT32_MAX ? INT32_MAX : (unsigned)us;

	if (v < 16)
		return v;
	octave = 31 - (unsigned)__builtin_clz(v);
	return (octave - 3) * 16 + ((v >> (octave - 4)) & 15);
}

static double bucket_us(unsigned b)
{
	return b < 16 ? b : (double)((16 + b % 16) << (b / 16 - 1));
}

static double quantile(const struct load *l, double q)
{
	uint64_t want = (uint64_t)(q * (double)(l->ok + l->refused)), seen = 0;

	for (unsigned b = 0; b < BUCKETS; b++) {
		seen += l->buckets[b];
		if (seen > want)
			return bucket_us(b);
	}
	return (double)l->longest_us;
}

static void set_interest(struct load *l, struct conn *c, bool write)
{
	struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};

	if (c->wants_write == write)
		return;
	c->wants_write = write;
	if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &e) < 0)
		die("epoll");
}

static void note_sent(struct conn *c, const struct pool *pool, size_t n, int64_t now_us)
{
	size_t at = c->at + n;

	while (c->line < POOL_LINES && at >= pool->start[c->line + 1]) {
		c->sent_us[c->sent++ % DEPTH_MAX] = now_us;
		c->line++;
	}
	c->at = at;
	if (c->line == POOL_LINES)
		c->line = c->at = 0;
}

static void fill(struct load *l, struct conn *c)
{
	uint64_t depth = l->o.depth ? l->o.depth : DEPTH_MAX - 1;

	for (;;) {
		uint64_t room = depth - (c->sent - c->answered), left = c->quota - c->sent;
		uint64_t lines = room < left ? room : left;
		size_t last = c->line + lines < POOL_LINES ? c->line + lines : POOL_LINES;
		if (lines == 0)
			break;
		int64_t now_us = clock_mono_us();
		ssize_t n =
		        send(c->fd, l->pool.text + c->at, l->pool.start[last] - c->at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			set_interest(l, c, true);
			return;
		}
		if (n < 0)
			die("send");
		note_sent(c, &l->pool, (size_t)n, now_us);
	}
	set_interest(l, c, false);
}

static void note_reply(struct load *l, struct conn *c, int64_t now_us)
{
	int64_t us = now_us - c->sent_us[c->answered++ % DEPTH_MAX];

	if (memcmp(c->head, "{\"ok\":t", 7) == 0)
		l->ok++;
	else
		l->refused++;
	l->buckets[bucket_of(us)]++;
	if (us > l->longest_us)
		l->longest_us = us;
	c->n_head = 0;
}

static void read_replies(struct load *l, struct conn *c)
{
	ssize_t n = recv(c->fd, l->input, READ_SIZE, MSG_DONTWAIT);
	int64_t now_us = clock_mono_us();
	const char *p = l->input, *end = p + n;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		errno = n ? errno : ECONNRESET;
		die("the relay closed a connection with lines unanswered");
	}
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf ? lf : end;
		for (const char *q = p; q < stop && c->n_head < 7; q++)
			c->head[c->n_head++] = *q;
		if (lf)
			note_reply(l, c, now_us);
		p = stop + 1;
	}
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		die("socket path");
	strcpy(a.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(path);
	return fd;
}

static void open_conns(struct load *l)
{
	l->conns = calloc(l->o.connections, sizeof(*l->conns));
	l->input = malloc(READ_SIZE);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!l->conns || !l->input || l->epoll < 0)
		die("start");
	for (unsigned i = 0; i < l->o.connections; i++) {
		struct conn *c = &l->conns[i];
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		c->fd = connect_to(l->o.socket);
		c->quota = l->o.lines / l->o.connections + (i < l->o.lines % l->o.connections);
		c->line = (size_t)i * 61 % POOL_LINES;
		c->at = l->pool.start[c->line];
		c->sent_us = malloc(DEPTH_MAX * sizeof(*c->sent_us));
		if (!c->sent_us || epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
			die("connection");
		l->open += c->quota > 0;
	}
}

static void serve(struct load *l, struct conn *c, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_replies(l, c);
	if (c->answered == c->quota) {
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
		l->open--;
		return;
	}
	fill(l, c);
}

static void run(struct load *l)
{
	struct epoll_event events[64];

	for (unsigned i = 0; i < l->o.connections; i++)
		fill(l, &l->conns[i]);
	while (l->open > 0) {
		int n = epoll_wait(l->epoll, events, ARRAY_LEN(events), 60000);
		if (n == 0) {
			errno = ETIMEDOUT;
			die("no reply for a minute");
		}
		for (int i = 0; i < n; i++)
			serve(l, events[i].data.ptr, events[i].events);
	}
}

static int read_options(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){
	        .socket = "/run/ga4relay.sock", .connections = 1, .clients = 1000, .bytes = 320, .lines = 100000};
	while ((c = getopt(argc, argv, "s:c:d:n:k:b:h")) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'c':
			o->connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			o->depth = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			o->lines = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			o->clients = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			o->bytes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			return -1;
		}
	}
	return o->connections && o->lines && o->clients && o->depth < DEPTH_MAX && o->bytes < 400 ? 0 : -1;
}

int main(int argc, char **argv)
{
	static struct load l;
	int64_t start_us, us;

	if (read_options(&l.o, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	fill_pool(&l);
	open_conns(&l);
	start_us = clock_mono_us();
	run(&l);
	us = clock_mono_us() - start_us;
	printf("{\"connections\":%u,\"depth\":%u,\"lines\":%" PRIu64
	       ",\"seconds\":%.3f,\"lines_per_s\":%.0f,\"refused\":%" PRIu64
	       ",\"p50_us\":%.0f,\"p99_us\":%.0f,\"p999_us\":%.0f,\"max_us\":%" PRId64 "}\n",
	       l.o.connections, l.o.depth, l.o.lines, (double)us / 1e6, (double)l.o.lines * 1e6 / (double)us,
	       l.refused, quantile(&l, 0.5), quantile(&l, 0.99), quantile(&l, 0.999), l.longest_us);
	return l.refused ? 1 : 0;
}
