/* page.h - the live page: one list of lines and events as they come, for browsers and for integration tests
 *
 * Loop thread only. */
#ifndef HTTP_PAGE_PAGE_H
#define HTTP_PAGE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macros.h"
#include "event/stream_table.h"
#include "event/tap.h"
#include "metrics/counters.h"
#include "net/http_server/http_server.h"
#include "net/loop.h"

/* How the sandbox's collector answers: the switch of its page. */
struct page_switch {
	int (*set)(void *arg, const char *answer); /* 0 or -EINVAL */
	const char *(*get)(void *arg, char out[8]);
	void *arg;
};

/* All is borrowed. */
struct page_config {
	struct loop *loop;
	struct tap *tap;
	const struct counters *counters;
	const struct streams *const *streams; /* a reload replaces it */
	/* NULL: a relay in earnest, of which it shows no event's contents. */
	const struct page_switch *sandbox;
	/* The object of `ga4relay-ctl --json status`, with a line feed; 0 or negative errno. */
	int (*write_status)(void *arg, struct buf *out);
	uint64_t (*queued)(void *arg); /* undelivered events */
	void *arg;
};

struct page;
int page_open(struct page **ret, const struct page_config *config, struct err *err) MUST_CHECK;
/* After the server, which ends the pages' connections. */
struct page *page_free(struct page *p);
/* Whether this path is the page's. Host and origin are the caller's to check. */
bool page_has_path(struct slice path);
/* Answers the request. */
void page_serve(struct page *p, const struct http_request_info *request);
/* Call once a second. */
void page_tick(struct page *p);
bool page_needs_tick(const struct page *p);
/* The relay stops: ends what goes on. */
void page_drain(struct page *p);

#endif
