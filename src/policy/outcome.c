/* outcome.c - what a response, or the lack of one, means for a batch and for its destination */
#include "policy/outcome.h"

#include <stddef.h>

#include "base/macros.h"

/* What a status means by itself, before the destination's recent past is considered. */
enum meaning {
	MEANS_NOTHING, /* no usable response */
	MEANS_DELIVERED,
	MEANS_BUSY,   /* retry later, the whole destination: 425, 429 */
	MEANS_LATE,   /* 408: the server waited too long for a request */
	MEANS_BROKEN, /* retry later: 5xx */
	MEANS_DENIED, /* the destination is at fault, not the events */
	MEANS_TOO_LARGE,
	MEANS_REFUSED /* the content is at fault */
};

static const struct {
	int first, last;
	enum meaning meaning;
} statuses[] = {
        /* the first matching row applies */
        {200, 299, MEANS_DELIVERED}, {300, 399, MEANS_DENIED}, /* never followed: the URL has the secret */
        {401, 401, MEANS_DENIED},    {403, 405, MEANS_DENIED},    {407, 407, MEANS_DENIED},
        {408, 408, MEANS_LATE},      {413, 413, MEANS_TOO_LARGE}, {425, 425, MEANS_BUSY},
        {429, 429, MEANS_BUSY},      {400, 499, MEANS_REFUSED},   {500, 599, MEANS_BROKEN},
};

static enum meaning status_meaning(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (status >= statuses[i].first && status <= statuses[i].last)
			return statuses[i].meaning;
	return MEANS_NOTHING;
}

bool outcome_status_decides(int status)
{
	return status_meaning(status) != MEANS_NOTHING;
}

bool outcome_status_refuses(int status)
{
	return status_meaning(status) == MEANS_REFUSED;
}

bool outcome_status_denies(int status)
{
	return status_meaning(status) == MEANS_DENIED;
}

/* The safeguard: a refusal kills an event only if the event was refused before and other batches succeeded in
 * between. Bisecting kills nothing, so it is always done; a wrong endpoint is recognised when a single event is
 * refused and nothing else succeeds. */
static enum outcome refused(const struct destination_recent *recent)
{
	if (recent->batch_events > 1)
		return OUTCOME_BISECT;
	if (recent->success_since_last_refusal)
		return OUTCOME_DEAD_REFUSED;
	if (recent->success_since_first_refusal || recent->others_succeed)
		return OUTCOME_RETRY_BATCH;
	return OUTCOME_DESTINATION_WRONG;
}

static enum outcome denied(const struct destination_recent *recent)
{
	if (!recent->others_succeed)
		return OUTCOME_DESTINATION_WRONG;
	if (recent->own_denials < OUTCOME_OWN_DENIALS_MAX)
		return OUTCOME_RETRY_BATCH;
	return recent->batch_events > 1 ? OUTCOME_BISECT : OUTCOME_DEAD_REFUSED;
}

/* The first "slow down" answer may concern every request, so the destination backs off. Only a repeated one, while
 * other batches succeed, is attributed to the batch. */
static enum outcome busy(const struct destination_recent *recent)
{
	return recent->failed_before && recent->others_succeed ? OUTCOME_RETRY_BATCH : OUTCOME_RETRY_DESTINATION;
}

static enum outcome broken(const struct attempt *attempt, const struct destination_recent *recent)
{
	if (attempt->retry_after_us >= 0)
		return busy(recent);
	return recent->others_succeed ? OUTCOME_RETRY_BATCH : OUTCOME_RETRY_DESTINATION;
}

static enum outcome unanswered(const struct attempt *attempt, const struct destination_recent *recent)
{
	switch (attempt->transport) {
	case TRANSPORT_STALE:
		if (attempt->body_sent && recent->park_ambiguous)
			return OUTCOME_DEAD_AMBIGUOUS;
		return OUTCOME_RETRY_NOW;
	case TRANSPORT_DNS:
	case TRANSPORT_CONNECT:
	case TRANSPORT_TLS:
	case TRANSPORT_LOCAL:
		return OUTCOME_RETRY_DESTINATION; /* says nothing about the batch, which the server never saw */
	case TRANSPORT_OK:
	case TRANSPORT_TIMEOUT:
	case TRANSPORT_RESET:
		break;
	}
	if (attempt->body_sent && recent->park_ambiguous)
		return OUTCOME_DEAD_AMBIGUOUS;
	return recent->others_succeed ? OUTCOME_RETRY_BATCH : OUTCOME_RETRY_DESTINATION;
}

/* Whatever a proxy refuses to connect to, it has seen no event. */
static enum outcome proxy_refused(int status)
{
	return outcome_status_denies(status) ? OUTCOME_DESTINATION_WRONG : OUTCOME_RETRY_DESTINATION;
}

enum outcome outcome_decide(const struct attempt *attempt, const struct destination_recent *recent)
{
	if (attempt->proxy_status)
		return proxy_refused(attempt->proxy_status);
	switch (status_meaning(attempt->status)) {
	case MEANS_DELIVERED:
		return OUTCOME_DELIVERED;
	case MEANS_BUSY:
		return busy(recent);
	case MEANS_LATE: /* some servers close an idle kept connection with a 408, which was then sent before the
	                    request */
		return attempt->reused_connection ? OUTCOME_RETRY_NOW : busy(recent);
	case MEANS_BROKEN:
		return broken(attempt, recent);
	case MEANS_DENIED:
		return denied(recent);
	case MEANS_TOO_LARGE:
		return recent->batch_events > 1 ? OUTCOME_SPLIT : OUTCOME_DEAD_TOO_LARGE;
	case MEANS_REFUSED:
		return refused(recent);
	case MEANS_NOTHING:
		break;
	}
	return unanswered(attempt, recent);
}

const char *outcome_name(enum outcome outcome)
{
	static const char *const names[OUTCOME_COUNT] = {
	        [OUTCOME_DELIVERED] = "delivered",
	        [OUTCOME_RETRY_NOW] = "retry-now",
	        [OUTCOME_RETRY_DESTINATION] = "retry",
	        [OUTCOME_RETRY_BATCH] = "retry-batch",
	        [OUTCOME_SPLIT] = "split",
	        [OUTCOME_BISECT] = "bisect",
	        [OUTCOME_DEAD_REFUSED] = "dead-refused",
	        [OUTCOME_DEAD_TOO_LARGE] = "dead-too-large",
	        [OUTCOME_DEAD_AMBIGUOUS] = "dead-ambiguous",
	        [OUTCOME_DESTINATION_WRONG] = "destination-wrong",
	};
	return (unsigned)outcome < OUTCOME_COUNT ? names[outcome] : "";
}

const char *transport_name(enum transport transport)
{
	static const char *const names[] = {
	        [TRANSPORT_OK] = "ok",       [TRANSPORT_DNS] = "dns",         [TRANSPORT_CONNECT] = "connect",
	        [TRANSPORT_TLS] = "tls",     [TRANSPORT_TIMEOUT] = "timeout", [TRANSPORT_RESET] = "reset",
	        [TRANSPORT_STALE] = "stale", [TRANSPORT_LOCAL] = "local",
	};
	return (unsigned)transport < ARRAY_LEN(names) ? names[transport] : "";
}
