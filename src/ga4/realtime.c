/* realtime.c - whether GA4 shows an accepted event in its Realtime report
 *
 * "In order for user activity to display in reports like Realtime, engagement_time_msec and session_id must be
 * supplied", and the report covers the last 30 minutes. */
#include "ga4/realtime.h"

#include <stdbool.h>

#include "base/clock.h"
#include "base/parse.h"

#define REALTIME_WINDOW_US (30 * US_PER_MIN)

static struct slice param(const struct json_doc *d, const char *name)
{
	const struct json_node *params = json_member(d, &d->nodes[0], "params");
	const struct json_node *n = params && params->type == JSON_OBJECT ? json_member(d, params, name) : NULL;

	if (!n || (n->type != JSON_STRING && n->type != JSON_NUMBER))
		return SLICE_LIT("");
	return json_value(d, n);
}

const char *realtime_why_not(const struct json_doc *event, int64_t age_us)
{
	bool session = param(event, "session_id").n > 0;
	double engaged_ms = 0;
	bool engaged = parse_json_double(param(event, "engagement_time_msec"), &engaged_ms) == 0 && engaged_ms > 0;

	if (!session && !engaged)
		return "it lacks session_id and a positive engagement_time_msec";
	if (!session)
		return "it lacks session_id";
	if (!engaged)
		return "it lacks a positive engagement_time_msec";
	if (age_us > REALTIME_WINDOW_US)
		return "it happened more than 30 minutes ago";
	return NULL;
}
