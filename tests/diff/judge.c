/* judge.c - what the relay makes of lines, as JSON: for the differential test, and for counting instructions
 *
 * judge            reads "MODE TYPE LIMITS DOOR WALL_US MAX_AGE_US<TAB>line" and answers each with one JSON line:
 *                  what was accepted or refused, the warnings, and what was made of it.
 *                  MODE standard|strict|off, TYPE web|app, LIMITS standard|360, DOOR 0|1
 * judge -n N FILE  reads FILE's plain lines N times over, and says how many were accepted
 * judge -p N FILE  only parses them
 * judge -v N FILE  parses and validates them
 * judge -i N FILE  reads them and interns their envelopes, in memory
 * judge -s N FILE  reads them and stores them, by groups of a hundred lines, in an outbox that is removed then */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/event_in.h"
#include "event/payload.h"
#include "ga4/validate.h"
#include "outbox/db/schema.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/envelopes.h"
#include "outbox/store/store_private.h"
#include "json/json_read.h"
#include "json/json_write.h"

enum { N_STREAMS = 2, OUT_MAX = 64 * 1024 * 1024, GROUP_LINES = 100 };

struct bench {
	struct event_in *in;
	struct stream_rules streams[N_STREAMS];
	struct line_context ctx;
	int64_t wall_us;
	char *room; /* where accepted lines go, over and over */
	size_t size;
};

static void *get_room(void *arg, size_t size)
{
	struct bench *b = arg;

	if (size > b->size) {
		free(b->room);
		b->room = malloc(size);
		b->size = b->room ? size : 0;
	}
	return b->room;
}

static int set_up(struct bench *b)
{
	*b = (struct bench){.in = event_in_new(), .wall_us = INT64_C(1760000000000000)};
	b->streams[0] = (struct stream_rules){SLICE_LIT("web"), 1, STREAM_WEB, VALIDATION_STANDARD};
	b->streams[1] = (struct stream_rules){SLICE_LIT("app"), 2, STREAM_APP, VALIDATION_STANDARD};
	b->ctx = (struct line_context){
	        .streams = b->streams, .n_streams = N_STREAMS, .max_age_us = 72 * US_PER_H, .forced_stream = -1};
	return b->in ? 0 : -1;
}

/* ---- one answer a line ---- */

static int read_header(struct bench *b, const char *header)
{
	char mode[16], type[16], limits[16];
	int door;

	if (sscanf(header, "%15s %15s %15s %d %" SCNd64 " %" SCNd64, mode, type, limits, &door, &b->wall_us,
	           &b->ctx.max_age_us) != 6)
		return -1;
	for (int i = 0; i < N_STREAMS; i++)
		b->streams[i].mode = !strcmp(mode, "off")      ? VALIDATION_OFF
		                     : !strcmp(mode, "strict") ? VALIDATION_STRICT
		                                               : VALIDATION_STANDARD;
	b->ctx.default_stream = !strcmp(type, "app");
	b->ctx.limits_360 = !strcmp(limits, "360");
	b->ctx.forced_stream = door ? (int)b->ctx.default_stream : -1;
	return 0;
}

static void tell_texts(struct json_out *j, const struct line_result *r, struct slice stream)
{
	struct payload_event events[25];
	size_t n = r->sub->n_events < 25 ? r->sub->n_events : 25;
	struct buf body = BUF_INIT(OUT_MAX), line = BUF_INIT(OUT_MAX);

	for (size_t i = 0; i < n; i++)
		events[i] = (struct payload_event){r->sub, (uint32_t)i};
	if (payload_write(&body, events, n) < 0 || payload_size(events, n) != body.len ||
	    payload_write_line(&line, r->sub, 0, stream) < 0)
		abort();
	json_out_key(j, "request");
	json_out_slice(j, buf_slice(&body));
	json_out_key(j, "line");
	json_out_slice(j, buf_slice(&line));
	buf_free(&body);
	buf_free(&line);
}

static void tell_submission(struct json_out *j, const struct line_result *r, struct slice stream)
{
	json_out_key(j, "client");
	json_out_slice(j, r->sub->client);
	json_out_key(j, "dedup_key");
	json_out_slice(j, r->sub->dedup_key);
	json_out_key(j, "envelope");
	json_out_slice(j, r->sub->envelope);
	json_out_kv_i64(j, "sid", r->sub->sid);
	json_out_key(j, "events");
	json_out_array(j);
	for (uint32_t i = 0; i < r->sub->n_events; i++) {
		const struct event *e = &r->sub->events[i];

		json_out_object(j);
		json_out_key(j, "name");
		json_out_slice(j, e->name);
		json_out_key(j, "body");
		json_out_slice(j, e->body);
		json_out_kv_i64(j, "time", e->time_us);
		json_out_kv_i64(j, "props", e->props_us);
		json_out_close(j);
	}
	json_out_close(j);
	tell_texts(j, r, stream);
}

static void tell_warnings(struct json_out *j, struct slice warnings_json)
{
	struct buf object = BUF_INIT(OUT_MAX);

	if (buf_printf(&object, "{\"n\":0%.*s}", SLICE_ARG(warnings_json)) < 0)
		abort();
	json_out_key(j, "told");
	json_out_raw(j, buf_slice(&object));
	buf_free(&object);
}

static void tell(struct bench *b, struct slice line, struct buf *out)
{
	struct line_result r;
	struct json_out *j;

	if (event_in_read(b->in, line, &b->ctx, b->wall_us, get_room, b, &r) < 0)
		abort();
	j = json_out_begin(out);
	if (!j)
		abort();
	json_out_object(j);
	json_out_kv_bool(j, "ok", r.sub != NULL);
	if (r.sub) {
		tell_warnings(j, r.warnings_json);
		tell_submission(j, &r, b->streams[r.stream].name);
	} else {
		json_out_kv_str(j, "code", code_name(r.refusal.code));
		json_out_kv_str(j, "field", r.refusal.field);
		json_out_kv_str(j, "message", r.refusal.message);
	}
	if (json_out_end(j) < 0)
		abort();
}

static int answer_lines(struct bench *b)
{
	struct buf out = BUF_INIT(OUT_MAX);
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&text, &cap, stdin)) > 0) {
		char *tab = memchr(text, '\t', (size_t)n);
		char *end = text + n - (text[n - 1] == '\n');

		if (!tab || read_header(b, text) < 0) {
			fprintf(stderr, "judge: a line needs its header and a tab\n");
			return 2;
		}
		buf_clear(&out);
		tell(b, (struct slice){tab + 1, (size_t)(end - tab - 1)}, &out);
		printf("%.*s\n", (int)out.len, out.data);
		fflush(stdout);
	}
	free(text);
	buf_free(&out);
	return 0;
}

/* ---- counting ---- */

/* Lines on their way into an outbox, a group at a time. */
struct storing {
	char dir[32], path[48];
	struct store *st;
	struct job_put puts[GROUP_LINES];
	struct job *jobs[GROUP_LINES];
	size_t n;
};

static int open_storing(struct storing *s)
{
	struct store_config config = {
	        .path = s->path, .sync_full = true, .max_events = 1000000, .max_bytes = UINT64_C(1) << 30};
	struct err err;

	strcpy(s->dir, "/tmp/ga4judge.XXXXXX");
	if (!mkdtemp(s->dir))
		return -1;
	snprintf(s->path, sizeof(s->path), "%s/outbox.db", s->dir);
	return store_open(&s->st, &config, clock_wall_us(), &err);
}

/* How many of the group were stored. */
static unsigned long store_lines(struct storing *s)
{
	unsigned long stored = 0;

	if (s->n > 0)
		store_group(s->st, s->jobs, s->n);
	for (size_t i = 0; i < s->n; i++) {
		stored += s->puts[i].job.result == 0;
		submission_unref(s->puts[i].sub);
	}
	s->n = 0;
	return stored;
}

static unsigned long store_line(struct storing *s, struct submission *sub)
{
	job_put_init(&s->puts[s->n], sub, sub->accepted_us, NULL);
	s->jobs[s->n] = &s->puts[s->n].job;
	return ++s->n == GROUP_LINES ? store_lines(s) : 0;
}

static void close_storing(struct storing *s)
{
	static const char *const suffixes[] = {"", "-wal", ".lock"};
	char path[64];

	store_close(s->st);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", s->path, suffixes[i]);
		(void)unlink(path);
	}
	(void)rmdir(s->dir);
}

static void *get_own_room(void *arg UNUSED, size_t size)
{
	return malloc(size);
}

/* What one phase needs beside the bench. */
struct counting {
	char phase;
	struct storing storing;
	struct json_in *json;
	struct rules rules;
	struct judged_event events[LIMIT_EVENTS_PER_LINE];
	struct finding refusal;
	struct envelopes envelopes;
	struct db db;
};

static void warn_nobody(void *arg UNUSED, const struct finding *warning UNUSED) {}

static bool parse_and_validate(struct bench *b, struct counting *c, struct slice line)
{
	const struct json_doc *doc;
	struct judge j = {.rules = &c->rules,
	                  .type = STREAM_WEB,
	                  .mode = VALIDATION_STANDARD,
	                  .wall_us = b->wall_us,
	                  .max_age_us = b->ctx.max_age_us,
	                  .events = c->events,
	                  .refusal = &c->refusal,
	                  .warn = warn_nobody};

	if (json_in_read(c->json, line, &doc, NULL) < 0)
		return false;
	j.doc = doc;
	judge_scan(&j);
	return judge_line(&j);
}

static unsigned long read_and_store(struct bench *b, struct storing *s, struct slice line)
{
	struct line_result r;

	if (event_in_read(b->in, line, &b->ctx, b->wall_us, get_own_room, NULL, &r) < 0 || !r.sub)
		return 0;
	r.sub->block = r.sub;
	return store_line(s, r.sub);
}

/* How many lines are through. */
static unsigned long do_phase(struct bench *b, struct counting *c, struct slice line)
{
	const struct json_doc *doc;
	struct line_result r;
	uint64_t id;

	if (c->phase == 's')
		return read_and_store(b, &c->storing, line);
	if (c->phase == 'p')
		return json_in_read(c->json, line, &doc, NULL) == 0;
	if (c->phase == 'v')
		return parse_and_validate(b, c, line);
	if (event_in_read(b->in, line, &b->ctx, b->wall_us, get_room, b, &r) < 0 || !r.sub)
		return false;
	return c->phase != 'i' ||
	       envelopes_intern(&c->envelopes, &c->db, r.sub->sid, r.sub->envelope, r.sub->client, &id) == 0;
}

static int set_up_counting(struct counting *c, char phase)
{
	static const struct hash_key key = {1, 2}; /* the same chains in every run */
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
	struct err err;

	c->phase = phase;
	if (phase == 's' && open_storing(&c->storing) < 0)
		return -1;
	c->json = json_in_new(32);
	rules_init(&c->rules);
	if (!c->json || envelopes_init(&c->envelopes, &key, 1) < 0)
		return -1;
	if (sqlite3_open_v2(":memory:", &c->db.conn, flags, NULL) != SQLITE_OK || schema_migrate(&c->db, 0, &err) < 0)
		return -1;
	return db_prepare(&c->db, &err);
}

static void end_counting(struct counting *c)
{
	if (c->phase == 's')
		close_storing(&c->storing);
	json_in_free(c->json);
	envelopes_free(&c->envelopes);
	db_close(&c->db, false);
}

static int count_lines(struct bench *b, char phase, unsigned long rounds, const char *path)
{
	static struct counting counting;
	unsigned long good = 0;
	char *text = NULL;
	size_t cap = 0;
	FILE *f = fopen(path, "r");
	ssize_t n;

	if (!f || set_up_counting(&counting, phase) < 0)
		return 2;
	while ((n = getline(&text, &cap, f)) > 0) {
		struct slice line = {text, (size_t)n - (text[n - 1] == '\n')};

		for (unsigned long i = 0; i < rounds; i++)
			good += do_phase(b, &counting, line);
	}
	good += store_lines(&counting.storing);
	printf("%lu accepted\n", good);
	fclose(f);
	free(text);
	end_counting(&counting);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b;
	int rc;

	if (set_up(&b) < 0)
		return 1;
	if (argc == 4)
		rc = count_lines(&b, argv[1][1], strtoul(argv[2], NULL, 10), argv[3]);
	else
		rc = answer_lines(&b);
	event_in_free(b.in);
	free(b.room);
	return rc;
}
