/* control_validate.c - the command validate: the local rules' verdict on a line, and on request the validation
 * endpoint's */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "event/payload.h"
#include "event/reply.h"

enum {
	BODY_MAX = 1 << 20,
	ANSWER_MAX = 256 << 10,
	REMOTE_EVENTS = 25 /* GA4's limit per request; further events of a line are not sent */
};

struct validate_op {
	struct op op;
	struct buf local; /* the reply that the event socket would give */
	struct buf body;  /* must stay valid until the answer arrives */
	char *url;        /* contains no secret: the validation endpoint does not check it */
};

static void validate_destroy(struct op *op)
{
	struct validate_op *v = CONTAINER_OF(op, struct validate_op, op);

	buf_free(&v->local);
	buf_free(&v->body);
	free(v->url);
	free(v);
}

static struct slice without_lf(const struct buf *b)
{
	struct slice s = buf_slice(b);

	while (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	return s;
}

/* answer is NULL if the endpoint was not asked. */
static void validate_end(struct validate_op *v, const struct attempt *attempt, struct slice answer)
{
	struct session *s = v->op.session;
	struct json_out *j = session_begin_end(s, true);

	if (j) {
		json_out_key(j, "local");
		json_out_raw(j, without_lf(&v->local));
		json_out_key(j, "remote");
		if (!attempt) {
			json_out_null(j);
		} else {
			json_out_object(j);
			json_out_kv_i64(j, "status", attempt->status);
			json_out_kv_str(j, "error", attempt->status ? NULL : attempt->error);
			json_out_key(j, "answer");
			json_out_slice(j, answer);
			json_out_close(j);
		}
		session_finish_end(s, j);
	}
	op_done(&v->op);
}

static void on_answer(void *arg, const struct attempt *attempt, struct slice body)
{
	struct validate_op *v = arg;

	if (op_back(&v->op))
		validate_end(v, attempt, body);
}

static int make_body(struct validate_op *v, const struct submission *sub, bool relaxed)
{
	static const struct slice strict = {"\"validation_behavior\":\"ENFORCE_RECOMMENDATIONS\",", 48};
	_cleanup_(buf_free) struct buf plain = BUF_INIT(BODY_MAX);
	struct payload_event events[REMOTE_EVENTS];
	size_t n = 0;
	int r;

	while (n < sub->n_events && n < REMOTE_EVENTS) {
		events[n] = (struct payload_event){sub, (uint32_t)n};
		n++;
	}
	r = payload_write(&plain, events, n);
	if (r < 0)
		return r;
	/* The line's own validation_behavior takes precedence. */
	if (relaxed || slice_has(sub->envelope, SLICE_LIT("\"validation_behavior\"")))
		return buf_append_slice(&v->body, buf_slice(&plain));
	r = buf_append_char(&v->body, '{');
	if (r == 0)
		r = buf_append_slice(&v->body, strict);
	return r == 0 ? buf_append(&v->body, plain.data + 1, plain.len - 1) : r;
}

int control_http(struct control *c, struct http_client **ret, struct err *err)
{
	const struct conf *conf = c->context->streams->conf;
	const struct http_client_config config = {
	        .max_requests = CONTROL_CONNECTIONS,
	        .http2 = conf->delivery.http2,
	        .connect_timeout_us = conf->delivery.connect_timeout_us,
	        .timeout_us = conf->delivery.timeout_us,
	        .proxy = conf->delivery.proxy,
	        .ca_file = conf->delivery.ca_file,
	        .user_agent = "ga4relay/" GA4RELAY_VERSION,
	};
	int r = c->http ? 0 : http_client_new(&c->http, c->context->loop, &config, err);

	if (r == 0)
		*ret = c->http;
	return r;
}

static int ask(struct validate_op *v, const struct line_result *result, bool relaxed, struct err *err)
{
	struct control *c = v->op.session->control;
	struct http_request *http_request;
	struct http_client *client;
	int r = control_http(c, &client, err);

	if (r < 0)
		return r;
	/* Leave the secret out: the validation endpoint does not check it, and what is not sent cannot leak. */
	const struct conf_stream *stream = &c->context->streams->conf->streams[result->stream];
	v->url = conf_endpoint_url(stream->validation_endpoint, stream, false);
	r = v->url ? make_body(v, result->sub, relaxed) : -ENOMEM;
	if (r == 0)
		r = http_post(client, v->url, buf_slice(&v->body), false, ANSWER_MAX, on_answer, v, &http_request);
	if (r < 0)
		return err_set(err, r, "validate: the request cannot be started: %s", strerror(-r));
	v->op.job_out = true;
	return 0;
}

static int judge(struct validate_op *v, struct slice line, struct line_result *result, struct err *err)
{
	struct control *c = v->op.session->control;
	int r = intake_judge(c->context->intake, line, result);

	if (r == 0)
		r = result->sub ? reply_write_ok(&v->local, 0, result->sub->n_events, false, result->warnings_json)
		                : reply_write_refusal(&v->local, &result->refusal);
	return r < 0 ? err_set(err, r, "validate: out of memory") : 0;
}

/* Sends a line that the local rules refuse to the endpoint as well, if it can be sent at all: GA4's opinion of it is
 * what the user asks for. Lines with user_data are never sent, because their personal data was not checked and must
 * not leave this host. */
static int rejudge(struct validate_op *v, const struct request *request, struct line_result *result, struct err *err)
{
	struct slice line = request_text(request, "line");
	struct intake *intake = v->op.session->control->context->intake;
	int r;

	if (result->sub)
		return 0;
	r = intake_judge_off(intake, line, result);
	if (r < 0)
		return err_set(err, r, "validate: out of memory");
	if (result->sub && slice_has(result->sub->envelope, SLICE_LIT("\"user_data\"")))
		result->sub = NULL;
	return 0;
}

bool control_is_validate(struct slice text)
{
	return slice_starts(text, SLICE_LIT("{\"command\":\"validate\","));
}

int control_validate_long(struct session *s, struct slice text, struct err *err)
{
	struct validate_op *v = calloc(1, sizeof(*v));
	struct line_result result = {0};
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "out of memory");
	buf_init(&v->local, BODY_MAX);
	op_start(s, &v->op, NULL, validate_destroy);
	r = judge(v, text, &result, err);
	if (r < 0)
		op_done(&v->op);
	else
		validate_end(v, NULL, SLICE_LIT(""));
	return r;
}

int control_validate(struct session *s, const struct request *request, struct err *err)
{
	struct validate_op *v = calloc(1, sizeof(*v));
	struct line_result result = {0};
	bool asking = request_flag(request, "remote");
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "out of memory");
	buf_init(&v->local, BODY_MAX);
	buf_init(&v->body, BODY_MAX);
	op_start(s, &v->op, NULL, validate_destroy);
	r = judge(v, request_text(request, "line"), &result, err);
	if (r == 0 && asking)
		r = rejudge(v, request, &result, err);
	asking = r == 0 && asking && result.sub;
	if (asking)
		r = ask(v, &result, request_flag(request, "relaxed"), err);
	if (r < 0)
		op_done(&v->op);
	else if (!asking)
		validate_end(v, NULL, SLICE_LIT(""));
	return r < 0 ? r : 0;
}
