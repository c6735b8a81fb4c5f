/* readers.h - who follows the journal: open pages, and requests that wait for an event; loop thread only
 *
 * A reader is a place in the journal, and what it has not taken yet stays there and nowhere else. So one that is slow
 * sees fewer of the states between, and what the journal forgets before it came to it is counted as missed. */
#ifndef HTTP_PAGE_READERS_H
#define HTTP_PAGE_READERS_H

#include "base/buf.h"
#include "http/page/journal.h"
#include "http/page/journal_json.h"
#include "net/http_server/http_server.h"
#include "net/loop.h"

enum { READERS_MAX = 16 };

/* What a reader wants to see; each: NULL for all. malloc'd. */
struct reader_filter {
	char *name, *client, *verdict, *state;
};
void reader_filter_clear(struct reader_filter *f);

struct reader_want {
	struct reader_filter filter; /* becomes the reader's */
	uint64_t since;
	bool is_page;       /* server-sent events, for ever; otherwise JSON lines, up to the end of the journal … */
	int64_t wait_us;    /* … or, where none of them is wanted, until one is, so long */
	struct slice first; /* written at once */
};

struct readers;
/* All is borrowed; a reload replaces *streams. NULL: out of memory. */
struct readers *readers_new(struct loop *loop, struct journal *journal, const struct streams *const *streams);
/* After the server, which ends them. */
struct readers *readers_free(struct readers *r);
/* Answers x, in any case. */
void readers_add(struct readers *r, struct http_exchange *x, struct reader_want *want);
/* The journal has changed. */
void readers_wake(struct readers *r);
/* Call once a second. pages: for all pages, or empty; waits that are over end. */
void readers_tick(struct readers *r, struct slice pages);
/* Something for all pages, at once. */
void readers_tell(struct readers *r, struct slice text);
/* The relay stops: all end. */
void readers_end(struct readers *r);
/* Pages and waiting requests. */
unsigned readers_count(const struct readers *all);
unsigned readers_pages(const struct readers *r);

#endif
