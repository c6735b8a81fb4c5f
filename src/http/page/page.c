/* page.c - the live page: its paths, and what it tells once a second */
#include "http/page/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "http/page/journal.h"
#include "http/page/page_text.h"
#include "http/page/readers.h"
#include "json/json_write.h"

enum { SAMPLES = 120 /* seconds that the charts show */, TEXT_MAX = 1 << 20, ANSWER_TEXT_MAX = 8 };
#define WAIT_MAX_US (10 * US_PER_MIN)
static const char TEXT_TYPE[] = "text/plain; charset=utf-8";

struct sample {
	uint64_t in, out, queued; /* totals since the start, and the queue now */
};

struct page {
	struct page_config config;
	struct journal journal;
	struct readers *readers;
	struct tap_follower follower;
	struct sample samples[SAMPLES];
	uint64_t n_samples; /* taken; the last SAMPLES are kept */
	int64_t sampled_us; /* monotonic */
	struct buf text;
	bool drains;
};

/* ---- the tap ---- */

static void on_line(void *arg, const struct tap_line *l)
{
	struct page *p = arg;

	journal_line(&p->journal, l, clock_wall_us());
	readers_wake(p->readers);
}

static void on_event(void *arg, const struct tap_event *e)
{
	struct page *p = arg;

	journal_event(&p->journal, e, clock_wall_us());
	readers_wake(p->readers);
}

static void on_act(void *arg, enum tap_act what, const uint64_t *ids, size_t n)
{
	struct page *p = arg;

	journal_act(&p->journal, what, ids, n, clock_wall_us());
	readers_wake(p->readers);
}

/* ---- what pages are told beside the entries ---- */

static uint64_t sum_dead(const struct counters *c)
{
	uint64_t n = 0;

	for (size_t i = 0; i < DEAD_COUNT; i++)
		n += c->dead[i];
	return n;
}

static struct sample sample_now(const struct page *p)
{
	const struct counters *c = p->config.counters;
	struct sample s = {.queued = p->config.queued(p->config.arg)};

	for (size_t sid = 0; sid < ARRAY_LEN(c->by_sid); sid++) {
		s.in += c->by_sid[sid].accepted;
		s.out += c->by_sid[sid].delivered;
	}
	return s;
}

static const struct sample *last_sample(const struct page *p)
{
	static const struct sample none;

	return p->n_samples ? &p->samples[(p->n_samples - 1) % SAMPLES] : &none;
}

static void write_sample(struct json_out *j, const struct sample *s)
{
	json_out_array(j);
	json_out_i64(j, (int64_t)s->in);
	json_out_i64(j, (int64_t)s->out);
	json_out_i64(j, (int64_t)s->queued);
	json_out_close(j);
}

static void write_stats(const struct page *p, struct json_out *j, struct slice status)
{
	char answer[ANSWER_TEXT_MAX];

	json_out_object(j);
	json_out_kv_i64(j, "micros", clock_wall_us());
	json_out_key(j, "sample");
	write_sample(j, last_sample(p));
	json_out_kv_i64(j, "refused", (int64_t)p->journal.n_refused);
	json_out_kv_i64(j, "duplicates", (int64_t)p->config.counters->duplicates);
	json_out_kv_i64(j, "dead", (int64_t)sum_dead(p->config.counters));
	json_out_kv_str(j, "collector",
	                p->config.sandbox ? p->config.sandbox->get(p->config.sandbox->arg, answer) : NULL);
	json_out_key(j, "status");
	json_out_raw(j, status);
	json_out_close(j);
}

static int put_stats(struct page *p, struct buf *out)
{
	_cleanup_(buf_free) struct buf status = BUF_INIT(TEXT_MAX);
	struct json_out *j;
	int r = p->config.write_status(p->config.arg, &status);

	if (r == 0)
		r = buf_append(out, "event: stats\ndata: ", 19);
	j = r == 0 ? json_out_begin(out) : NULL;
	if (!j)
		return -ENOMEM;
	write_stats(p, j, (struct slice){status.data, status.len - 1});
	r = json_out_end(j);
	return r == 0 ? buf_append(out, "\n\n", 2) : r;
}

static void write_streams(const struct page *p, struct json_out *j)
{
	const struct conf *conf = (*p->config.streams)->conf;

	json_out_key(j, "streams");
	json_out_array(j);
	for (size_t i = 0; i < conf->n_streams; i++) {
		char *url = p->config.sandbox ? conf_endpoint_url(conf->streams[i].endpoint, &conf->streams[i], false)
		                              : NULL;

		json_out_object(j);
		json_out_kv_str(j, "name", conf->streams[i].name);
		json_out_kv_str(j, "url", url);
		json_out_close(j);
		free(url);
	}
	json_out_close(j);
}

static void write_hello(const struct page *p, struct json_out *j)
{
	uint64_t n = p->n_samples < SAMPLES ? p->n_samples : SAMPLES;

	json_out_object(j);
	json_out_kv_str(j, "version", GA4RELAY_VERSION);
	json_out_kv_bool(j, "sandbox", p->config.sandbox != NULL);
	json_out_kv_i64(j, "entries", JOURNAL_ENTRIES);
	json_out_kv_str(j, "socket", p->config.sandbox ? (*p->config.streams)->conf->listen.socket : NULL);
	write_streams(p, j);
	json_out_key(j, "samples");
	json_out_array(j);
	for (uint64_t i = p->n_samples - n; i < p->n_samples; i++)
		write_sample(j, &p->samples[i % SAMPLES]);
	json_out_close(j);
	json_out_close(j);
}

static int put_hello(const struct page *p, struct buf *out)
{
	int r = buf_append_slice(out, SLICE_LIT("retry: 1000\nevent: hello\ndata: "));
	struct json_out *j = r == 0 ? json_out_begin(out) : NULL;

	if (!j)
		return -ENOMEM;
	write_hello(p, j);
	r = json_out_end(j);
	return r == 0 ? buf_append(out, "\n\n", 2) : r;
}

/* One for each second since the last. Ticks are left out only while nothing changes. */
static void take_samples(struct page *p)
{
	int64_t n = (clock_mono_us() - p->sampled_us) / US_PER_S;

	p->sampled_us += n * US_PER_S;
	for (n = n < SAMPLES ? n : SAMPLES; n > 0; n--) {
		struct sample s = n > 1 ? *last_sample(p) : sample_now(p);

		p->samples[p->n_samples++ % SAMPLES] = s;
	}
}

bool page_needs_tick(const struct page *p)
{
	return readers_count(p->readers) > 0;
}

void page_tick(struct page *p)
{
	if (p->drains)
		return;
	take_samples(p);
	buf_clear(&p->text);
	if (readers_pages(p->readers) > 0 && put_stats(p, &p->text) < 0)
		buf_clear(&p->text);
	readers_tick(p->readers, buf_slice(&p->text));
}

/* ---- the paths ---- */

static void answer_text(struct http_exchange *x, int status, struct slice text)
{
	http_answer(x, status, TEXT_TYPE, text, NULL);
}

static void on_page(struct page *p, const struct http_request_info *request)
{
	const char *const headers[] = {"Content-Security-Policy",
	                               page_policy,
	                               "X-Content-Type-Options",
	                               "nosniff",
	                               "X-Frame-Options",
	                               "DENY",
	                               "Referrer-Policy",
	                               "no-referrer",
	                               "Cross-Origin-Opener-Policy",
	                               "same-origin",
	                               "Cross-Origin-Resource-Policy",
	                               "same-origin",
	                               "Cache-Control",
	                               "no-store",
	                               NULL};

	(void)p;
	http_answer(request->exchange, 200, "text/html; charset=utf-8", (struct slice){page_text, page_text_size},
	            headers);
}

static bool parse_since(const char *text, uint64_t *ret)
{
	*ret = 0;
	return !text || parse_u64(slice_of(text), ret) == 0;
}

/* A page that comes back says in Last-Event-ID what it saw last; one that opens a stream anew says it in its query.
 */
static void on_stream(struct page *p, const struct http_request_info *request)
{
	struct http_exchange *x = request->exchange;
	const char *last = http_header(x, "Last-Event-ID");
	struct reader_want want = {.is_page = true};

	if (!parse_since(last ? last : http_query(x, "since"), &want.since)) {
		answer_text(x, 400, SLICE_LIT("since is the id of an earlier event\n"));
		return;
	}
	take_samples(p);
	buf_clear(&p->text);
	if (put_hello(p, &p->text) < 0 || put_stats(p, &p->text) < 0) {
		answer_text(x, 503, SLICE_LIT("out of memory\n"));
		return;
	}
	want.first = buf_slice(&p->text);
	readers_add(p->readers, x, &want);
}

/* Returns 0, -EINVAL or -ENOMEM. */
static int read_filter(struct http_exchange *x, struct reader_filter *f)
{
	const struct {
		const char *name;
		char **to;
	} members[] = {{"name", &f->name}, {"client", &f->client}, {"verdict", &f->verdict}, {"state", &f->state}};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const char *value = http_query(x, members[i].name);

		if (value && !(*members[i].to = strdup(value)))
			return -ENOMEM;
	}
	return 0;
}

static void on_events(struct page *p, const struct http_request_info *request)
{
	struct http_exchange *x = request->exchange;
	const char *wait = http_query(x, "wait");
	struct reader_want want = {.is_page = false};

	if (!parse_since(http_query(x, "since"), &want.since)) {
		answer_text(x, 400, SLICE_LIT("since is the id of an earlier event\n"));
	} else if (wait && (parse_duration_us(slice_of(wait), &want.wait_us) < 0 || want.wait_us > WAIT_MAX_US)) {
		answer_text(x, 400, SLICE_LIT("wait is a duration up to 10m, such as 10s or 500ms\n"));
	} else if (read_filter(x, &want.filter) < 0) {
		reader_filter_clear(&want.filter);
		answer_text(x, 503, SLICE_LIT("out of memory\n"));
	} else {
		readers_add(p->readers, x, &want);
	}
}

/* The one request that changes something: only the page itself may make it, so it must say where it comes from. */
static void on_collector(struct page *p, const struct http_request_info *request)
{
	struct http_exchange *x = request->exchange;
	const struct page_switch *s = p->config.sandbox;
	const char *answer = http_query(x, "answer");

	if (!s) {
		answer_text(x, 404, SLICE_LIT("only a sandbox has a collector\n"));
	} else if (!http_header(x, "Origin")) {
		answer_text(x, 403, SLICE_LIT("only the page itself may do this (there is no Origin header)\n"));
	} else if (!answer || s->set(s->arg, answer) < 0) {
		answer_text(x, 400, SLICE_LIT("answer is a status from 200 to 599, or hang\n"));
	} else {
		buf_clear(&p->text);
		if (put_stats(p, &p->text) == 0)
			readers_tell(p->readers, buf_slice(&p->text));
		http_answer(x, 204, NULL, SLICE_LIT(""), NULL);
	}
}

#define LITERAL(s)                                                                                                   \
	{                                                                                                            \
		(s), sizeof(s) - 1                                                                                   \
	}
static const struct route {
	struct slice path;
	bool is_post;
	void (*handle)(struct page *p, const struct http_request_info *request);
} routes[] = {
        {LITERAL("/"), false, on_page},
        {LITERAL("/api/stream"), false, on_stream},
        {LITERAL("/api/events"), false, on_events},
        {LITERAL("/api/collector"), true, on_collector},
};

static const struct route *find_route(struct slice path)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (slice_eq(path, routes[i].path))
			return &routes[i];
	return NULL;
}

bool page_has_path(struct slice path)
{
	return find_route(path) != NULL;
}

static bool is_method(const struct route *route, struct slice method)
{
	if (route->is_post)
		return slice_eq(method, SLICE_LIT("POST"));
	return slice_eq(method, SLICE_LIT("GET")) || slice_eq(method, SLICE_LIT("HEAD"));
}

void page_serve(struct page *p, const struct http_request_info *request)
{
	const struct route *route = find_route(request->path);
	const char *const allow[] = {"Allow", route->is_post ? "POST" : "GET, HEAD", NULL};

	if (!is_method(route, request->method))
		http_answer(request->exchange, 405, NULL, SLICE_LIT(""), allow);
	else if (p->drains)
		answer_text(request->exchange, 503, SLICE_LIT("the relay is stopping\n"));
	else
		route->handle(p, request);
}

/* ---- opening and closing ---- */

int page_open(struct page **ret, const struct page_config *config, struct err *err)
{
	struct page *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(err, -ENOMEM, "no memory for the live page");
	p->config = *config;
	p->sampled_us = clock_mono_us();
	buf_init(&p->text, TEXT_MAX);
	if (journal_init(&p->journal, config->sandbox != NULL, clock_wall_us()) == 0)
		p->readers = readers_new(config->loop, &p->journal, config->streams);
	if (!p->readers) {
		page_free(p);
		return err_set(err, -ENOMEM, "no memory for the live page");
	}
	p->follower = (struct tap_follower){.on_event = on_event, .on_line = on_line, .on_act = on_act, .arg = p};
	tap_follow(config->tap, &p->follower);
	*ret = p;
	return 0;
}

struct page *page_free(struct page *p)
{
	if (!p)
		return NULL;
	tap_unfollow(p->config.tap, &p->follower);
	readers_free(p->readers);
	journal_free(&p->journal);
	buf_free(&p->text);
	free(p);
	return NULL;
}

void page_drain(struct page *p)
{
	p->drains = true;
	readers_end(p->readers);
}
