/* verify_report.c - one question to the Realtime report, and what its answer means
 *
 * Google's errors are {"error":{"code":403,"message":…,"status":"PERMISSION_DENIED","details":[{"reason":…}]}}. */
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "ctl/verify/verify.h"

#define API_DEFAULT "https://analyticsdata.googleapis.com"
#define TOKEN_COMMAND "gcloud auth print-access-token --scopes=https://www.googleapis.com/auth/analytics.readonly"

/* The first row that fits: a reason or status of "" or 0 fits any. */
static const struct meaning {
	int64_t from, to; /* HTTP status */
	const char *reason;
	bool later; /* it may be another answer later */
	const char *advice;
} meanings[] = {
        {401, 401, "", false, "the token is wrong, or older than the hour that it lives: " TOKEN_COMMAND},
        {403, 403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", false, "the token lacks the scope: " TOKEN_COMMAND},
        {403, 403, "SERVICE_DISABLED", false,
         "enable the Google Analytics Data API in the Cloud project that the token belongs to (a service account's "
         "has "
         "one). A user's token belongs to gcloud's own: name one of yours with --quota-project"},
        {403, 403, "USER_PROJECT_DENIED", false,
         "let the token's account use --quota-project's project: role Service Usage Consumer (IAM), and check its "
         "name"},
        {403, 403, "", false,
         "is the property's id right (a number, Admin > Property details)? Then let the token's account read it: "
         "Admin > Property access management, role Viewer"},
        {400, 400, "", false, "is the property's id right (a number, Admin > Property details)?"},
        {404, 404, "", false, "are --api and the property's id right?"},
        {429, 429, "", true,
         "a quota of the property or of the token's project is used up; hourly ones come back within the hour"},
        {500, 599, "", true, "the fault is Google's, for the moment"},
        {0, 0, "", true, "ga4relay-ctl doctor tries the way out; does a proxy or firewall allow --api's host?"},
        {0, 999, "", false, "is --api the Data API's address?"},
};

static const struct meaning *meaning_of(int64_t status, struct slice reason)
{
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		const struct meaning *m = &meanings[i];

		if (status >= m->from && status <= m->to && (!m->reason[0] || slice_eq(reason, slice_of(m->reason))))
			return m;
	}
	return &meanings[ARRAY_LEN(meanings) - 1];
}

/* ---- what the answer says ---- */

static const struct json_node *list_of(const struct json_doc *d, const struct json_node *object, const char *name)
{
	const struct json_node *m = object && object->type == JSON_OBJECT ? json_member(d, object, name) : NULL;

	return m && m->type == JSON_ARRAY && m->count > 0 ? m : NULL;
}

/* The value of the first of a row's dimensionValues or metricValues. */
static struct slice first_value(const struct json_doc *d, const struct json_node *row, const char *name)
{
	const struct json_node *list = list_of(d, row, name);

	return list ? answer_text(d, json_first(d, list), "value") : SLICE_LIT("");
}

static bool has_event(const struct verify *v, const struct json_doc *d)
{
	const struct json_node *rows = list_of(d, d->nodes, "rows");
	uint64_t n;

	for (const struct json_node *row = rows ? json_first(d, rows) : NULL; row; row = json_next(d, rows, row))
		if (slice_eq(first_value(d, row, "dimensionValues"), slice_of(v->name)) &&
		    parse_u64(first_value(d, row, "metricValues"), &n) == 0 && n > 0)
			return true;
	return false;
}

static bool is_report(const struct json_doc *d)
{
	return slice_eq(answer_text(d, d->nodes, "kind"), SLICE_LIT("analyticsData#runRealtimeReport")) ||
	       list_of(d, d->nodes, "dimensionHeaders");
}

static struct slice reason_of(const struct json_doc *d, const struct json_node *error)
{
	const struct json_node *list = list_of(d, error, "details");

	for (const struct json_node *m = list ? json_first(d, list) : NULL; m; m = json_next(d, list, m))
		if (answer_text(d, m, "reason").n)
			return answer_text(d, m, "reason");
	return SLICE_LIT("");
}

static enum verify_report explain(struct verify *v, int64_t status, const char *error, const struct json_doc *d)
{
	const struct json_node *e = d ? json_member(d, d->nodes, "error") : NULL;
	struct slice message = e ? answer_text(d, e, "message") : SLICE_LIT("");
	const struct meaning *m = meaning_of(status, e ? reason_of(d, e) : SLICE_LIT(""));
	enum ctl_finding result = m->later && v->event_id ? FINDING_WARNING : FINDING_FAILED;

	if (status == 0)
		verify_say(v, result, "report", m->advice, "no answer: %s", error);
	else
		verify_say(v, result, "report", m->advice, "answered %lld%s%.*s", (long long)status,
		           message.n ? ": " : "", message.n > 400 ? 400 : (int)message.n, message.p);
	return m->later ? VERIFY_LATER : VERIFY_DENIED;
}

static enum verify_report judge(struct verify *v, int64_t status, const char *error, struct slice answer)
{
	const struct json_doc *d = NULL;
	struct err err;

	if (json_in_read(v->json, answer, &d, &err) < 0)
		d = NULL;
	if (status != 200)
		return explain(v, status, error, d);
	if (d && is_report(d))
		return has_event(v, d) ? VERIFY_SEEN : VERIFY_ABSENT;
	verify_say(v, FINDING_FAILED, "report", "is --api the Data API's address?", "answered 200, but no report");
	return VERIFY_DENIED;
}

enum ctl_exit verify_ask(struct verify *v, enum verify_report *ret)
{
	struct json_out *j = client_begin(&v->client, QUERY_verify);
	const struct ctl_args *args = &v->ctl->args;
	const struct json_doc *end;
	char error[VERIFY_TEXT_MAX];
	enum ctl_exit code;

	if (j) {
		json_out_kv_str(j, "api", args->api ? args->api : API_DEFAULT);
		json_out_kv_str(j, "property", args->property);
		json_out_kv_str(j, "name", v->name);
		if (args->quota_project)
			json_out_kv_str(j, "user_project", args->quota_project);
		json_out_kv_str(j, "token", v->token);
	}
	v->client.patience_ms = v->timeout_ms + CLIENT_PATIENCE_MS;
	code = client_call(&v->client, j, -1, NULL, NULL, &end);
	explicit_bzero(v->client.request.data, v->client.request.len);
	if (code != CTL_DONE)
		return code;
	v->asked++;
	snprintf(error, sizeof(error), "%.*s", SLICE_ARG(answer_text(end, end->nodes, "error")));
	*ret = judge(v, answer_i64(end, end->nodes, "status", 0), error, answer_text(end, end->nodes, "answer"));
	if (*ret == VERIFY_ABSENT && !v->event_id)
		verify_say(v, FINDING_OK, "report", NULL, "property %s may be read", args->property);
	return CTL_DONE;
}
