/* journal.h - the last lines and events in bounded memory, for the live page; loop thread only
 *
 * Each change has a number, which grows for ever, across restarts too: it begins with the time of the start in
 * microseconds. A reader who knows the number of the last change that it saw can ask for those that followed. */
#ifndef HTTP_PAGE_JOURNAL_H
#define HTTP_PAGE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/collections/idmap.h"
#include "event/tap.h"
#include "json/json_read.h"

enum journal_verdict { VERDICT_ACCEPTED, VERDICT_WARNED, VERDICT_DUPLICATE, VERDICT_REFUSED };
enum journal_state {
	JOURNAL_QUEUED,
	JOURNAL_SENT,
	JOURNAL_DELIVERED,
	JOURNAL_FORWARDED,
	JOURNAL_RETRYING,
	JOURNAL_DEAD,
	JOURNAL_HELD,
	JOURNAL_DROPPED,
	JOURNAL_NONE
};

/* What happened to an event, as the page draws it. */
struct journal_step {
	enum journal_state state;
	int status; /* 0: none */
	int64_t at_us;
};

enum {
	JOURNAL_ENTRIES = 1000,
	JOURNAL_BYTES = 16 << 20,
	JOURNAL_LINE_MAX = 16 << 10, /* bytes kept of a line */
	JOURNAL_STEPS = 8            /* kept of an event: the first, and the newest */
};

/* An event, or a line that became none. */
struct journal_entry {
	TAILQ_ENTRY(journal_entry) by_age, by_change;
	uint64_t made, changed;   /* numbers of its first and last change */
	uint64_t id;              /* in the outbox; 0: it became no event */
	uint64_t line_id;         /* of the first event of its line, which shows the line */
	uint32_t sid;             /* 0: no event */
	uint32_t index, n_events; /* its place in its line */
	enum journal_verdict verdict;
	enum journal_state state;
	int64_t received_us, event_us;
	uint32_t attempts, request_events;
	bool maybe_sent;
	enum dead_reason reason;
	enum code code;           /* why it was refused */
	const char *not_realtime; /* NULL: it shows in Realtime once it is delivered */
	int last_status;
	char last_error[96];
	struct journal_step steps[JOURNAL_STEPS];
	unsigned n_steps;
	/* Its texts; all but name are empty where contents are not to be kept. */
	struct slice name, client, line, body, warnings /* an array */, field, message;
	uint32_t line_bytes; /* of the whole line */
	size_t size;         /* of this block */
	char text[];
};
TAILQ_HEAD(journal_list, journal_entry);

struct journal {
	struct journal_list by_age, by_change; /* the oldest first */
	struct idmap by_id;
	struct json_in *reader;
	bool contents; /* kept; otherwise no value that came in a line, but event names */
	size_t n, bytes;
	uint64_t last;      /* number of the last change */
	uint64_t n_refused; /* lines, since the start */
	/* Called before an entry is forgotten. */
	void (*on_forget)(void *arg, const struct journal_entry *e);
	void *arg;
};

int journal_init(struct journal *j, bool contents, int64_t wall_us) MUST_CHECK;
void journal_free(struct journal *j);
/* What the tap reports. Out of memory, it goes unseen. */
void journal_line(struct journal *j, const struct tap_line *l, int64_t wall_us);
void journal_event(struct journal *j, const struct tap_event *e, int64_t wall_us);
/* Notes an operator's change in the entries of these events. */
void journal_act(struct journal *j, enum tap_act what, const uint64_t *ids, size_t n, int64_t wall_us);
/* The first entry, in the order of changes, that changed after that number; NULL: none. */
const struct journal_entry *journal_after(const struct journal *j, uint64_t seen);

#endif
