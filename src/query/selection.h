/* selection.h - the rows that a request selects: the filters of ga4relay-ctl(8), for a daemon and for a file */
#ifndef QUERY_SELECTION_H
#define QUERY_SELECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "outbox/jobs/jobs.h"
#include "query/request.h"

/* What list, count and export take if no state is given. */
#define QUERY_BACKLOG ((1u << STATE_QUEUED) | (1u << STATE_HELD))

/* The names of an outbox's streams. */
struct query_streams {
	/* The name of stream sid, 1 to STORE_STREAMS_MAX - 1; NULL or "": there is none. */
	const char *(*name)(const void *arg, uint32_t sid);
	const void *arg;
};
/* The stream's number, or 0. */
uint32_t query_find_stream(const struct query_streams *streams, struct slice name);

struct selection {
	struct event_filter filter;
	bool queued, inflight; /* which of the rows that are queued on disk, where both are one state */
	bool by_filter;        /* the request has a filter besides ids */
	char *client, *name;
};
/* Reads the members states, reason, stream, client, name and older_us. 0, -EINVAL, -ENOENT (no such stream) or
 * -ENOMEM; after 0 the caller frees *ret with selection_clear(). */
int selection_read(const struct request *r, const struct query_streams *streams, uint32_t default_states,
                   struct selection *ret, struct err *err) MUST_CHECK;
void selection_clear(struct selection *sel);

/* What `count` counts by. */
enum count_by { BY_NOTHING, BY_STREAM, BY_NAME, BY_STATE, BY_REASON, BY_AGE, BY_COUNT };
/* Reads the member by. 0 or -EINVAL. */
int selection_read_by(const struct request *r, enum count_by *ret, struct err *err) MUST_CHECK;

#endif
