/* dispatch.h - batches to requests, answers to outcomes, outcomes to the outbox
 *
 * Invariant 2 lives here: an event in memory is let go for good only in the done() of the SETTLE that records why. */
#ifndef DAEMON_DELIVERY_DISPATCH_H
#define DAEMON_DELIVERY_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "conf/conf.h"
#include "daemon/delivery/scheduler.h"
#include "model/counters.h"
#include "model/destination.h"
#include "model/tap.h"
#include "net/http_client.h"
#include "store/writer.h"

enum { UNCOMMITTED_MAX = 10000 }; /* outcomes that wait for their commit: then sending stops */

/* How requests go out: net/http_client.c, or a test's endpoint. */
struct dispatch_net {
	int (*post)(struct http_client *c, const char *url, struct slice body, bool fresh, size_t answer_max,
	            http_done_fn *done, void *arg, struct http_request **ret);
	void (*cancel)(struct http_request *r);
	void (*reap)(struct http_client *c);
};

enum { DISPATCH_SLOW_US = 1000 * 1000 }; /* a request that is in flight for so long may hang */

struct expiry;
struct request;

/* A stream as delivery sees it. */
struct outlet {
	uint32_t sid;
	char *name;
	char *url; /* with the secret: in no log; wiped when freed */
	bool park_ambiguous;
	bool conf_paused;
	enum pause_word pause_word; /* the operator's, over the file's */
	bool removed;               /* no longer configured: goes when nothing is in flight */
	struct destination destination;
	struct lane *lane;
	unsigned in_flight; /* requests */
	uint64_t in_flight_events;
	const struct batch *failed_last; /* compared, never looked into */
	uint64_t failed_envelope;
	char last_error[192];
	int64_t down_since_wall_us;
	bool wrong_logged; /* in this episode */
	struct log_limit failures_log;
	unsigned drain_quota; /* requests that may still be started after SIGTERM */
	LIST_HEAD(, request) requests;
};

/* Gathered outcomes of one turn. */
struct settle_gather {
	struct settle *events;
	size_t n, cap;
	struct settle_attempt attempt;
};

struct settle_job;
TAILQ_HEAD(settle_job_list, settle_job);

struct dispatch {
	struct writer *writer;
	struct http_client *http;
	struct dispatch_net net;
	struct scheduler *scheduler;
	struct counters *counters;
	const struct tap *tap;
	struct backoff backoff;
	unsigned max_per_stream; /* requests in flight of a stream, whatever its window says */
	bool keep_delivered;     /* each batch's attempt is recorded apart */
	bool draining, aborting;
	double (*chance)(void); /* [0, 1) */
	struct expiry *expiry;  /* asked for each event that is about to be sent; NULL in tests: nothing expires */
	struct now now;         /* of this turn */
	struct settle_gather delivered;
	struct job_list jobs;          /* to submit at the end of the turn */
	struct settle_job_list failed; /* could not be committed: again later */
	int64_t failed_again_us;
	bool commit_failing;  /* said so in the log */
	uint64_t uncommitted; /* outcomes on their way, or failed */
	unsigned jobs_out;
	uint64_t in_flight_events;
	uint64_t bound, bound_asked; /* events that may be sent twice after a crash: as committed, as asked for */
	int64_t idle_since_us;       /* nothing in flight or uncommitted since; INT64_MIN: busy */
	struct log_limit dead_log;
	LIST_HEAD(, request) spare; /* with their buffers */
	unsigned n_spare;
};

void dispatch_init(struct dispatch *d);
/* Everything must be settled or abandoned. */
void dispatch_free(struct dispatch *d);
/* The requests that are kept for the next burst, with their buffers: 2 MiB at most. */
void dispatch_give_back(struct dispatch *d);

/* endpoint?measurement_id=…&api_secret=…; NULL: no memory. The caller wipes it. */
char *dispatch_url(const struct conf_stream *stream);

bool outlet_paused(const struct outlet *o);
/* Starts at most max requests; how many were started. */
unsigned dispatch_start(struct dispatch *d, struct outlet *o, unsigned max);
/* Tells who follows live that an event became a dead letter, reason expired. */
void dispatch_tap_expired(const struct dispatch *d, const struct due *due);
/* Too old: it leaves as a dead letter. The event is DUE_TAKEN, and gone with this call. */
void dispatch_expire(struct dispatch *d, struct due *due);
/* The turn's end: what was decided goes to the writer; what could not be committed is tried again. */
void dispatch_submit(struct dispatch *d);
/* Ends every request of an outlet: with outcomes as after a timeout. dispatch_reap() must follow. */
void dispatch_cancel(struct outlet *o, const struct dispatch *d);
/* When dispatch_submit() has something to do without any other event; INT64_MAX: never. */
int64_t dispatch_next_us(const struct dispatch *d);
/* Frees requests without outcome; the batches' events are forgotten. */
void outlet_abandon(struct dispatch *d, struct outlet *o);

/* dispatch_apply.c */
void tap_batch(const struct dispatch *d, enum tap_what what, const struct batch *b, enum dead_reason reason,
               const struct attempt *a);
/* The events may have been counted: no answer that decides, and all of the body was written. */
bool attempt_is_ambiguous(const struct attempt *a);
/* The batch goes where its outcome sends it. */
void outcome_apply(struct dispatch *d, struct outlet *o, struct batch *b, const struct attempt *a,
                   enum outcome outcome);
/* All of it become dead letters. */
void batch_bury(struct dispatch *d, struct batch *b, const struct attempt *a, enum dead_reason reason);

/* dispatch_settle.c */
void settle_add(struct dispatch *d, struct batch *b, enum settle_kind kind, enum dead_reason reason,
                const struct settle_attempt *attempt);
void settle_one(struct dispatch *d, struct due *due, enum dead_reason reason, const struct settle_attempt *attempt);
/* May events more be sent under the bound that the outbox knows? Asks for a higher one when not. */
bool bound_allows(struct dispatch *d, uint64_t more);
/* What is still gathered, and what could not be committed to the end: those events are sent again. */
void settle_free(struct dispatch *d);

/* dispatch_log.c */
void log_batch(struct dispatch *d, struct outlet *o, const struct batch *b, const struct attempt *a,
               enum outcome outcome);
void log_destination(struct dispatch *d, struct outlet *o, enum destination_change change, enum outcome outcome,
                     const char *why);

#endif
