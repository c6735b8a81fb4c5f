/* control_verify.c - the command verify: asks GA4's Realtime report whether it has an event
 *
 * The daemon asks because only the daemon has its proxy, its CA bundle and its sandbox. The report is that of the
 * Google Analytics Data API, properties.runRealtimeReport. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/control_private.h"

enum {
	ANSWER_MAX = 64 << 10,
	BODY_MAX = 4096,
	PROPERTY_MAX = 20, /* digits */
	TOKEN_MAX = 4096,
	PROJECT_MAX = 100,
	MINUTES = 29 /* how far back a standard property's Realtime report goes */
};

struct verify_op {
	struct op op;
	struct buf body; /* must stay valid until the answer arrives */
	char *url;
};

static void verify_destroy(struct op *op)
{
	struct verify_op *r = CONTAINER_OF(op, struct verify_op, op);

	buf_free(&r->body);
	free(r->url);
	free(r);
}

static void on_answer(void *arg, const struct attempt *attempt, struct slice body)
{
	struct verify_op *r = arg;
	struct json_out *j;

	if (!op_back(&r->op))
		return;
	j = session_begin_end(r->op.session, true);
	if (j) {
		json_out_kv_str(j, "transport", transport_name(attempt->transport));
		json_out_kv_i64(j, "status", attempt->status);
		json_out_kv_i64(j, "proxy_status", attempt->proxy_status);
		json_out_kv_str(j, "error", attempt->error[0] ? attempt->error : NULL);
		json_out_kv_i64(j, "retry_after_ms",
		                attempt->retry_after_us > 0 ? attempt->retry_after_us / US_PER_MS : 0);
		json_out_key(j, "answer");
		json_out_slice(j, body);
		session_finish_end(r->op.session, j);
	}
	op_done(&r->op);
}

/* ---- the request ---- */

static void write_named(struct json_out *j, const char *list, const char *name)
{
	json_out_key(j, list);
	json_out_array(j);
	json_out_object(j);
	json_out_kv_str(j, "name", name);
	json_out_close(j);
	json_out_close(j);
}

/* {"fieldName":"eventName","stringFilter":{"matchType":"EXACT","value":NAME,"caseSensitive":true}} */
static void write_filter(struct json_out *j, struct slice name)
{
	json_out_key(j, "dimensionFilter");
	json_out_object(j);
	json_out_key(j, "filter");
	json_out_object(j);
	json_out_kv_str(j, "fieldName", "eventName");
	json_out_key(j, "stringFilter");
	json_out_object(j);
	json_out_kv_str(j, "matchType", "EXACT");
	json_out_key(j, "value");
	json_out_slice(j, name);
	json_out_kv_bool(j, "caseSensitive", true);
	json_out_close(j);
	json_out_close(j);
	json_out_close(j);
}

static int write_body(struct buf *out, struct slice name)
{
	struct json_out *j = json_out_begin(out);

	if (!j)
		return -ENOMEM;
	json_out_object(j);
	write_named(j, "dimensions", "eventName");
	write_named(j, "metrics", "eventCount");
	write_filter(j, name);
	json_out_key(j, "minuteRanges");
	json_out_array(j);
	json_out_object(j);
	json_out_kv_i64(j, "startMinutesAgo", MINUTES);
	json_out_kv_i64(j, "endMinutesAgo", 0);
	return json_out_end(j);
}

static bool is_property(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n <= PROPERTY_MAX;
}

/* RFC 6750, section 2.1: nothing that could end the header. */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=", s.p[i], 69))
			return false;
	return s.n > 0 && s.n <= TOKEN_MAX;
}

/* A Cloud project's id or number; an id of a domain has its name and a colon in front. */
static bool is_project(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!memchr("abcdefghijklmnopqrstuvwxyz0123456789-.:", s.p[i], 39))
			return false;
	return s.n <= PROJECT_MAX;
}

static int make_url(struct verify_op *r, struct slice api, struct slice property, struct err *err)
{
	const char *wrong;
	char *base = strndup(api.p ? api.p : "", api.n);

	if (!base)
		return err_set(err, -ENOMEM, "out of memory");
	wrong = conf_api_url_problem(base);
	while (api.n && base[api.n - 1] == '/')
		base[--api.n] = '\0';
	if (!wrong && asprintf(&r->url, "%s/v1beta/properties/%.*s:runRealtimeReport", base, SLICE_ARG(property)) < 0)
		r->url = NULL;
	free(base);
	if (wrong)
		return err_set(err, -EINVAL, "--api: %s", wrong);
	return r->url ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int ask(struct verify_op *r, struct slice token, struct slice user_project, struct err *err)
{
	char project[PROJECT_MAX + 1], copy[TOKEN_MAX + 1];
	const struct http_authorization authorization = {copy, project};
	struct http_request *http_request;
	struct http_client *client;
	int result = control_http(r->op.session->control, &client, err);

	if (result < 0)
		return result;
	snprintf(copy, sizeof(copy), "%.*s", SLICE_ARG(token));
	snprintf(project, sizeof(project), "%.*s", SLICE_ARG(user_project));
	result = http_post_authorized(client, r->url, &authorization, buf_slice(&r->body), ANSWER_MAX, on_answer, r,
	                              &http_request);
	explicit_bzero(copy, sizeof(copy));
	if (result < 0)
		return err_set(err, result, "the request cannot be started: %s", strerror(-result));
	r->op.job_out = true;
	return 0;
}

int control_verify(struct session *s, const struct request *request, struct err *err)
{
	struct slice property = request_text(request, "property"), token = request_text(request, "token");
	struct slice user_project = request_text(request, "user_project");
	struct verify_op *r;
	int result;

	if (!is_property(property))
		return err_set(err, -EINVAL, "--property: a property's id is a number");
	if (!is_token(token))
		return err_set(err, -EINVAL, "--token-file: what it holds is no bearer token");
	if (!is_project(user_project))
		return err_set(err, -EINVAL, "--quota-project: not the id or number of a Cloud project");
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	buf_init(&r->body, BODY_MAX);
	op_start(s, &r->op, NULL, verify_destroy);
	result = make_url(r, request_text(request, "api"), property, err);
	if (result == 0)
		result = write_body(&r->body, request_text(request, "name"));
	if (result == 0)
		result = ask(r, token, user_project, err);
	if (result < 0)
		op_done(&r->op);
	return result;
}
