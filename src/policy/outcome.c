/* outcome.c - what a response, or the lack of one, means for a batch and for its destination */
#include "policy/outcome.h"

#include <stddef.h>
#include <string.h>

#include "base/macros.h"

enum {
	OWN_FAILURES = 3, /* of a batch, until it is bisected: its neighbours wait no longer */
	NO_MEANING = -1   /* of a status that is no status */
};

static const struct {
	int first, last;
	enum meaning meaning;
} statuses[] = {
        /* the first matching row applies */
        {200, 299, MEANS_DELIVERED}, {300, 399, MEANS_DENIED}, /* never followed: the URL has the secret */
        {401, 401, MEANS_DENIED},    {403, 405, MEANS_DENIED},    {407, 407, MEANS_DENIED},
        {408, 408, MEANS_BUSY},      {413, 413, MEANS_TOO_LARGE}, {425, 425, MEANS_BUSY},
        {429, 429, MEANS_BUSY},      {400, 499, MEANS_REFUSED},   {500, 599, MEANS_BROKEN},
};

static int status_meaning(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (status >= statuses[i].first && status <= statuses[i].last)
			return (int)statuses[i].meaning;
	return NO_MEANING;
}

static enum meaning transport_meaning(enum transport transport)
{
	switch (transport) {
	case TRANSPORT_STALE:
		return MEANS_STALE;
	case TRANSPORT_DNS:
	case TRANSPORT_CONNECT:
	case TRANSPORT_TLS:
	case TRANSPORT_LOCAL:
		return MEANS_NO_CONNECTION;
	case TRANSPORT_OK:
	case TRANSPORT_TIMEOUT:
	case TRANSPORT_RESET:
		break;
	}
	return MEANS_NO_ANSWER;
}

enum meaning outcome_meaning(const struct attempt *attempt)
{
	int meaning = status_meaning(attempt->status);
	if (meaning == NO_MEANING)
		return transport_meaning(attempt->transport);
	/* some servers close an idle kept connection with a 408, which was then sent before the request */
	if (attempt->status == 408 && attempt->reused_connection)
		return MEANS_STALE;
	return (enum meaning)meaning;
}

bool outcome_status_decides(int status)
{
	return status_meaning(status) != NO_MEANING;
}

bool outcome_blames_events(const struct attempt *attempt)
{
	switch (outcome_meaning(attempt)) {
	case MEANS_DENIED:
		return attempt->status == 403 || attempt->status == 404;
	case MEANS_TOO_LARGE:
	case MEANS_REFUSED:
		return true;
	case MEANS_DELIVERED:
	case MEANS_STALE:
	case MEANS_NO_CONNECTION:
	case MEANS_NO_ANSWER:
	case MEANS_BUSY:
	case MEANS_BROKEN:
		break;
	}
	return false;
}

int64_t outcome_asked_wait_us(const struct attempt *attempt)
{
	int status = attempt->status;
	bool may = status == 429 || status == 503 || status == 407 || attempt->proxy_status;
	return may && attempt->retry_after_us > 0 ? attempt->retry_after_us : 0;
}

/* After its third failure a batch is cut, so that its neighbours go; not earlier: most failures are chance. */
static bool cut_now(const struct destination_recent *recent)
{
	return recent->batch_events > 1 && recent->failures + 1 >= OWN_FAILURES;
}

/* Another relay's door answers what is too old for its own delivery.max_age with the code of ga4relay-protocol(7):
 * the event is not wrong, and the application has nothing to correct. */
static bool is_too_old_there(const struct attempt *a)
{
	return a->status == 400 && strstr(a->answer, "\"code\":\"TIMESTAMP_EXPIRED\"");
}

/* Bisecting kills nothing and shows quickly whether one event is the culprit. Only where the destination lately took
 * what it had refused is the whole batch tried again first. */
static enum outcome refused(const struct attempt *attempt, const struct destination_recent *recent)
{
	if (recent->batch_events > 1)
		return recent->takes_refused && !cut_now(recent) ? OUTCOME_RETRY_BATCH : OUTCOME_BISECT;
	if (recent->nothing_passes)
		return OUTCOME_DESTINATION_WRONG;
	if (!recent->refused_enough)
		return OUTCOME_RETRY_BATCH;
	return is_too_old_there(attempt) ? OUTCOME_DEAD_EXPIRED : OUTCOME_DEAD_REFUSED;
}

static enum outcome too_large(const struct destination_recent *recent)
{
	if (recent->batch_events > 1)
		return recent->takes_its_size && !cut_now(recent) ? OUTCOME_RETRY_BATCH : OUTCOME_SPLIT;
	if (recent->nothing_passes)
		return OUTCOME_DESTINATION_WRONG;
	return recent->refused_enough && !recent->takes_its_size ? OUTCOME_DEAD_TOO_LARGE : OUTCOME_RETRY_BATCH;
}

static enum outcome denied(const struct attempt *attempt, const struct destination_recent *recent)
{
	if (recent->nothing_passes)
		return OUTCOME_DESTINATION_WRONG;
	if (recent->batch_events > 1)
		return cut_now(recent) && !recent->takes_refused ? OUTCOME_BISECT : OUTCOME_RETRY_BATCH;
	return recent->denied_enough && outcome_blames_events(attempt) ? OUTCOME_DEAD_REFUSED : OUTCOME_RETRY_BATCH;
}

static enum outcome wait_for(const struct destination_recent *recent)
{
	return recent->nothing_passes ? OUTCOME_RETRY_DESTINATION : OUTCOME_RETRY_BATCH;
}

/* A batch is cut also when it fails a third time as the probe of a destination that is down: if it is all that is in
 * the queue, nothing else tells a poisoned batch from an outage. Once parts of others were taken, that is known. */
static enum outcome failed(const struct destination_recent *recent)
{
	return cut_now(recent) || recent->has_culprit ? OUTCOME_BISECT : wait_for(recent);
}

/* Whatever a proxy refuses to connect to, it has seen no event. */
static enum outcome no_connection(const struct attempt *attempt, const struct destination_recent *recent)
{
	bool denied_by_proxy = status_meaning(attempt->proxy_status) == (int)MEANS_DENIED;
	return recent->nothing_passes && denied_by_proxy ? OUTCOME_DESTINATION_WRONG : wait_for(recent);
}

enum outcome outcome_decide(const struct attempt *attempt, const struct destination_recent *recent)
{
	bool park = attempt->body_sent && recent->park_ambiguous;
	switch (outcome_meaning(attempt)) {
	case MEANS_DELIVERED:
		return OUTCOME_DELIVERED;
	case MEANS_STALE:
		return park && attempt->status == 0 ? OUTCOME_DEAD_AMBIGUOUS : OUTCOME_RETRY_NOW;
	case MEANS_NO_CONNECTION:
		return no_connection(attempt, recent);
	case MEANS_BUSY:
		return wait_for(recent);
	case MEANS_NO_ANSWER:
		return park ? OUTCOME_DEAD_AMBIGUOUS : failed(recent);
	case MEANS_BROKEN:
		return failed(recent);
	case MEANS_DENIED:
		return denied(attempt, recent);
	case MEANS_TOO_LARGE:
		return too_large(recent);
	case MEANS_REFUSED:
		break;
	}
	return refused(attempt, recent);
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
	        [OUTCOME_DEAD_EXPIRED] = "dead-expired",
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
