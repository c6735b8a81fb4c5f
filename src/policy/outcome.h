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

/* What an attempt means by itself, before the destination's recent past is considered. */
enum meaning {
	MEANS_DELIVERED,
	MEANS_STALE,         /* a kept connection was dead: says nothing about the destination */
	MEANS_NO_CONNECTION, /* nor about the batch, which the server never saw */
	MEANS_NO_ANSWER,     /* a timeout, a reset, garbage */
	MEANS_BUSY,          /* 408, 425, 429 */
	MEANS_BROKEN,        /* 5xx */
	MEANS_DENIED,        /* 401, 403, 404, 3xx, …: the destination is at fault, not the events */
	MEANS_TOO_LARGE,
	MEANS_REFUSED /* 400, 422, …: the content is at fault */
};
enum meaning outcome_meaning(const struct attempt *attempt);
/* Whether the status may be about this very content: denials of 403 and 404, refusals, 413. */
bool outcome_blames_events(const struct attempt *attempt);
/* Retry-After of a 429 or 503, or of a proxy (407, or a refusal of CONNECT), meant for every request; 0: none. */
int64_t outcome_asked_wait_us(const struct attempt *attempt);

/* What the destination did lately and what the batch went through before; filled in by destination_recent(). */
struct destination_recent {
	enum meaning meaning;
	bool counts;         /* the failure says something about the destination */
	bool congests;       /* it counts for the number of requests in flight: */
	bool overload;       /* … the server said that it is too busy, or was slow to fail */
	bool nothing_passes; /* … so that it is down; or it is down already */
	bool others_succeed; /* a request got 2xx that started after this batch's latest failure, or while it hung */
	bool takes_refused;  /* it lately took what it had refused: it may be that of one bad server of several */
	bool has_culprit;    /* it lately took parts of what it failed as it fails this */
	bool takes_its_size; /* it lately took a body of this size or a larger one */
	bool refused_enough; /* this single event was refused often enough, over a time that is long enough */
	bool denied_enough;  /* likewise denied */
	bool park_ambiguous; /* the stream has ambiguous = "park" */
	int64_t asked_wait_us; /* Retry-After, where it is meant for every request; 0: none */
	unsigned failures; /* earlier failures of the batch, or of what it was cut from, that may be its own fault */
	unsigned batch_events;
};

enum outcome {
	OUTCOME_DELIVERED,
	OUTCOME_RETRY_NOW,         /* a kept connection was dead: retry at once on a new one */
	OUTCOME_RETRY_DESTINATION, /* the destination backs off */
	OUTCOME_RETRY_BATCH,       /* only this batch backs off, because other batches succeed */
	OUTCOME_SPLIT,             /* 413: split into two halves */
	OUTCOME_BISECT,            /* refused, or failed three times: halve until the culprit is alone */
	OUTCOME_DEAD_REFUSED,
	OUTCOME_DEAD_EXPIRED, /* refused as too old, by another relay's door */
	OUTCOME_DEAD_TOO_LARGE,
	OUTCOME_DEAD_AMBIGUOUS,
	OUTCOME_DESTINATION_WRONG, /* 401, 403, 404, …: backs off and logs an error; no event dies */
	OUTCOME_COUNT
};

/* Decides what becomes of a batch (tests/e2e/README has the table). Pure. */
enum outcome outcome_decide(const struct attempt *attempt, const struct destination_recent *recent);
/* Whether the status decides the outcome. If not, and the body was sent, the events may have been counted. */
bool outcome_status_decides(int status);
/* The outcome's name in logs and metrics: "delivered", "retry-now", … */
const char *outcome_name(enum outcome outcome);
const char *transport_name(enum transport transport);

#endif
