/* delivery_private.h - what the files of delivery proper share: struct delivery and struct stream
 *
 * The stream queues, the settling of outcomes, the in-flight mark and expiry know neither of them. */
#ifndef DELIVERY_DELIVERY_PRIVATE_H
#define DELIVERY_DELIVERY_PRIVATE_H

#include "base/log.h"
#include "delivery/delivered.h"
#include "delivery/delivery.h"
#include "delivery/expiry.h"
#include "delivery/in_flight_mark.h"
#include "delivery/queue/queue.h"
#include "delivery/queue/settle.h"

enum { REQUEST_SLOW_US = 1000 * 1000 }; /* a request that is in flight for so long may hang */

/* The state of a destination's log lines: written ones, and those that are due. */
struct destination_log {
	struct log_limit episodes;
	bool down_logged, wrong_logged; /* in this episode */
	int64_t remind_at_us;           /* monotonic; INT64_MAX: it is up */
	unsigned answers, failures;     /* since the first failure that is not reported yet */
	int64_t sum_at_us;              /* monotonic: when they are; INT64_MAX: none */
};

struct request;
LIST_HEAD(request_list, request);

/* A stream: its configuration, queue, destination and window. */
struct stream {
	/* stream.c: from the configuration */
	uint32_t sid;
	char *name;
	char *url; /* with the secret: in no log; wiped when freed */
	bool park_ambiguous;
	bool removed; /* no longer configured: goes when nothing of it is in flight */
	/* pause.c */
	bool conf_paused;
	enum pause_word pause_word; /* the operator's, over the file's */
	/* the queue's own files */
	struct stream_queue queue;
	/* delivery_request.c */
	struct destination destination; /* with the window */
	struct request_list requests;
	unsigned in_flight; /* requests */
	uint64_t in_flight_events;
	const struct batch *failed_last; /* compared, never looked into */
	uint64_t failed_envelope;
	char last_error[192]; /* "": none since the last success */
	/* dispatch.c */
	unsigned drain_quota; /* requests that may still be started while draining */
	/* delivery_log.c */
	struct log_limit failures_log;
	/* destination_log.c */
	int64_t down_since_wall_us;
	struct destination_log log;
};

static inline struct stream *batch_stream(const struct batch *b)
{
	return CONTAINER_OF(b->queue, struct stream, queue);
}

struct delivery {
	/* given; outlive it */
	struct loop *loop;
	struct counters *counters;
	const struct tap *tap;
	const enum phase *phase;
	const struct forwarder *forwarder; /* NULL: none */
	/* its parts */
	struct outbox_jobs jobs;
	struct queues *queues;
	struct settler *settler;
	struct in_flight_mark mark;
	struct expiry *expiry;
	struct delivered_log *delivered;
	struct http_client *http;
	double (*chance)(void); /* [0, 1) */
	struct loop_timer *timer;
	struct now now; /* of this turn */
	/* stream.c */
	struct stream *streams[STORE_STREAMS_MAX]; /* removed ones included until nothing of theirs is in flight */
	size_t n_streams;
	struct stream *by_sid[STORE_STREAMS_MAX];
	struct backoff backoff;
	int64_t refuse_after_us;
	unsigned max_per_stream; /* requests in flight of a stream, whatever its window says */
	bool keep_delivered;     /* each batch's attempt is recorded apart */
	/* delivery_request.c */
	uint64_t in_flight_events;
	struct request_list spare; /* with their buffers */
	unsigned n_spare;
	/* dispatch.c */
	size_t turn;        /* which stream may start first */
	bool more_to_start; /* in the next turn: this one has done enough */
	/* pause.c */
	bool starts_suspended; /* an operator's change is at the writer */
	/* delivery_log.c */
	struct log_limit dead_log;
	/* destination_log.c */
	struct expiry_of_stream expiry_seen[STORE_STREAMS_MAX];
	int64_t expiry_seen_us; /* monotonic */
};

/* When the next turn must come though nothing else happens; monotonic, INT64_MAX: never. */
int64_t delivery_next_us(const struct delivery *d, const struct now *now);

/* ---- stream.c ---- */

int streams_apply(struct delivery *d, const struct conf *conf, const struct stream_rules *rules,
                  struct err *err) MUST_CHECK;
/* Frees removed streams that have nothing in flight or settling. */
void streams_reap_removed(struct delivery *d);
struct stream *stream_free(struct delivery *d, struct stream *s);

/* ---- pause.c ---- */

bool stream_is_paused(const struct stream *s);

/* ---- dispatch.c ---- */

/* Starts what may be started, some of it in the next turn. */
void dispatch_start(struct delivery *d);
/* Events of a batch that grew too old leave. NULL: nothing of it may go now. */
struct batch *dispatch_drop_expired(struct delivery *d, struct batch *b);
/* Draining begins: only so many more requests as are free now. */
void dispatch_limit(struct delivery *d);
/* Events that may be sent twice after a crash, if it came now. */
uint64_t dispatch_exposed(const struct delivery *d);

/* ---- forward.c ---- */

/* Gives the forwarder what it takes now. */
void forward_start(struct delivery *d);

/* ---- delivery_request.c ---- */

/* Takes the batch. False: no request is on its way, and the batch went where that outcome sends it. */
bool request_start(struct delivery *d, struct stream *s, struct batch *b);
/* The one envelope of all that is in flight, when all of it is old (suspects do not count): the endpoint may hang on
 * just this one. 0: none. */
uint64_t requests_crowding(const struct delivery *d, const struct stream *s);
/* Whether something is in flight, and all of it for so long that it may hang. */
bool requests_all_slow(const struct delivery *d, const struct stream *s);
/* Ends every request of a stream, with outcomes as after a timeout; http_client_reap() must follow. */
void requests_cancel(struct stream *s);
/* Frees requests without an outcome; their events are forgotten. */
void requests_abandon(struct delivery *d, struct stream *s);
/* Frees the requests that are kept for the next burst, with their buffers: 2 MiB at most. */
void requests_give_back(struct delivery *d);

/* ---- outcome_apply.c ---- */

/* The batch, in flight, goes where its outcome sends it: it leaves, or waits for another try. */
void outcome_apply(struct delivery *d, struct batch *b, const struct attempt *a, enum outcome outcome);
/* Events that an operator held or dropped while they were in flight leave; false: nothing is left of the batch. */
bool batch_let_forgotten_go(struct delivery *d, struct batch *b);
/* The events may have been counted: no answer that decides, and all of the body was written. */
bool attempt_is_ambiguous(const struct attempt *a);
struct settle_attempt attempt_record(const struct attempt *a, enum outcome outcome);

/* ---- leave.c ---- */

/* How events leave delivery. */
struct departure {
	enum {
		LEAVE_DELIVERED,
		LEAVE_FORWARDED,
		LEAVE_DEAD,
		LEAVE_DROPPED /* held, dropped, or to be read anew */
	} as;
	enum dead_reason reason;       /* for LEAVE_DEAD */
	const struct batch *batch;     /* that was tried, still with its events; NULL: they were not tried now */
	const struct attempt *attempt; /* … how; NULL */
	enum outcome outcome;          /* … and what became of it */
};
/* The one way out: counts, taps, logs, settles, and lets memory go. The events are of one stream, in flight or taken
 * out of their batch. */
void leave(struct delivery *d, struct queued_event *const events[], unsigned n, const struct departure *how);
/* The same of one event that has left the outbox already: whatever it does at present, in memory or not. sid may be 0
 * for a departure that is not counted. */
void leave_by_id(struct delivery *d, uint64_t id, uint32_t sid, const struct departure *how);
/* Shows a step of a batch in flight to whoever follows. */
void tap_batch(const struct delivery *d, enum tap_what what, const struct batch *b, const struct attempt *a);

/* ---- delivery_log.c ---- */

void log_batch(struct delivery *d, const struct batch *b, const struct attempt *a, enum outcome outcome);

/* ---- destination_log.c ---- */

void destination_log_init(struct destination_log *l);
void log_destination(struct delivery *d, struct stream *s, enum destination_change change);
/* Counts an answer for the line on failures that comes once a minute. */
void log_answer(struct delivery *d, struct stream *s, enum outcome outcome);
/* Writes what is due, and tells when the next is; monotonic, INT64_MAX: nothing. */
void log_due(struct delivery *d, struct stream *s);
int64_t log_due_us(const struct stream *s);

#endif
