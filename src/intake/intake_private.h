/* intake_private.h - the state and functions that the files of intake/ share */
#ifndef INTAKE_INTAKE_PRIVATE_H
#define INTAKE_INTAKE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/collections/hash.h"
#include "base/collections/idmap.h"
#include "base/log.h"
#include "event/event_in.h"
#include "intake/intake.h"

/* Rejected lines waiting to be stored (rejected_lines.c). */
enum { REJECTED_LINE_MAX = 8192, REJECTS_BYTES_MAX = 8 * 1024 * 1024 };
struct reject;
STAILQ_HEAD(reject_list, reject);
struct rejects {
	struct reject_list waiting; /* oldest first */
	size_t n, bytes;
	uint64_t keep;   /* outbox.keep_rejected */
	bool busy;       /* a job is at the writer; there is one at a time */
	int64_t last_us; /* when the last job was submitted, monotonic */
	struct loop_timer *timer;
};

/* Space-saving sketch of the client_ids of recent events (constant_client.c). */
enum { SHARE_SLOTS = 16 };
struct share {
	struct hash_key key;
	uint64_t hashes[SHARE_SLOTS], counts[SHARE_SLOTS];
	uint64_t seen;
};

/* A refusal that must wait for the replies to earlier lines, which are not committed yet. */
struct waiting {
	STAILQ_ENTRY(waiting) link;
	uint64_t after; /* to be sent when this many of the connection's puts are done */
	size_t n;
	char text[];
};

/* The order of a connection's replies. Its puts complete in the order in which they were submitted. */
struct client {
	struct peer peer;
	bool spoke; /* its first line has been read */
	uint64_t submitted, completed;
	STAILQ_HEAD(, waiting) waiting;
};

struct intake {
	struct intake_context context;
	struct listener *listener;
	const struct streams *streams;
	struct event_in *reader;
	struct buf reply;     /* one reply; reserved in advance, so that composing it never runs out of memory */
	struct buf scratch;   /* submission of a line that is only judged */
	struct idmap clients; /* struct client by connection id */
	struct job_list puts; /* jobs of this turn */
	size_t pending_events, pending_bytes; /* read and not yet answered */
	size_t max_line;
	struct rejects rejects;
	struct share share;
	struct log_limit unseen_limit, stalled_limit;
	uint64_t unseen_logged;
	struct peer unseen_peer; /* sender of the latest unread refusal */
};

/* back_pressure.c: stops reading while too much input awaits its commit, and resumes at half of that. */
void back_pressure_apply(struct intake *in);
void back_pressure_relieve(struct intake *in);

/* put.c: accepted lines. */
struct put_origin {
	uint64_t conn; /* 0: from the HTTP door */
	const struct peer *peer;
	intake_done_fn *done; /* the HTTP door's; NULL for the event socket */
	void *done_arg;
};
int put_line(struct intake *in, struct slice line, const struct line_context *context,
             const struct put_origin *origin, struct line_result *result) MUST_CHECK;
/* Refuses the puts that can no longer be submitted to the writer. */
void put_fail_unsubmitted(struct intake *in);

/* reply.c: each connection's replies, in the order of its lines. Returns NULL if out of memory. */
struct client *client_of(struct intake *in, uint64_t conn, const struct peer *peer);
void client_gone(struct intake *in, uint64_t conn);
void clients_free(struct intake *in);
/* Call when a put of conn is done: sends its reply, then the refusals that waited for it. */
void reply_ok(struct intake *in, uint64_t conn, uint64_t id, uint32_t count, bool duplicate, struct slice warnings);
void reply_put_refused(struct intake *in, uint64_t conn, const struct peer *peer, const struct finding *refusal);
/* Sends a refusal after the replies to the connection's earlier puts; at once if client is NULL. */
void reply_refused(struct intake *in, uint64_t conn, struct client *client, const struct finding *refusal);
/* Counts queued replies that could not be written. */
void replies_unsent(struct intake *in, uint64_t conn, struct slice text);

/* Logs refusals that no client read, at most once a minute. */
void unseen_log(struct intake *in, int64_t mono_us);

/* rejected_lines.c */
void rejects_init(struct rejects *r, uint64_t keep);
int rejects_start(struct intake *in) MUST_CHECK;
void rejects_add(struct intake *in, struct slice line, const struct finding *refusal, const struct peer *peer);
/* Adds a job with rejected lines to in->puts, at most once per interval. */
void rejects_submit(struct intake *in, int64_t mono_us);
bool rejects_idle(const struct intake *in);
void rejects_free(struct rejects *r);

/* constant_client.c */
void share_init(struct share *s);
void share_add(struct share *s, struct slice client, uint64_t n);
uint64_t share_top(const struct share *s);

/* Tells whoever follows the tap. */
void tap_refused(const struct intake *in, struct slice line, const struct finding *refusal);

/* Fills in a refusal made by the relay itself. */
void refuse(struct finding *f, enum code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
