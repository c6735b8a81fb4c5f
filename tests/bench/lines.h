/* lines.h - the lines that everything here is measured with: purchases of about 320 bytes, each telling its number */
#ifndef BENCH_LINES_H
#define BENCH_LINES_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_ROOM = 512, LINE_PAD_MAX = 100 /* an item_name has at most 100 characters */ };

/* What is between two of them on the wire. */
enum frame {
	FRAME_LINE,      /* LF; a reply a line: the relay */
	FRAME_SILENT,    /* LF; no reply ever: syslog daemons */
	FRAME_BEANSTALK, /* "put … BYTES" CRLF, the line, CRLF; INSERTED */
};

/* Lines one behind the other, so that many go out with one send(). */
struct lines {
	char *text;
	size_t *start; /* n + 1 */
	size_t n;
};

struct lines_config {
	size_t n;
	unsigned clients, bytes;
	bool zipf; /* clients by Zipf's law (s = 1) instead of in turn */
	enum frame frame;
};

/* The event alone, as it lies in a row and in a request: {"name":…}. */
static inline size_t lines_event(char *to, size_t i, unsigned bytes)
{
	static const char tail[] = "\",\"price\":9.99,\"quantity\":1}]}}";
	size_t n = (size_t)snprintf(
	        to, LINE_ROOM,
	        "{\"name\":\"purchase\",\"params\":{\"transaction_id\":\"T-%07zu\","
	        "\"currency\":\"EUR\",\"value\":%zu.99,\"session_id\":\"1700000000\",\"engagement_time_msec\":100,"
	        "\"items\":[{\"item_id\":\"SKU_%zu\",\"item_name\":\"",
	        i, i % 500, i % 97);
	size_t have = n + sizeof(tail) - 1 + 36, pad = bytes > have ? bytes - have : 1;

	pad = pad > LINE_PAD_MAX ? LINE_PAD_MAX : pad;
	memset(to + n, 'x', pad);
	memcpy(to + n + pad, tail, sizeof(tail));
	return n + pad + sizeof(tail) - 1;
}

static inline size_t lines_one(char *to, size_t i, unsigned client, unsigned bytes)
{
	size_t n =
	        (size_t)snprintf(to, LINE_ROOM, "{\"client_id\":\"%u.%u\",", 1000000 + client, 1700000000 + client);
	char event[LINE_ROOM];
	size_t m = lines_event(event, i, bytes);

	memcpy(to + n, event + 1, m - 1); /* without its brace */
	return n + m - 1;
}

/* xorshift64*: the same lines on every machine. */
static inline double lines_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (double)((*state * 2685821657736338717ull) >> 11) / 9007199254740992.0;
}

/* cumulated[k]: chance of a client below or at k. */
static inline double *lines_zipf(unsigned clients)
{
	double *cumulated = malloc(clients * sizeof(*cumulated)), sum = 0;

	if (!cumulated)
		return NULL;
	for (unsigned k = 0; k < clients; k++)
		cumulated[k] = sum += 1.0 / (k + 1);
	for (unsigned k = 0; k < clients; k++)
		cumulated[k] /= sum;
	return cumulated;
}

static inline unsigned lines_draw(const double *cumulated, unsigned clients, double chance)
{
	unsigned low = 0, high = clients - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (cumulated[middle] < chance)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline size_t lines_framed(char *to, enum frame frame, const char *line, size_t n)
{
	size_t at = 0;

	if (frame == FRAME_BEANSTALK)
		at = (size_t)sprintf(to, "put 0 0 60 %zu\r\n", n);
	memcpy(to + at, line, n);
	at += n;
	if (frame == FRAME_BEANSTALK)
		to[at++] = '\r';
	to[at++] = '\n';
	return at;
}

/* -1: no memory. */
static inline int lines_make(struct lines *l, const struct lines_config *c)
{
	double *zipf = c->zipf ? lines_zipf(c->clients) : NULL;
	uint64_t random = 88172645463325252ull;
	char line[LINE_ROOM * 2];
	size_t at = 0;

	*l = (struct lines){.text = malloc(c->n * LINE_ROOM), .start = calloc(c->n + 1, sizeof(size_t)), .n = c->n};
	if (!l->text || !l->start || (c->zipf && !zipf)) {
		free(zipf);
		return -1;
	}
	for (size_t i = 0; i < c->n; i++) {
		unsigned client =
		        zipf ? lines_draw(zipf, c->clients, lines_random(&random)) : (unsigned)(i % c->clients);
		l->start[i] = at;
		at += lines_framed(l->text + at, c->frame, line, lines_one(line, i, client, c->bytes));
	}
	l->start[c->n] = at;
	free(zipf);
	return 0;
}

#endif
