/* load.c - writes events to a socket and counts the replies: rate, latencies, refusals as one JSON line
 *
 * Two ways: as fast as the other side takes them (the latency then is that of a full pipe), or at a rate, whatever
 * the replies do; there the latency counts from when a line should have gone, so that a stall is not told away. */
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
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "histogram.h"
#include "lines.h"

enum { POOL_LINES = 4096, DEPTH_MAX = 1 << 16, READ_SIZE = 1 << 18, NAP_US = 200 };
enum { GOOD = 7, HEAD = 40 }; /* bytes of a reply: by which a good one is known; which have its id, whole */

static const char usage[] =
        "usage: load [-s SOCKET] [-c CONNECTIONS] [-d DEPTH] [-n LINES] [-k CLIENTS] [-z] [-p POOL] [-b BYTES]\n"
        "            [-r RATE] [-f relay|echo|silent|beanstalk] [-w SECONDS]\n"
        "  -d  lines in flight a connection (1: wait for each reply; 0: as many as the relay takes)\n"
        "  -k  different client_ids (default 1000)   -z  drawn by Zipf's law   -p  different lines (default 4096)\n"
        "  -b  bytes a line (default 320)            -r  lines a second, all connections together\n"
        "  -w  give up when nothing has moved for so long (default 60)\n"
        "It fails when a reply is missing, one is too many or out of order, or a line was refused.\n";

static const struct other_side {
	const char *word, *good; /* how a good reply begins */
	bool has_ids;            /* which grow; an id is the first number of a reply */
	enum frame frame;
} other_sides[] = {{"relay", "{\"ok\":t", true, FRAME_LINE},
                   {"echo", "{\"ok\":t", false, FRAME_LINE},
                   {"silent", "", false, FRAME_SILENT},
                   {"beanstalk", "INSERTE", true, FRAME_BEANSTALK}};

struct options {
	const char *socket;
	unsigned connections, depth, clients, bytes, patience;
	uint64_t lines, rate;
	size_t pool;
	bool zipf;
	const struct other_side *other;
};

struct conn {
	int fd;
	size_t line, at; /* next byte to write: of which line of the pool */
	uint64_t sent, answered, quota;
	uint64_t allowed; /* of the quota, by now; all of it without a rate */
	char head[HEAD];  /* the beginning of a reply, across reads */
	size_t n_head;
	uint64_t last_id;
	int64_t *sent_us; /* ring of DEPTH_MAX */
	bool wants_write, ended;
};

struct load {
	struct options o;
	struct lines pool;
	struct conn *conns;
	int epoll;
	unsigned open;
	uint64_t refused;
	char refusal[HEAD + 1]; /* how the first one began: its code is in it */
	struct histogram latency;
	int64_t start_us, moved_us; /* the last time that something was sent or came */
	char *input;
};

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The other side's fault, not the system's. */
static void give_up(const char *why)
{
	fprintf(stderr, "load: %s\n", why);
	exit(1);
}

/* Whichever of sending and receiving notices first. */
static void broke(const char *what)
{
	if (errno == EPIPE || errno == ECONNRESET)
		give_up("a connection was closed with lines unanswered");
	die(what);
}

static void fill_pool(struct load *l)
{
	struct lines_config config = {.n = l->o.pool,
	                              .clients = l->o.clients,
	                              .bytes = l->o.bytes,
	                              .zipf = l->o.zipf,
	                              .frame = l->o.other->frame};

	if (lines_make(&l->pool, &config) < 0)
		die("memory");
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

/* When it should have gone: now, or by the rate. The connections take turns. */
static int64_t due_us(const struct load *l, const struct conn *c, int64_t now_us)
{
	uint64_t nth = c->sent * l->o.connections + (uint64_t)(c - l->conns);

	return l->o.rate ? l->start_us + (int64_t)(nth * 1000000 / l->o.rate) : now_us;
}

static void note_sent(const struct load *l, struct conn *c, size_t n, int64_t now_us)
{
	const struct lines *pool = &l->pool;
	size_t at = c->at + n;

	while (c->line < pool->n && at >= pool->start[c->line + 1]) {
		c->sent_us[c->sent % DEPTH_MAX] = due_us(l, c, now_us);
		c->sent++;
		c->line++;
	}
	c->at = at;
	if (c->line == pool->n)
		c->line = c->at = 0;
}

static void fill(struct load *l, struct conn *c)
{
	uint64_t depth = l->o.depth ? l->o.depth : DEPTH_MAX - 1;

	for (;;) {
		uint64_t room = depth - (c->sent - c->answered), left = c->allowed - c->sent;
		uint64_t lines = room < left ? room : left;
		size_t last = c->line + lines < l->pool.n ? c->line + lines : l->pool.n;
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
			broke("send");
		l->moved_us = now_us;
		note_sent(l, c, (size_t)n, now_us);
		if (l->o.other->frame == FRAME_SILENT)
			c->answered = c->sent;
	}
	set_interest(l, c, false);
}

/* One that came twice, in the place of another, and one that has changed places do not change how many there are. */
static void check_order(struct conn *c)
{
	uint64_t id = 0;
	size_t at = GOOD;

	while (at < c->n_head && (c->head[at] < '0' || c->head[at] > '9'))
		at++;
	for (; at < c->n_head && c->head[at] >= '0' && c->head[at] <= '9'; at++)
		id = 10 * id + (uint64_t)(c->head[at] - '0');
	if (id <= c->last_id)
		give_up("replies are not in the order of their lines");
	c->last_id = id;
}

static void note_reply(struct load *l, struct conn *c, int64_t now_us)
{
	if (c->answered == c->sent)
		give_up("there are more replies than lines");
	histogram_add(&l->latency, now_us - c->sent_us[c->answered++ % DEPTH_MAX]);
	l->moved_us = now_us;
	if (c->n_head < GOOD || memcmp(c->head, l->o.other->good, GOOD) != 0) {
		if (l->refused++ == 0)
			memcpy(l->refusal, c->head, c->n_head);
	} else if (l->o.other->has_ids) {
		check_order(c);
	}
	c->n_head = 0;
}

static void finish(struct load *l, struct conn *c)
{
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	close(c->fd);
	c->fd = -1;
	l->open--;
}

static void read_replies(struct load *l, struct conn *c)
{
	ssize_t n = recv(c->fd, l->input, READ_SIZE, MSG_DONTWAIT);
	int64_t now_us = clock_mono_us();
	const char *p = l->input, *end = p + n;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 0 && c->n_head > 0)
		give_up("a connection was closed in the middle of a reply");
	if (n == 0 && c->answered == c->quota) {
		finish(l, c);
		return;
	}
	if (n == 0)
		errno = ECONNRESET;
	if (n <= 0)
		broke("recv");
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf ? lf : end;
		size_t have = (size_t)(stop - p), room = HEAD - c->n_head, more = have < room ? have : room;
		memcpy(c->head + c->n_head, p, more);
		c->n_head += more;
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
		c->allowed = l->o.rate ? 0 : c->quota;
		c->line = (size_t)i * 61 % l->pool.n;
		c->at = l->pool.start[c->line];
		c->sent_us = malloc(DEPTH_MAX * sizeof(*c->sent_us));
		if (!c->sent_us || epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
			die("connection");
		l->open++;
	}
}

/* All are answered: what comes now before the other side ends it as well is one reply too many. */
static void end_if_done(struct load *l, struct conn *c)
{
	if (c->fd < 0 || c->answered < c->quota || c->ended)
		return;
	c->ended = true;
	if (l->o.other->frame == FRAME_SILENT)
		finish(l, c);
	else
		shutdown(c->fd, SHUT_WR);
}

static void serve(struct load *l, struct conn *c, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_replies(l, c);
	if (c->answered < c->quota)
		fill(l, c);
	end_if_done(l, c);
}

/* The first line is due at once, and each when due_us() says so: not an interval later. */
static void allow_by_rate(struct load *l)
{
	uint64_t all = (uint64_t)(clock_mono_us() - l->start_us) * l->o.rate / 1000000 + 1;

	for (unsigned i = 0; i < l->o.connections; i++) {
		struct conn *c = &l->conns[i];
		uint64_t now = all / l->o.connections + (i < all % l->o.connections);
		c->allowed = now < c->quota ? now : c->quota;
		if (c->fd >= 0 && c->allowed > c->sent && !c->wants_write)
			fill(l, c);
	}
}

static void run(struct load *l)
{
	const struct timespec nap = {.tv_nsec = NAP_US * 1000}, second = {.tv_sec = 1};
	struct epoll_event events[64];

	l->start_us = l->moved_us = clock_mono_us();
	for (unsigned i = 0; i < l->o.connections; i++) {
		fill(l, &l->conns[i]);
		end_if_done(l, &l->conns[i]);
	}
	while (l->open > 0) {
		if (l->o.rate)
			allow_by_rate(l);
		int n = epoll_pwait2(l->epoll, events, ARRAY_LEN(events), l->o.rate ? &nap : &second, NULL);
		if (n == 0 && clock_mono_us() - l->moved_us > (int64_t)l->o.patience * US_PER_S)
			give_up("lines are unanswered, and nothing has moved for long");
		for (int i = 0; i < n; i++)
			serve(l, events[i].data.ptr, events[i].events);
	}
}

static const struct other_side *find_other_side(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(other_sides); i++)
		if (strcmp(word, other_sides[i].word) == 0)
			return &other_sides[i];
	return NULL;
}

static void set_number(struct options *o, int option, uint64_t n)
{
	switch (option) {
	case 'c':
		o->connections = (unsigned)n;
		break;
	case 'd':
		o->depth = (unsigned)n;
		break;
	case 'n':
		o->lines = n;
		break;
	case 'k':
		o->clients = (unsigned)n;
		break;
	case 'b':
		o->bytes = (unsigned)n;
		break;
	case 'p':
		o->pool = n;
		break;
	case 'w':
		o->patience = (unsigned)n;
		break;
	default:
		o->rate = n;
		break;
	}
}

static int read_options(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){.socket = "/run/ga4relay.sock",
	                      .connections = 1,
	                      .clients = 1000,
	                      .bytes = 320,
	                      .lines = 100000,
	                      .patience = 60,
	                      .pool = POOL_LINES,
	                      .other = &other_sides[0]};
	while ((c = getopt(argc, argv, "s:c:d:n:k:b:p:r:f:w:zh")) != -1) {
		if (c == '?' || c == 'h')
			return -1;
		if (c == 's')
			o->socket = optarg;
		else if (c == 'z')
			o->zipf = true;
		else if (c == 'f')
			o->other = find_other_side(optarg);
		else
			set_number(o, c, strtoull(optarg, NULL, 10));
	}
	return o->other && o->connections && o->lines && o->clients && o->pool && o->depth < DEPTH_MAX &&
	                       o->bytes < 400
	               ? 0
	               : -1;
}

int main(int argc, char **argv)
{
	static struct load l;
	int64_t us;

	if (read_options(&l.o, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	fill_pool(&l);
	open_conns(&l);
	run(&l);
	us = l.moved_us - l.start_us;
	printf("{\"connections\":%u,\"depth\":%u,\"lines\":%" PRIu64 ",\"start_us\":%" PRId64
	       ",\"seconds\":%.3f,\"lines_per_s\":%.0f,\"refused\":%" PRIu64 ",\"p50_us\":%" PRId64
	       ",\"p99_us\":%" PRId64 ",\"p999_us\":%" PRId64 ",\"max_us\":%" PRId64 "}\n",
	       l.o.connections, l.o.depth, l.o.lines, l.start_us, (double)us / 1e6,
	       (double)l.o.lines * 1e6 / (double)us, l.refused, histogram_quantile(&l.latency, 500),
	       histogram_quantile(&l.latency, 990), histogram_quantile(&l.latency, 999), l.latency.longest);
	if (l.refused)
		fprintf(stderr, "load: %" PRIu64 " lines were refused, the first: %s...\n", l.refused, l.refusal);
	return l.refused ? 1 : 0;
}
