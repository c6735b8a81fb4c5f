/* outcome.h - what an answer, or none, means for a batch and for its destination */
#ifndef POLICY_OUTCOME_H
#define POLICY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

/* How the transfer itself ended, whatever the status line said. */
enum transport {
	TRANSPORT_OK, /* an answer came to its end */
	TRANSPORT_DNS,
	TRANSPORT_CONNECT,
	TRANSPORT_TLS,
	TRANSPORT_TIMEOUT,
	TRANSPORT_RESET, /* died in the middle, empty reply, garbage, stream reset */
	TRANSPORT_STALE, /* a kept connection turned out dead before any byte of an answer */
	TRANSPORT_LOCAL  /* our own failure: no memory, bad option */
};

struct attempt {
	enum transport transport;
	int status;             /* of the last status line that is not 1xx; 0: none came */
	int64_t retry_after_us; /* from Retry-After, clamped to 0..1h; -1: none or absurd */
	bool body_sent;         /* all of the body was written: the server may have counted it */
	bool reused_connection;
	bool multiplexed; /* HTTP/2: a connection that died is kept no more, and there are few others */
	char error[160];  /* libcurl's words, no URL with a secret; "" when there was an answer */
	char answer[256]; /* the answer's first bytes, printable */
	int64_t started_wall_us, duration_us;
	int64_t date_us; /* the server's clock, by its Date header; 0: not known, or the answer was not wanted */
};

/* What the destination did lately: the safeguard's memory (destination_recent() fills it in). The batch's past is
 * also that of the batches it was cut from. */
struct destination_recent {
	bool success_since_first_refusal; /* it was refused before, and a 2xx came for others since then … */
	bool success_since_last_refusal;  /* … even since the latest refusal before this one */
	bool others_succeed;  /* a request that started after this batch first failed (on its first failure: after it
	                       * started) got 2xx */
	bool failed_before;   /* this is not the batch's first failure */
	unsigned own_denials; /* 401, 403, … of this batch after each of which others got through all the time, and
	                       * this one */
	bool park_ambiguous;  /* the stream says ambiguous = "park" */
	unsigned batch_events;
};

enum { OUTCOME_OWN_DENIALS_MAX = 5 }; /* so many of them are a refusal (ga4relay(8), Backing off) */

enum outcome {
	OUTCOME_DELIVERED,
	OUTCOME_RETRY_NOW,         /* dead kept connection: again at once on a new one */
	OUTCOME_RETRY_DESTINATION, /* the destination backs off */
	OUTCOME_RETRY_BATCH,       /* only this batch backs off: others get through */
	OUTCOME_SPLIT,             /* 413: two halves */
	OUTCOME_BISECT,            /* 400, 422: two halves until the culprit stands alone */
	OUTCOME_DEAD_REFUSED,
	OUTCOME_DEAD_TOO_LARGE,
	OUTCOME_DEAD_AMBIGUOUS,
	OUTCOME_DESTINATION_WRONG, /* 401, 403, 404, …: backs off, logged as an error, nothing dies */
	OUTCOME_COUNT
};

/* Pure: the table of ga4relay(8), Outcomes. */
enum outcome outcome_decide(const struct attempt *attempt, const struct destination_recent *recent);
/* A status came that decides. No, and the body was sent: the events may have been counted. */
bool outcome_status_decides(int status);
/* Such a status is about the content, if it is not the endpoint that is wrong: 400, 422 and other 4xx. */
bool outcome_status_refuses(int status);
/* 401, 403, 404, 405, 407, 3xx. */
bool outcome_status_denies(int status);
/* "delivered", "retry", …: the word in logs and metrics. */
const char *outcome_name(enum outcome outcome);
const char *transport_name(enum transport transport);

#endif
