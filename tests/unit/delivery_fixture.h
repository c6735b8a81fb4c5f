/* delivery_fixture.h - the whole of delivery between a pretended outbox, a pretended endpoint and a pretended clock
 *
 * Defines writer_submit(), writer_queued() and the HTTP client in the place of the real ones: jobs run against an
 * array of rows when world_commit() is called, and come back at once. Rows know how often they were settled and
 * delivered. */
#ifndef TESTS_DELIVERY_FIXTURE_H
#define TESTS_DELIVERY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/collections/id_list.h"
#include "base/macros.h"
#include "delivery/delivery_private.h"
#include "delivery/queue/queue_private.h"

enum { WORLD_STREAMS = 4, WORLD_IN_FLIGHT = 512, WALL_START = 1700000000 };

struct row {
	struct submission *sub; /* of one event */
	enum event_state state;
	enum dead_reason reason;
	uint32_t attempts;
	bool has_note, maybe_sent, no_expiry;
	bool put;              /* committed */
	unsigned settled;      /* times it left the queue */
	unsigned counted;      /* times the endpoint took it */
	int64_t in_us, out_us; /* monotonic */
	int kind;              /* the test's own */
};

struct http_request { /* the client's type is opaque: this one is ours */
	bool used, cancelled;
	char url[256];
	bool fresh;
	uint64_t ids[LIMIT_EVENTS_PER_REQUEST];
	unsigned n;
	size_t bytes;
	char client[64];
	uint64_t order; /* as they were started */
	int64_t started_us, done_us;
	struct attempt attempt;
	http_done_fn *done;
	void *arg;
};

struct world {
	struct now now;
	struct loop *loop;
	struct conf conf;
	struct conf_stream conf_streams[WORLD_STREAMS];
	struct stream_rules rules[WORLD_STREAMS];
	struct counters counters;
	struct tap tap;
	enum phase phase;
	struct delivery *d;
	struct row *rows; /* rows[id - 1] */
	size_t n_rows, cap_rows;
	uint64_t settled_to;             /* rows up to it have left the queue: nobody looks at them again */
	struct job_list jobs, unhurried; /* the second: until somebody wakes the writer */
	bool fail_commits;
	unsigned fail_refills, fail_posts; /* so many more */
	unsigned job_faults, post_faults;  /* one in so many fails, by chance; 0: none */
	unsigned faults;                   /* that happened */
	uint64_t queued[STORE_STREAMS_MAX];
	uint64_t bound;
	unsigned jobs_seen;
	size_t examined;
	struct http_request requests[WORLD_IN_FLIGHT];
	uint64_t started;
	unsigned most_started_a_turn;
	unsigned in_flight, most_in_flight;
	/* decides r->attempt and r->done_us; r->attempt is a 204 at now + 10 ms already */
	void (*answer)(struct world *w, struct http_request *r);
	void *arg;
	uint64_t random;
};

static struct world *world; /* the writer's functions have no other way to it */

static inline uint64_t world_random(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static inline double world_chance(void)
{
	return (double)(world_random(world) >> 11) / (double)(UINT64_C(1) << 53);
}

/* ---- the outbox ---- */

void writer_submit(struct writer *w UNUSED, struct job_list *jobs)
{
	STAILQ_CONCAT(&world->jobs, &world->unhurried);
	STAILQ_CONCAT(&world->jobs, jobs);
}

void writer_add(struct writer *w UNUSED, struct job_list *jobs)
{
	STAILQ_CONCAT(&world->unhurried, jobs);
}

void writer_wake(struct writer *w UNUSED)
{
	STAILQ_CONCAT(&world->jobs, &world->unhurried);
}

uint64_t writer_queued(struct writer *w UNUSED, uint32_t sid)
{
	uint64_t n = 0;
	if (sid)
		return world->queued[sid];
	for (size_t i = 0; i < STORE_STREAMS_MAX; i++)
		n += world->queued[i];
	return n;
}

static inline struct row *world_row(struct world *w, uint64_t id)
{
	assert_true(id >= 1 && id <= w->n_rows);
	return &w->rows[id - 1];
}

static struct submission *world_sub(uint32_t sid, unsigned client, unsigned envelope, uint64_t id, size_t pad,
                                    int64_t wall_us)
{
	char text[256], env[256];
	int n_env =
	        envelope ? snprintf(env, sizeof(env), "{\"client_id\":\"%u.1\",\"user_id\":\"%u\"}", client, envelope)
	                 : snprintf(env, sizeof(env), "{\"client_id\":\"%u.1\"}", client);
	int n_text = snprintf(text, sizeof(text), "{\"name\":\"refund\",\"params\":{\"n\":%llu,\"p\":\"",
	                      (unsigned long long)id);
	size_t head = sizeof(struct submission) + sizeof(struct event), body = (size_t)n_text + pad + 3;
	struct submission *s = malloc(head + (size_t)n_env + body);
	char *at = (char *)s + head;
	assert_non_null(s);
	*s = (struct submission){
	        .block = s, .refs = 1, .sid = sid, .accepted_us = wall_us, .first_id = id, .n_events = 1};
	memcpy(at, env, (size_t)n_env);
	s->envelope = (struct slice){at, (size_t)n_env};
	s->client = (struct slice){at + 14, strcspn(at + 14, "\"")};
	at += n_env;
	memcpy(at, text, (size_t)n_text);
	memset(at + n_text, 'x', pad);
	memcpy(at + n_text + pad, "\"}}", 3);
	s->events[0] = (struct event){.body = {at, body}, .name = {at + 9, 6}, .time_us = wall_us};
	return s;
}

static uint64_t world_add_row(struct world *w, uint32_t sid, unsigned client, unsigned envelope, size_t pad)
{
	if (w->n_rows == w->cap_rows) {
		w->cap_rows = w->cap_rows ? w->cap_rows * 2 : 4096;
		w->rows = realloc(w->rows, w->cap_rows * sizeof(*w->rows));
		assert_non_null(w->rows);
	}
	uint64_t id = ++w->n_rows;
	w->rows[id - 1] = (struct row){.sub = world_sub(sid, client, envelope, id, pad, w->now.wall_us),
	                               .put = true,
	                               .in_us = w->now.mono_us};
	w->queued[sid]++;
	return id;
}

/* Stored before the process started. */
static inline uint64_t world_stored(struct world *w, uint32_t sid, unsigned client, unsigned envelope, size_t pad)
{
	return world_add_row(w, sid, client, envelope, pad);
}

/* Committed now. */
static inline uint64_t world_put(struct world *w, uint32_t sid, unsigned client, unsigned envelope, size_t pad)
{
	uint64_t id = world_add_row(w, sid, client, envelope, pad);
	delivery_accept(w->d, w->rows[id - 1].sub, &w->now);
	return id;
}

static void leave_queue(struct world *w, struct row *row, enum event_state to, enum dead_reason reason)
{
	assert_int_equal(row->state, STATE_QUEUED);
	w->queued[row->sub->sid]--;
	row->state = to;
	row->reason = reason;
	row->settled++;
	row->out_us = w->now.mono_us;
	row->sub = submission_unref(row->sub); /* what is settled takes no memory: weeks of events pass by */
}

static void run_settle(struct world *w, struct job_settle *j)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct settle *s = &j->events[i];
		struct row *row = world_row(w, s->id);
		if (row->state != STATE_QUEUED) {
			/* settled twice would be a lie; held or dropped meanwhile is not, nor expired by the search
			 * and before sending at the same time, nor a failure whose note had to be tried again */
			assert_true(row->settled == 0 || s->kind == SETTLE_FAILED ||
			            (row->reason == DEAD_EXPIRED && s->reason == DEAD_EXPIRED));
			continue;
		}
		row->maybe_sent |= s->maybe_sent;
		if (s->kind == SETTLE_FAILED) {
			row->attempts++;
			row->has_note = true;
		} else {
			leave_queue(w, row, s->kind == SETTLE_DEAD ? STATE_DEAD : STATE_DELIVERED, s->reason);
		}
	}
}

static uint64_t settled_to(struct world *w)
{
	while (w->settled_to < w->n_rows && w->rows[w->settled_to].settled)
		w->settled_to++;
	return w->settled_to;
}

static void run_refill(struct world *w, struct job_refill *j)
{
	size_t bytes = 0, examined = 0;
	uint64_t id = settled_to(w) > j->after ? w->settled_to : j->after;
	j->rows = calloc(j->max_rows, sizeof(*j->rows));
	assert_non_null(j->rows);
	while (id < w->n_rows && j->n < j->max_rows && bytes < j->max_bytes && examined < j->max_examined) {
		struct row *row = world_row(w, ++id);
		if (row->state == STATE_DELIVERED)
			continue; /* deleted rows cost nothing */
		examined++;
		if (row->state != STATE_QUEUED || row->sub->sid != j->sid)
			continue;
		/* as the store makes it: a copy */
		size_t head = sizeof(struct submission) + sizeof(struct event);
		size_t size = head + row->sub->envelope.n + row->sub->events[0].body.n;
		struct submission *sub = malloc(size);
		assert_non_null(sub);
		memcpy(sub, row->sub, size);
		ptrdiff_t moved = (char *)sub - (char *)row->sub;
		sub->block = sub;
		sub->refs = 1;
		sub->envelope.p += moved;
		sub->client.p += moved;
		sub->events[0].body.p += moved;
		sub->events[0].name.p += moved;
		j->rows[j->n++] = (struct refilled){.sub = sub,
		                                    .id = id,
		                                    .attempts = row->attempts,
		                                    .has_note = row->has_note,
		                                    .maybe_sent = row->maybe_sent,
		                                    .no_expiry = row->no_expiry};
		bytes += sub->events[0].body.n;
	}
	w->examined += examined;
	j->examined_to = id;
	j->end = id >= w->n_rows;
}

static void run_expire(struct world *w, struct job_expire *j)
{
	size_t examined = 0;
	uint64_t id = settled_to(w) >= j->from ? w->settled_to + 1 : j->from;
	j->oldest_time_us = INT64_MAX;
	j->expired_ids = calloc(j->max_examined, sizeof(*j->expired_ids));
	j->expired_sids = calloc(j->max_examined, sizeof(*j->expired_sids));
	assert_non_null(j->expired_ids);
	assert_non_null(j->expired_sids);
	for (; id <= w->n_rows && examined < j->max_examined; id++) {
		struct row *row = world_row(w, id);
		if (row->state == STATE_DELIVERED)
			continue;
		examined++;
		if (row->state != STATE_QUEUED)
			continue;
		j->queued_seen++;
		int64_t t = row->sub->events[0].time_us + clock_skew_of(&j->skew, id);
		bool stays =
		        row->no_expiry || t > j->expire_before_us || id_list_has(j->in_flight, j->n_in_flight, id);
		if (stays) {
			if (t < j->oldest_time_us) /* exempt ones too, as in the store */
				j->oldest_time_us = t;
			continue;
		}
		j->expired++;
		if (j->dry_run)
			continue;
		j->expired_sids[j->n_expired] = row->sub->sid;
		j->expired_ids[j->n_expired++] = id;
		leave_queue(w, row, STATE_DEAD, DEAD_EXPIRED);
	}
	j->next = id;
	j->end = id > w->n_rows;
}

/* Does this one fail? */
static bool world_faulty(struct world *w, unsigned *more, unsigned one_in)
{
	bool fails = (more && *more > 0) || (one_in > 0 && world_random(w) % one_in == 0);
	if (more && *more > 0)
		(*more)--;
	w->faults += fails;
	return fails;
}

/* Runs what was submitted, as one group; completions come at once. */
static void world_commit(struct world *w)
{
	struct job *job;
	while ((job = STAILQ_FIRST(&w->jobs)) != NULL) {
		const char *name = job->class->name;
		STAILQ_REMOVE_HEAD(&w->jobs, link);
		w->jobs_seen++;
		job->result = 0;
		/* a bound that could not be noted is too low, and said to be: not an accident to be mended */
		unsigned one_in = strcmp(name, "in-flight") == 0 ? 0 : w->job_faults;
		if (world_faulty(w, job->class->kind == JOB_WRITE ? NULL : &w->fail_refills, one_in) ||
		    (w->fail_commits && job->class->kind == JOB_WRITE))
			job->result = -EIO;
		else if (strcmp(name, "settle") == 0)
			run_settle(w, CONTAINER_OF(job, struct job_settle, job));
		else if (strcmp(name, "refill") == 0)
			run_refill(w, CONTAINER_OF(job, struct job_refill, job));
		else if (strcmp(name, "in-flight") == 0)
			w->bound = CONTAINER_OF(job, struct job_in_flight, job)->bound;
		else if (strcmp(name, "expire") == 0)
			run_expire(w, CONTAINER_OF(job, struct job_expire, job));
		else
			fail_msg("a job that nobody expects: %s", name);
		job->done(job);
	}
}

/* ---- the endpoint ---- */

static void read_ids(struct http_request *r, struct slice body)
{
	const char *at = body.p, *end = body.p + body.n;
	const char *client = memmem(body.p, body.n, "\"client_id\":\"", 13);
	assert_non_null(client);
	snprintf(r->client, sizeof(r->client), "%.*s", (int)strcspn(client + 13, "\""), client + 13);
	while ((at = memmem(at, (size_t)(end - at), "\"n\":", 4)) != NULL) {
		assert_true(r->n < LIMIT_EVENTS_PER_REQUEST);
		r->ids[r->n++] = strtoull(at += 4, NULL, 10);
	}
	assert_true(r->n > 0);
}

static void check_request(struct world *w, const struct http_request *r)
{
	const struct submission *first = world_row(w, r->ids[0])->sub;
	assert_true(r->bytes < LIMIT_REQUEST_BYTES);
	for (unsigned i = 0; i < r->n; i++) {
		const struct row *row = world_row(w, r->ids[i]);
		assert_int_equal(row->state, STATE_QUEUED);
		assert_true(slice_eq(row->sub->envelope, first->envelope));
		assert_int_equal(row->sub->sid, first->sid);
		assert_true(i == 0 || r->ids[i - 1] < r->ids[i]);
	}
}

int http_post(struct http_client *c UNUSED, const char *url, struct slice body, bool fresh, size_t answer_max UNUSED,
              http_done_fn *done, void *arg, struct http_request **ret)
{
	struct world *w = world;
	struct http_request *r = NULL;
	if (world_faulty(w, &w->fail_posts, w->post_faults))
		return -ENOMEM;
	for (size_t i = 0; i < WORLD_IN_FLIGHT && !r; i++)
		if (!w->requests[i].used)
			r = &w->requests[i];
	assert_non_null(r);
	*r = (struct http_request){.used = true, .fresh = fresh, .bytes = body.n, .done = done, .arg = arg};
	snprintf(r->url, sizeof(r->url), "%s", url);
	read_ids(r, body);
	check_request(w, r);
	r->order = ++w->started;
	r->started_us = w->now.mono_us;
	r->done_us = w->now.mono_us + 10 * US_PER_MS;
	r->attempt = (struct attempt){.status = 204, .retry_after_us = -1, .body_sent = true};
	if (++w->in_flight > w->most_in_flight)
		w->most_in_flight = w->in_flight;
	if (w->answer)
		w->answer(w, r);
	*ret = r;
	return 0;
}

void http_cancel(struct http_request *r)
{
	r->attempt = (struct attempt){.transport = TRANSPORT_TIMEOUT, .retry_after_us = -1, .body_sent = true};
	r->done_us = world->now.mono_us;
	r->cancelled = true;
}

static struct http_request *next_answer(struct world *w)
{
	struct http_request *first = NULL;
	for (size_t i = 0; i < WORLD_IN_FLIGHT; i++) {
		struct http_request *r = &w->requests[i];
		if (r->used && (!first || r->done_us < first->done_us ||
		                (r->done_us == first->done_us && r->order < first->order)))
			first = r;
	}
	return first;
}

void http_client_reap(struct http_client *c UNUSED)
{
	struct world *w = world;
	struct http_request *r;
	while ((r = next_answer(w)) != NULL && (r->done_us <= w->now.mono_us || r->cancelled)) {
		r->used = false;
		w->in_flight--;
		if (r->attempt.status >= 200 && r->attempt.status <= 299)
			for (unsigned i = 0; i < r->n; i++)
				world_row(w, r->ids[i])->counted++;
		r->attempt.started_wall_us = w->now.wall_us - (w->now.mono_us - r->started_us);
		r->attempt.duration_us = w->now.mono_us - r->started_us;
		r->done(r->arg, &r->attempt, (struct slice){NULL, 0});
	}
}

void http_client_catch_up(struct http_client *c)
{
	http_client_reap(c);
}

int http_client_new(struct http_client **ret, struct loop *loop UNUSED, const struct http_client_config *c UNUSED,
                    struct err *err UNUSED)
{
	*ret = NULL;
	return 0;
}

int http_client_set(struct http_client *c UNUSED, const struct http_client_config *config UNUSED,
                    struct err *err UNUSED)
{
	return 0;
}

unsigned http_client_way(const struct http_client *c UNUSED)
{
	return 0;
}

struct http_client *http_client_free(struct http_client *c UNUSED)
{
	return NULL;
}

void http_client_give_back(struct http_client *c UNUSED) {}

/* ---- time ---- */

static void world_advance(struct world *w, int64_t us)
{
	w->now.mono_us += us;
	w->now.boot_us += us;
	w->now.wall_us += us;
}

/* A turn of the loop: completions, then delivery's part of the tail. */
static void world_turn(struct world *w)
{
	world_commit(w);
	uint64_t before = w->started;
	delivery_pump(w->d, &w->now);
	unsigned n = (unsigned)(w->started - before);
	if (n > w->most_started_a_turn)
		w->most_started_a_turn = n;
}

/* To the next time at which anything is due, at most to until_us (monotonic); turns until nothing more happens now.
 */
static void world_step(struct world *w, int64_t until_us)
{
	world_turn(w);
	for (int i = 0; !STAILQ_EMPTY(&w->jobs); i++) {
		assert_true(i < 10000); /* it comes to rest */
		world_turn(w);
	}
	int64_t next = delivery_next_us(w->d, &w->now);
	const struct http_request *r = next_answer(w);
	if (r && r->done_us < next)
		next = r->done_us;
	next = next < until_us ? next : until_us;
	if (next > w->now.mono_us)
		world_advance(w, next - w->now.mono_us);
}

static inline void world_run(struct world *w, int64_t us)
{
	int64_t until = w->now.mono_us + us;
	while (w->now.mono_us < until)
		world_step(w, until);
	world_turn(w);
	while (!STAILQ_EMPTY(&w->jobs))
		world_turn(w);
}

/* ---- beginning and end ---- */

static void world_init(struct world *w, unsigned n_streams)
{
	static char endpoint[] = "https://collect.test/mp", id[] = "G-TEST", secret[] = "s e+c";
	static char names[WORLD_STREAMS][8] = {"one", "two", "three", "four"};
	*w = (struct world){.random = UINT64_C(0x9e3779b97f4a7c15)};
	world = w;
	STAILQ_INIT(&w->jobs);
	STAILQ_INIT(&w->unhurried);
	w->now = (struct now){WALL_START * US_PER_S, 1000 * US_PER_S, 2000 * US_PER_S};
	log_init((enum log_level)0, false); /* not even errors */
	counters_init(&w->counters);
	w->conf.streams = w->conf_streams;
	w->conf.n_streams = n_streams;
	for (unsigned i = 0; i < n_streams; i++) {
		w->conf_streams[i] =
		        (struct conf_stream){.name = names[i], .id = id, .secret = secret, .endpoint = endpoint};
		w->rules[i] = (struct stream_rules){.name = slice_of(names[i]), .sid = i + 1};
	}
	w->conf.delivery.linger_us = 200 * US_PER_MS;
	w->conf.delivery.max_batch = 25;
	w->conf.delivery.max_requests = 64;
	w->conf.delivery.retry_min_us = US_PER_S;
	w->conf.delivery.retry_max_us = 5 * US_PER_MIN;
	w->conf.delivery.max_age_us = 72 * US_PER_H;
	w->conf.delivery.refuse_after_us = US_PER_MIN;
	assert_int_equal(loop_new(&w->loop, NULL), 0);
}

static void world_start(struct world *w)
{
	struct err err = {""};
	const struct delivery_context context = {
	        .loop = w->loop, .counters = &w->counters, .tap = &w->tap, .phase = &w->phase};
	int r = delivery_new(&w->d, &context, &w->conf, w->rules, &w->now, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	w->d->chance = world_chance;
}

static void world_end(struct world *w)
{
	writer_wake(NULL);
	world_commit(w);
	delivery_free(w->d);
	loop_free(w->loop);
	for (size_t i = 0; i < w->n_rows; i++)
		submission_unref(w->rows[i].sub);
	free(w->rows);
	world = NULL;
}

#endif
