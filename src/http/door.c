/* door.c - the HTTP door: /mp/collect, /debug/mp/collect, /metrics, /healthz, the live page (ga4relay-ctl(8))
 *
 * Accepts what an application would otherwise POST to Google. A 204 means what an ok means on the event socket: the
 * events are committed and synced. CORS is not supported on purpose: web pages must not use the door, but for its own
 * one. */
#include "http/door.h"

#include <errno.h>
#include <stdlib.h>

#include "event/reply.h"
#include "http/debug_verdict.h"
#include "http/door_access.h"
#include "net/http_server/http_server.h"
#include "json/json_read.h"
#include "json/json_write.h"

enum { MAX_HEADERS = 16 * 1024, MAX_CONNECTIONS = 256, METRICS_MAX = 4 * 1024 * 1024, ANSWER_MAX = 64 * 1024 };
enum { MAX_SCRAPERS = 16, MAX_SCRAPE_BODY = 1024 };
#define REQUEST_TIMEOUT_US (30 * US_PER_S)
static const char JSON_TYPE[] = "application/json; charset=utf-8";
static const char TEXT_TYPE[] = "text/plain; charset=utf-8";
static const char METRICS_TYPE[] = "text/plain; version=0.0.4; charset=utf-8";

struct door {
	const struct control_context *context;
	const struct conf *conf;
	struct http_server *server;  /* http.listen; NULL: off */
	struct http_server *metrics; /* http.metrics; NULL: off */
	struct page *page;           /* NULL: off */
	struct json_in *reader;      /* reads what a verdict quotes */
};

/* ---- answers ---- */

static const char *const no_headers[] = {NULL};
/* A full outbox makes room only as fast as the endpoint accepts events, so asking every second is of no use. */
static const char *const retry_later[] = {"Retry-After", "10", NULL};

static void answer_empty(struct http_exchange *x, int status, const char *const *headers)
{
	http_answer(x, status, NULL, SLICE_LIT(""), headers);
}

static void answer_message(struct http_exchange *x, int status, const char *message, const char *const *headers)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(ANSWER_MAX);
	struct json_out *j = json_out_begin(&out);

	if (j) {
		json_out_object(j);
		json_out_kv_bool(j, "ok", false);
		json_out_kv_str(j, "message", message);
		if (json_out_end(j) == 0) {
			http_answer(x, status, JSON_TYPE, buf_slice(&out), headers);
			return;
		}
	}
	answer_empty(x, status, headers);
}

static int refusal_status(enum code code)
{
	if (code == CODE_LINE_TOO_LONG)
		return 413;
	return code_is_retryable(code) ? 503 : 400;
}

/* Answers with the same JSON object as a reply on the event socket. */
static void answer_refusal(struct http_exchange *x, const struct finding *refusal)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(ANSWER_MAX);
	int status = refusal_status(refusal->code);
	const char *const *headers = status == 503 ? retry_later : no_headers;

	if (reply_write_refusal(&out, refusal) == 0)
		http_answer(x, status, JSON_TYPE, buf_slice(&out), headers);
	else
		answer_empty(x, status, headers);
}

/* ---- the paths ---- */

static void on_stored(void *arg, const struct finding *refusal, uint64_t id, uint32_t count)
{
	(void)id, (void)count;
	if (refusal)
		answer_refusal(arg, refusal);
	else
		answer_empty(arg, 204, no_headers);
}

/* Finds the stream and checks the secret. Returns 0, or the HTTP status to refuse with and *ret_why. On a Unix
 * socket, its permissions replace the secret. */
static int check_stream(const struct door *d, const struct http_request_info *request, size_t *ret_stream,
                        const char **ret_why)
{
	struct http_exchange *x = request->exchange;
	const char *secret = http_query(x, "api_secret");

	/* Refuse duplicates: Google and the relay might each use a different one. */
	if (http_query_repeats(x, "api_secret") || http_query_repeats(x, "measurement_id") ||
	    http_query_repeats(x, "firebase_app_id")) {
		*ret_why = "the query names its id or its secret twice";
		return 400;
	}
	switch (door_find_stream(d->conf, http_query(x, "measurement_id"), http_query(x, "firebase_app_id"),
	                         ret_stream)) {
	case DOOR_STREAM_FOUND:
		break;
	case DOOR_STREAM_UNKNOWN:
		*ret_why = "no stream is configured with this id";
		return 404;
	case DOOR_STREAM_NOT_NAMED:
		*ret_why = "the query needs exactly one of measurement_id and firebase_app_id";
		return 400;
	}
	if (!secret && request->over_unix)
		return 0;
	if (!secret) {
		*ret_why = "the query has no api_secret";
		return 401;
	}
	if (door_secret_equal(secret, d->conf->streams[*ret_stream].secret))
		return 0;
	*ret_why = "the api_secret is not this stream's";
	return 403;
}

/* As at the start of a file: .NET writes a byte order mark. */
static struct slice body_of(const struct http_request_info *request)
{
	static const struct slice mark = {"\xef\xbb\xbf", 3};
	struct slice body = request->body;

	return slice_starts(body, mark) ? (struct slice){body.p + mark.n, body.n - mark.n} : body;
}

static void take_payload(struct door *d, const struct http_request_info *request, size_t stream)
{
	char address[HTTP_ADDRESS_MAX];
	struct peer peer;

	http_peer(request->exchange, address, &peer);
	if (intake_payload(d->context->intake, body_of(request), (int)stream, &peer, on_stored, request->exchange) <
	    0)
		answer_message(request->exchange, 503, "out of memory", retry_later);
}

static void on_collect(struct door *d, const struct http_request_info *request)
{
	struct http_exchange *x = request->exchange;
	const char *why = NULL;
	size_t stream = 0;
	int status = check_stream(d, request, &stream, &why);

	if (status != 0)
		answer_message(x, status, why, no_headers);
	else
		take_payload(d, request, stream);
}

/* Like Google's validation endpoint, does not check id and secret: for an unknown id, the default stream's rules
 * apply. */
static void on_debug(struct door *d, const struct http_request_info *request)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(ANSWER_MAX);
	struct http_exchange *x = request->exchange;
	struct line_result result;
	size_t stream = d->conf->default_stream;
	int r;

	(void)door_find_stream(d->conf, http_query(x, "measurement_id"), http_query(x, "firebase_app_id"), &stream);
	r = intake_judge_payload(d->context->intake, body_of(request), (int)stream, &result);
	if (r == 0)
		r = debug_verdict_write(&out, d->reader, body_of(request), &result,
		                        d->conf->streams[stream].validation == VALIDATION_STRICT);
	if (r < 0)
		answer_message(x, 503, "out of memory", retry_later);
	else
		http_answer(x, 200, JSON_TYPE, buf_slice(&out), no_headers);
}

static void on_metrics(struct door *d, const struct http_request_info *request)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(METRICS_MAX);
	struct now now;

	clock_now(&now);
	if (metrics_write(d->context, &now, &out) < 0)
		answer_message(request->exchange, 503, "out of memory", retry_later);
	else
		http_answer(request->exchange, 200, METRICS_TYPE, buf_slice(&out), no_headers);
}

static void on_healthz(struct door *d, const struct http_request_info *request)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(ANSWER_MAX);
	const char *problem = *d->context->phase != PHASE_RUNNING ? "shutting down" : health_problem(d->context);

	if (buf_printf(&out, "%s\n", problem ? problem : "ok") < 0)
		answer_empty(request->exchange, 503, no_headers);
	else
		http_answer(request->exchange, problem ? 503 : 200, TEXT_TYPE, buf_slice(&out), no_headers);
}

struct route {
	struct slice path, method;
	const char *const allow[3]; /* Allow header for a 405 answer */
	void (*handle)(struct door *d, const struct http_request_info *request);
	bool for_scrapers; /* served at http.metrics too */
};

/* A path that allows GET also allows HEAD. */
static bool method_allowed(const struct route *route, struct slice method)
{
	return slice_eq(method, route->method) ||
	       (slice_eq(method, SLICE_LIT("HEAD")) && slice_eq(route->method, SLICE_LIT("GET")));
}

#define LITERAL(s)                                                                                                   \
	{                                                                                                            \
		(s), sizeof(s) - 1                                                                                   \
	}
static const struct route routes[] = {
        {LITERAL("/mp/collect"), LITERAL("POST"), {"Allow", "POST", NULL}, on_collect, false},
        {LITERAL("/debug/mp/collect"), LITERAL("POST"), {"Allow", "POST", NULL}, on_debug, false},
        {LITERAL("/metrics"), LITERAL("GET"), {"Allow", "GET, HEAD", NULL}, on_metrics, true},
        {LITERAL("/healthz"), LITERAL("GET"), {"Allow", "GET, HEAD", NULL}, on_healthz, true},
};

/* Refuses requests made by a web page open in a browser on this machine. The browser sends Origin with every POST;
 * after DNS rebinding, it sends the page's own host name as Host. */
static const char *forbidden(const struct door *d, struct http_exchange *x, bool is_page)
{
	const char *host = http_header(x, "Host"), *origin = http_header(x, "Origin");

	if (!door_host_allowed(host, d->conf->http.hosts))
		return "this Host is not among the configured http.hosts";
	if (!is_page && origin)
		return "requests from web pages (with an Origin header) are not taken";
	if (is_page && !door_same_origin(origin, http_header(x, "Sec-Fetch-Site"), host))
		return "requests from other web pages are not answered; a link is one: type or paste the address";
	return NULL;
}

static void serve(struct door *d, const struct http_request_info *request, bool to_scraper)
{
	bool is_page = d->page && !to_scraper && page_has_path(request->path);
	const char *why = forbidden(d, request->exchange, is_page);

	if (why) {
		answer_message(request->exchange, 403, why, no_headers);
		return;
	}
	if (is_page) {
		page_serve(d->page, request);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!slice_eq(request->path, routes[i].path) || (to_scraper && !routes[i].for_scrapers))
			continue;
		if (method_allowed(&routes[i], request->method))
			routes[i].handle(d, request);
		else
			answer_message(request->exchange, 405, "this method is not for this path", routes[i].allow);
		return;
	}
	answer_message(request->exchange, 404, "there is nothing at this path", no_headers);
}

static void on_request(void *arg, const struct http_request_info *request)
{
	serve(arg, request, false);
}

static void on_scrape(void *arg, const struct http_request_info *request)
{
	serve(arg, request, true);
}

/* ---- open and close ---- */

static int start_metrics(struct door *d, struct err *err)
{
	const struct http_server_config config = {
	        .listen = d->conf->http.metrics,
	        .max_body = MAX_SCRAPE_BODY,
	        .max_headers = MAX_HEADERS,
	        .max_partial = MAX_SCRAPERS * (MAX_HEADERS + MAX_SCRAPE_BODY),
	        .max_connections = MAX_SCRAPERS,
	        .timeout_us = REQUEST_TIMEOUT_US,
	};
	int r;

	if (config.listen[0] == '\0')
		return 0;
	r = http_server_open(&d->metrics, d->context->loop, &config, on_scrape, d, err);
	return r < 0 ? err_prefix(err, r, "http.metrics") : 0;
}

static int write_status(void *arg, struct buf *out)
{
	return control_write_status(arg, out);
}

static uint64_t queued(void *arg)
{
	return control_queued(arg);
}

static int open_page(struct door *d, struct control *control, const struct page_switch *sandbox, struct err *err)
{
	const struct page_config config = {.loop = d->context->loop,
	                                   .tap = d->context->tap,
	                                   .counters = d->context->counters,
	                                   .streams = &d->context->streams,
	                                   .sandbox = sandbox,
	                                   .write_status = write_status,
	                                   .queued = queued,
	                                   .arg = control};

	return d->conf->http.page ? page_open(&d->page, &config, err) : 0;
}

static int start(struct door *d, struct err *err)
{
	const struct http_server_config config = {
	        .listen = d->conf->http.listen,
	        .max_body = d->conf->listen.max_line,
	        .max_headers = MAX_HEADERS,
	        .max_partial = d->conf->listen.max_memory + MAX_HEADERS,
	        .max_connections = MAX_CONNECTIONS,
	        .timeout_us = REQUEST_TIMEOUT_US,
	};
	int r;

	d->reader = json_in_new(32);
	if (!d->reader)
		return err_set(err, -ENOMEM, "no memory for the HTTP door");
	if (config.listen[0] == '\0')
		return start_metrics(d, err);
	r = http_server_open(&d->server, d->context->loop, &config, on_request, d, err);
	return r < 0 ? err_prefix(err, r, "http.listen") : start_metrics(d, err);
}

int door_open(struct door **ret, const struct control_context *context, struct control *control,
              const struct page_switch *sandbox, const struct conf *conf, struct err *err)
{
	struct door *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_set(err, -ENOMEM, "no memory for the HTTP door");
	d->context = context;
	d->conf = conf;
	r = open_page(d, control, sandbox, err);
	if (r == 0)
		r = start(d, err);
	if (r < 0) {
		door_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

struct door *door_free(struct door *d)
{
	if (!d)
		return NULL;
	http_server_free(d->server);
	http_server_free(d->metrics);
	page_free(d->page);
	json_in_free(d->reader);
	free(d);
	return NULL;
}

void door_drain(struct door *d)
{
	if (d->page)
		page_drain(d->page);
	if (d->server)
		http_server_drain(d->server);
}

bool door_drained(const struct door *d)
{
	return !d->server || http_server_drained(d->server); /* a probe may ask until the end */
}

void door_tick(struct door *d)
{
	if (d->page)
		page_tick(d->page);
}

bool door_needs_tick(const struct door *d)
{
	return d->page && page_needs_tick(d->page);
}

void door_set_conf(struct door *d, const struct conf *conf)
{
	d->conf = conf;
}
