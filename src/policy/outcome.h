/* outcome.h - what a response, or the lack of one, means for a batch and for its destination */
#ifndef POLICY_OUTCOME_H
#define POLICY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

/* How the transfer itself ended, whatever the status. */
enum transport {
	TRANSPORT_OK, /* a complete response was received */
	TRANSPORT_DNS,
	TRANSPORT_CONNECT,
	TRANSPORT_TLS,
	TRANSPORT_TIMEOUT,
	TRANSPORT_RESET, /* closed in the middle, empty reply, garbage, stream reset */
	TRANSPORT_STALE, /* a kept connection was dead before any byte of a response */
	TRANSPORT_LOCAL  /* a local failure: out of memory, bad option */
};

struct attempt {
	enum transport transport;
	int status;             /* last status that is not 1xx; 0: none received */
	int proxy_status;       /* the proxy's refusal of CONNECT, so that status is 0; 0: none */
	int64_t retry_after_us; /* from Retry-After, clamped to 0..1h; -1: none or absurd */
	bool body_sent;         /* the whole body was written: the server may have counted the events */
	bool reused_connection;
	bool multiplexed; /* HTTP/2: a dead connection is not kept, and there are few others */
	char error[160];  /* libcurl's error text, without a URL that has a secret; "" if there was a response */
	char answer[256]; /* first bytes of the response body, printable */
	int64_t started_wall_us, duration_us;
	int64_t date_us; /* server's clock from its Date header; 0: unknown, or the response body was not wanted */
};

/* The destination's recent past, which the safeguard needs; filled in by destination_recent(). A batch's past
 * includes that of the batches it was cut from. */
struct destination_recent {
	bool success_since_first_refusal; /* the batch was refused before, and another got 2xx since … */
	bool success_since_last_refusal;  /* … even since the latest earlier refusal */
	bool others_succeed;  /* a request that started after this batch's first failure (or, on its first failure,
	                         after its own start) got 2xx */
	bool failed_before;   /* this is not the batch's first failure */
	unsigned own_denials; /* number of 401, 403, … for this batch, this one included, while other batches kept
	                         succeeding */
	bool park_ambiguous;  /* the stream has ambiguous = "park" */
	unsigned batch_events;
};

enum { OUTCOME_OWN_DENIALS_MAX = 5 }; /* this many denials count as a refusal (ga4relay(8), Backing off) */

enum outcome {
	OUTCOME_DELIVERED,
	OUTCOME_RETRY_NOW,         /* a kept connection was dead: retry at once on a new one */
	OUTCOME_RETRY_DESTINATION, /* the destination backs off */
	OUTCOME_RETRY_BATCH,       /* only this batch backs off, because other batches succeed */
	OUTCOME_SPLIT,             /* 413: split into two halves */
	OUTCOME_BISECT,            /* 400, 422: halve until the culprit is alone */
	OUTCOME_DEAD_REFUSED,
	OUTCOME_DEAD_TOO_LARGE,
	OUTCOME_DEAD_AMBIGUOUS,
	OUTCOME_DESTINATION_WRONG, /* 401, 403, 404, …: backs off and logs an error; no event dies */
	OUTCOME_COUNT
};

/* Decides by the table in ga4relay(8), Outcomes. Pure. */
enum outcome outcome_decide(const struct attempt *attempt, const struct destination_recent *recent);
/* Whether the status decides the outcome. If not, and the body was sent, the events may have been counted. */
bool outcome_status_decides(int status);
/* Whether the status blames the content, unless the endpoint itself is wrong: 400, 422 and other 4xx. */
bool outcome_status_refuses(int status);
/* Whether the status blames the destination: 401, 403, 404, 405, 407, 3xx. */
bool outcome_status_denies(int status);
/* The outcome's name in logs and metrics: "delivered", "retry-now", … */
const char *outcome_name(enum outcome outcome);
const char *transport_name(enum transport transport);

#endif
