/* sandbox.c - a loopback stand-in for GA4: judges each request by the local rules and prints what it received
 *
 * It answers as GA4 does, 204 to everything on /mp/collect, and reports on its output what GA4 would have dropped. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "event/event_in.h"
#include "ga4/google_verdict.h"
#include "net/http_server/http_server.h"
#include "sandbox/sandbox_print.h"
#include "json/json_read.h"

/* Google's limits for a request, and room to receive larger ones. */
enum { REQUEST_EVENTS_MAX = 25, REQUEST_BYTES = 130000, BODY_MAX = 1024 * 1024, OUTPUT_MAX = 4 * 1024 * 1024 };
enum { CONNECTIONS = 256, HANGS = 0 /* instead of a status */ };
enum { JUDGE_WEB, JUDGE_APP, JUDGE_STRICT = 2 /* added to one of the others */, JUDGES = 4 };

struct collector {
	struct http_server *server;
	struct event_in *judge;
	struct json_in *reader;
	struct stream_rules rules[JUDGES];
	void *scratch; /* holds the submission of the last judged line */
	size_t scratch_size;
	struct buf line;
	int out_fd;
	bool colour;
	int fail_status; /* or HANGS */
	uint64_t fail_left;
	struct http_exchange *hanging[CONNECTIONS];
	size_t n_hanging;
	struct tap *tap;
	struct tap_follower follower;
};

/* ---- judging ---- */

static void *scratch_alloc(void *arg, size_t size)
{
	struct collector *c = arg;

	if (size > c->scratch_size) {
		void *p = realloc(c->scratch, size);

		if (!p)
			return NULL;
		c->scratch = p;
		c->scratch_size = size;
	}
	return c->scratch;
}

static void refuse(struct finding *f, enum code code, const char *field, const char *message)
{
	f->code = code;
	snprintf(f->field, sizeof(f->field), "%s", field);
	snprintf(f->message, sizeof(f->message), "%s", message);
}

/* Checks the request's query. False: it is wrong. Google's validation endpoint does not check it. */
static bool check_query(struct http_exchange *x, struct finding *ret)
{
	if (!http_query(x, "api_secret"))
		refuse(ret, CODE_VALUE_REQUIRED, "api_secret", "the query has no api_secret");
	else if (!http_query(x, "measurement_id") == !http_query(x, "firebase_app_id"))
		refuse(ret, CODE_VALUE_REQUIRED, "measurement_id",
		       "the query needs exactly one of measurement_id and firebase_app_id");
	else
		return true;
	return false;
}

/* Checks what concerns the whole request. False: it is wrong. */
static bool check_request(struct http_exchange *x, struct slice body, const struct json_doc *d, struct finding *ret)
{
	const struct json_node *events = d ? json_member(d, &d->nodes[0], "events") : NULL;
	const char *type = http_header(x, "Content-Type");

	if (!type || strncmp(type, "application/json", 16) != 0)
		refuse(ret, CODE_VALUE_INVALID, "", "the Content-Type is not application/json");
	else if (body.n >= REQUEST_BYTES)
		refuse(ret, CODE_VALUE_OUT_OF_BOUNDS, "", "the request is not smaller than 130000 bytes");
	else if (events && events->count > REQUEST_EVENTS_MAX)
		refuse(ret, CODE_EXCEEDED_MAX_ENTITIES, "events", "a request has at most 25 events");
	else
		return true;
	return false;
}

static bool wants_strict(const struct json_doc *d)
{
	const struct json_node *n = d ? json_member(d, &d->nodes[0], "validation_behavior") : NULL;

	return n && n->type == JSON_STRING && slice_eq(json_value(d, n), SLICE_LIT("ENFORCE_RECOMMENDATIONS"));
}

/* Returns 0 and the finding in *ret, whose code is 0 if there is none. The accepted age is 30 days, because a request
 * may be late. */
static int judge(struct collector *c, struct http_exchange *x, struct slice body, const struct json_doc *d,
                 struct finding *ret)
{
	struct line_context context = {
	        .streams = c->rules,
	        .n_streams = JUDGES,
	        .max_age_us = 30 * US_PER_DAY,
	        .forced_stream = (http_query(x, "firebase_app_id") ? JUDGE_APP : JUDGE_WEB) +
	                         (wants_strict(d) ? JUDGE_STRICT : 0),
	};
	struct line_result result;
	int r;

	*ret = (struct finding){0};
	if (!check_request(x, body, d, ret))
		return 0;
	r = event_in_read(c->judge, body, &context, clock_wall_us(), scratch_alloc, c, &result);
	if (r == 0 && !result.sub)
		*ret = result.refusal;
	return r;
}

/* ---- responses ---- */

/* A reader that stops reading blocks the sandbox, and nothing else. After a write error nothing more is written. */
static void flush_output(struct collector *c)
{
	if (c->line.len > 0 && c->out_fd >= 0 && fd_write_all(c->out_fd, c->line.data, c->line.len) < 0)
		c->out_fd = -1;
	buf_clear(&c->line);
}

static void print_text(struct collector *c, enum sandbox_mark mark, const char *text)
{
	if (sandbox_print_text(&c->line, mark, text, c->colour) == 0)
		flush_output(c);
}

static void print_events(struct collector *c, enum sandbox_mark mark, const struct json_doc *d)
{
	if (d && sandbox_print_events(&c->line, mark, d, clock_wall_us(), c->colour) == 0)
		flush_output(c);
	buf_clear(&c->line);
}

static void print_refusal(struct collector *c, const struct finding *f)
{
	char text[sizeof(struct finding) + 64];

	snprintf(text, sizeof(text), "GA4 would drop this: %s%s%s (%s)", f->field, f->field[0] ? ": " : "",
	         f->message, code_name(f->code));
	print_text(c, SANDBOX_REFUSED, text);
}

static void answer_status(struct http_exchange *x, int status)
{
	static const char *const retry[] = {"Retry-After", "1", NULL};

	http_answer(x, status, NULL, SLICE_LIT(""), status == 503 ? retry : NULL);
}

static bool fail_as_asked(struct collector *c, struct http_exchange *x, const struct json_doc *d)
{
	char text[64];

	if (c->fail_left == 0)
		return false;
	c->fail_left--;
	if (c->fail_status == HANGS)
		snprintf(text, sizeof(text), "not answering, as asked:");
	else
		snprintf(text, sizeof(text), "answering %d, as asked:", c->fail_status);
	print_text(c, SANDBOX_FAILED, text);
	print_events(c, SANDBOX_FAILED, d);
	if (c->fail_status == HANGS && c->n_hanging < CONNECTIONS)
		c->hanging[c->n_hanging++] = x;
	else
		answer_status(x, c->fail_status == HANGS ? 503 : c->fail_status);
	return true;
}

static void release_hanging(struct collector *c, int status)
{
	while (c->n_hanging > 0)
		answer_status(c->hanging[--c->n_hanging], status);
}

/* Returns false if it is neither a status nor "hang". */
static bool parse_answer(const char *answer, int *ret)
{
	uint64_t status;

	*ret = HANGS;
	if (strcmp(answer, "hang") == 0)
		return true;
	if (parse_u64(slice_of(answer), &status) < 0 || status < 200 || status > 599)
		return false;
	*ret = (int)status;
	return true;
}

static void set_answer(struct collector *c, int status, uint64_t times)
{
	char text[96], n[40] = "requests until told otherwise", how[32] = "not answer";

	c->fail_status = status;
	c->fail_left = status >= 200 && status < 300 ? 0 : times;
	if (status != HANGS)
		snprintf(how, sizeof(how), "answer %d to", status);
	if (times != UINT64_MAX)
		snprintf(n, sizeof(n), "the next %" PRIu64 " requests", times);
	if (c->fail_left == 0)
		snprintf(text, sizeof(text), "the collector answers 204 again");
	else
		snprintf(text, sizeof(text), "the collector will %s %s", how, n);
	print_text(c, SANDBOX_FAILED, text);
	if (status != HANGS)
		release_hanging(c, status);
}

int collector_set_answer(struct collector *c, const char *answer)
{
	int status;

	if (!parse_answer(answer, &status))
		return -EINVAL;
	set_answer(c, status, UINT64_MAX);
	return 0;
}

const char *collector_answer(const struct collector *c, char out[COLLECTOR_ANSWER_MAX])
{
	if (c->fail_left > 0 && c->fail_status == HANGS)
		return strcpy(out, "hang");
	snprintf(out, COLLECTOR_ANSWER_MAX, "%d", c->fail_left > 0 ? c->fail_status : 204);
	return out;
}

static const struct json_doc *read_body(struct collector *c, struct slice body)
{
	const struct json_doc *d;

	return json_in_read(c->reader, body, &d, NULL) == 0 ? d : NULL;
}

static void on_collect(struct collector *c, const struct http_request_info *request)
{
	const struct json_doc *d = read_body(c, request->body);
	struct finding finding = {0};

	if (fail_as_asked(c, request->exchange, d))
		return;
	if (check_query(request->exchange, &finding) && judge(c, request->exchange, request->body, d, &finding) < 0) {
		answer_status(request->exchange, 503);
		return;
	}
	print_events(c, finding.code == CODE_NONE ? SANDBOX_RECEIVED : SANDBOX_REFUSED, d);
	if (finding.code != CODE_NONE)
		print_refusal(c, &finding);
	answer_status(request->exchange, 204);
}

static void on_debug(struct collector *c, const struct http_request_info *request)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(64 * 1024);
	const struct json_doc *d = read_body(c, request->body);
	struct finding finding;
	int r = judge(c, request->exchange, request->body, d, &finding);

	if (r == 0)
		r = google_verdict_write(&out, &finding, finding.code == CODE_NONE ? 0 : 1, d);
	if (r < 0)
		answer_status(request->exchange, 503);
	else
		http_answer(request->exchange, 200, "application/json; charset=utf-8", buf_slice(&out), NULL);
}

/* Refuses requests with an Origin, so that a web page in a browser on this machine cannot use it. */
static void on_control(struct collector *c, const struct http_request_info *request)
{
	struct http_exchange *x = request->exchange;
	const char *fail = http_query(x, "fail"), *times = http_query(x, "for");
	uint64_t n = UINT64_MAX;
	int status;

	if (http_header(x, "Origin")) {
		answer_status(x, 403);
		return;
	}
	if (!fail || !parse_answer(fail, &status) || (times && parse_u64(slice_of(times), &n) < 0)) {
		answer_status(x, 400);
		return;
	}
	set_answer(c, status, n);
	answer_status(x, 204);
}

struct route {
	struct slice path;
	void (*handle)(struct collector *c, const struct http_request_info *request);
};
static const struct route routes[] = {
        {{"/mp/collect", 11}, on_collect},
        {{"/debug/mp/collect", 17}, on_debug},
        {{"/control", 8}, on_control},
};

static void on_request(void *arg, const struct http_request_info *request)
{
	struct collector *c = arg;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!slice_eq(request->path, routes[i].path))
			continue;
		if (slice_eq(request->method, SLICE_LIT("POST")))
			routes[i].handle(c, request);
		else
			answer_status(request->exchange, 405);
		return;
	}
	answer_status(request->exchange, 404);
}

/* ---- what intake says of lines ---- */

static int print_warnings(struct collector *c, const struct tap_line *l)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(1024 * 1024);
	const struct json_doc *d;
	int r;

	/* `,"warnings":[…]`: what stands in the reply between its other members. */
	r = buf_printf(&text, "{%.*s}", (int)(l->warnings_json.n - 1), l->warnings_json.p + 1);
	if (r == 0)
		r = json_in_read(c->reader, buf_slice(&text), &d, NULL);
	return r == 0 ? sandbox_print_warnings(&c->line, l->line, d, c->colour) : r;
}

static void on_line(void *arg, const struct tap_line *l)
{
	struct collector *c = arg;
	int r = 0;

	if (l->refusal)
		r = sandbox_print_refusal(&c->line, l->line, l->refusal, c->colour);
	else if (l->warnings_json.n > 0)
		r = print_warnings(c, l);
	if (r == 0)
		flush_output(c);
	buf_clear(&c->line);
}

/* ---- open and close ---- */

static void set_rules(struct collector *c)
{
	for (int i = 0; i < JUDGES; i++)
		c->rules[i] = (struct stream_rules){
		        .name = SLICE_LIT("sandbox"),
		        .sid = 1,
		        .type = i & JUDGE_APP ? STREAM_APP : STREAM_WEB,
		        .mode = i & JUDGE_STRICT ? VALIDATION_STRICT : VALIDATION_STANDARD,
		};
}

static int start(struct collector *c, struct loop *loop, struct err *err)
{
	const struct http_server_config config = {
	        .listen = "127.0.0.1:0",
	        .max_body = BODY_MAX,
	        .max_headers = 16 * 1024,
	        .max_connections = CONNECTIONS,
	        .timeout_us = 60 * US_PER_S,
	};

	c->judge = event_in_new();
	c->reader = json_in_new(32);
	if (!c->judge || !c->reader)
		return err_set(err, -ENOMEM, "no memory for the sandbox's collector");
	return http_server_open(&c->server, loop, &config, on_request, c, err);
}

int collector_open(struct collector **ret, struct loop *loop, struct tap *tap, int out_fd, struct err *err)
{
	struct collector *c = calloc(1, sizeof(*c));
	const char *no_color = getenv("NO_COLOR");
	int r;

	if (!c)
		return err_set(err, -ENOMEM, "no memory for the sandbox's collector");
	buf_init(&c->line, OUTPUT_MAX);
	c->out_fd = out_fd;
	c->colour = isatty(out_fd) && (!no_color || no_color[0] == '\0');
	set_rules(c);
	r = start(c, loop, err);
	if (r < 0) {
		collector_free(c);
		return r;
	}
	c->tap = tap;
	c->follower = (struct tap_follower){.on_line = on_line, .arg = c};
	tap_follow(tap, &c->follower);
	*ret = c;
	return 0;
}

unsigned collector_port(const struct collector *c)
{
	return http_server_port(c->server);
}

struct collector *collector_free(struct collector *c)
{
	if (!c)
		return NULL;
	if (c->tap)
		tap_unfollow(c->tap, &c->follower);
	release_hanging(c, 503);
	http_server_free(c->server);
	event_in_free(c->judge);
	json_in_free(c->reader);
	buf_free(&c->line);
	free(c->scratch);
	free(c);
	return NULL;
}
