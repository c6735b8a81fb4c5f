/* intake_private.h - what the files of intake share */
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

/* Rejected lines on their way to the outbox (rejects.c). */
enum { REJECTED_LINE_MAX = 8192, REJECTS_BYTES_MAX = 8 * 1024 * 1024 };
struct reject;
STAILQ_HEAD(reject_list, reject);
struct rejects {
	struct reject_list waiting; /* oldest first */
	size_t n, bytes;
	uint64_t keep;   /* outbox.keep_rejected */
	bool busy;       /* one job at a time is with the writer */
	int64_t last_us; /* monotonic: when it was handed over */
	struct loop_timer *timer;
};

/* Which client_id the recent events are of (share.c): the space-saving sketch. */
enum { SHARE_SLOTS = 16 };
struct share {
	struct hash_key key;
	uint64_t hashes[SHARE_SLOTS], counts[SHARE_SLOTS];
	uint64_t seen;
};

/* A refusal that waits behind lines that are not committed yet. */
struct waiting {
	STAILQ_ENTRY(waiting) link;
	uint64_t after; /* is sent when this many of the connection's puts are done */
	size_t n;
	char text[];
};

/* A connection's place in line. Its puts complete in the order they were submitted. */
struct client {
	struct peer peer;
	bool spoke; /* its first line was read */
	uint64_t submitted, completed;
	STAILQ_HEAD(, waiting) waiting;
};

struct ingest {
	struct ingest_context context;
	struct listener *listener;
	const struct streams *streams;
	struct event_in *reader;
	struct buf reply;     /* one reply; reserved, so that composing never fails for want of memory */
	struct buf scratch;   /* the submission of a line that is only judged */
	struct idmap clients; /* by connection id */
	struct job_list puts; /* of this turn */
	size_t pending_events, pending_bytes; /* read and not answered yet */
	size_t max_line;
	struct rejects rejects;
	struct share share;
	struct log_limit unseen_limit;
	uint64_t unseen_logged;
	struct peer unseen_peer; /* of the last one */
};

/* back_pressure.c: reading stops when too much waits for its commit, and goes on at half of that. */
void back_pressure_apply(struct ingest *in);
void back_pressure_relieve(struct ingest *in);

/* put.c: good lines. */
struct put_origin {
	uint64_t conn; /* 0: from the HTTP door */
	const struct peer *peer;
	ingest_done_fn *done; /* the door's; else NULL */
	void *done_arg;
};
int put_line(struct ingest *in, struct slice line, const struct line_context *context,
             const struct put_origin *origin, struct line_result *result) MUST_CHECK;
/* Answers what can no longer be handed to the writer. */
void put_fail_unsubmitted(struct ingest *in);

/* reply.c: each connection's replies in order. NULL: no memory. */
struct client *client_of(struct ingest *in, uint64_t conn, const struct peer *peer);
void client_gone(struct ingest *in, uint64_t conn);
void clients_free(struct ingest *in);
/* A put of conn is done: its reply, then the refusals that waited for it. */
void reply_ok(struct ingest *in, uint64_t conn, uint64_t id, uint32_t count, bool duplicate, struct slice warnings);
void reply_put_refused(struct ingest *in, uint64_t conn, const struct peer *peer, const struct finding *refusal);
/* A line that is not a put: after the puts before it. client NULL: at once. */
void reply_refused(struct ingest *in, uint64_t conn, struct client *client, const struct finding *refusal);
/* Replies that were queued and could not be written. */
void replies_unsent(struct ingest *in, uint64_t conn, struct slice text);

/* Refusals that nobody could read, at most once a minute. */
void unseen_log(struct ingest *in, int64_t mono_us);

/* rejects.c */
void rejects_init(struct rejects *r, uint64_t keep);
int rejects_start(struct ingest *in) MUST_CHECK;
void rejects_add(struct ingest *in, struct slice line, const struct finding *refusal, const struct peer *peer);
/* Adds a job to in->puts' list when it is time. */
void rejects_submit(struct ingest *in, int64_t mono_us);
bool rejects_idle(const struct ingest *in);
void rejects_free(struct rejects *r);

/* share.c */
void share_init(struct share *s);
void share_add(struct share *s, struct slice client, uint64_t n);
uint64_t share_top(const struct share *s);

/* Fills in a refusal by the relay itself. */
void refuse(struct finding *f, enum code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
