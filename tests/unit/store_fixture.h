/* store_fixture.h - an outbox in a temporary directory, and short ways to run jobs on it */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/clock.h"
#include "outbox/store/store_private.h"
#include "outbox/writer.h"

#define T0 INT64_C(1700000000000000)

struct fixture {
	char dir[64], path[96];
	struct store_config config;
	struct store *st;
	uint32_t web, ios;
	struct err err;
};

/* Too large to lie in the row of its event (inline_envelope.h). */
static bool large_envelopes;

static inline void no_done(struct job *job UNUSED) {}

static inline int fixture_open(struct fixture *f)
{
	struct err err;
	int r = store_open(&f->st, &f->config, T0, &f->err);

	if (r < 0)
		return r;
	if (f->config.read_only)
		return 0;
	r = store_stream_id(f->st, SLICE_LIT("web"), &f->web, &err);
	return r < 0 ? r : store_stream_id(f->st, SLICE_LIT("ios"), &f->ios, &err);
}

static inline void fixture_close(struct fixture *f)
{
	f->st = store_close(f->st);
}

static inline void fixture_reopen(struct fixture *f)
{
	fixture_close(f);
	if (fixture_open(f) < 0)
		fail_msg("%s", f->err.text);
}

static inline struct fixture *fixture_make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	/* No shell made it and nothing takes it for a pattern. */
	strcpy(f->dir, "/tmp/ga4relay-[st*re]?.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/outbox.db", f->dir);
	f->config = (struct store_config){.path = f->path,
	                                  .sync_full = true,
	                                  .max_events = 1000000,
	                                  .max_bytes = UINT64_C(1) << 33,
	                                  .dedup_window_us = US_PER_DAY,
	                                  .keep_dead_us = 7 * US_PER_DAY,
	                                  .keep_rejected = 10};
	return f;
}

static inline int setup_closed(void **state)
{
	*state = fixture_make();
	return 0;
}

static inline int setup(void **state)
{
	struct fixture *f = fixture_make();

	*state = f;
	if (fixture_open(f) < 0)
		fail_msg("%s", f->err.text);
	return 0;
}

static inline void remove_tree(const char *dir)
{
	char path[512];
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		(void)unlink(path);
	}
	if (d)
		closedir(d);
	(void)rmdir(dir);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	remove_tree(f->dir);
	free(f);
	large_envelopes = false;
	return 0;
}

static inline int setup_large(void **state)
{
	large_envelopes = true;
	return setup(state);
}

/* One block, as the codec makes it. n events named name. */
static inline struct submission *make_submission(uint32_t sid, const char *client, const char *name, uint32_t n,
                                                 const char *key)
{
	char envelope[1024], body[256];
	int el = large_envelopes ? snprintf(envelope, sizeof(envelope),
	                                    "{\"client_id\":\"%s\",\"user_id\":\"%0256d\"}", client, 1)
	                         : snprintf(envelope, sizeof(envelope), "{\"client_id\":\"%s\"}", client);
	int bl = name[0] ? snprintf(body, sizeof(body), "{\"name\":\"%s\",\"params\":{\"transaction_id\":\"T-1\"}}",
	                            name)
	                 : 0;
	size_t cl = strlen(client), kl = key ? strlen(key) : 0,
	       head = sizeof(struct submission) + n * sizeof(struct event);
	struct submission *s = malloc(head + (size_t)el + (size_t)bl + cl + kl + 1);
	char *at;

	assert_non_null(s);
	at = (char *)s + head;
	*s = (struct submission){.block = s, .refs = 1, .sid = sid, .accepted_us = T0, .n_events = n};
	s->envelope = (struct slice){memcpy(at, envelope, (size_t)el), (size_t)el};
	at += el;
	s->client = (struct slice){memcpy(at, client, cl), cl};
	at += cl;
	s->dedup_key = (struct slice){at, kl};
	if (kl)
		memcpy(at, key, kl);
	at += kl;
	if (bl)
		memcpy(at, body, (size_t)bl);
	for (uint32_t i = 0; i < n; i++)
		s->events[i] = (struct event){
		        .body = {at, (size_t)bl}, .name = {at + 9, bl ? strlen(name) : 0}, .time_us = T0 - i};
	return s;
}

static inline int run_write(struct store *st, struct job *job)
{
	store_group(st, &job, 1);
	store_after_commit(st);
	return job->result;
}

static inline int run_read(struct store *st, struct job *job)
{
	store_read(st, job);
	return job->result;
}

static inline int try_put(struct fixture *f, uint32_t sid, const char *client, const char *name, uint32_t n,
                          const char *key, int64_t wall_us, struct job_put *ret)
{
	struct submission *s = make_submission(sid, client, name, n, key);
	int r;

	job_put_init(ret, s, wall_us, no_done);
	r = run_write(f->st, &ret->job);
	submission_unref(s);
	return r;
}

static inline uint64_t put(struct fixture *f, uint32_t sid, const char *client, const char *name)
{
	struct job_put j;

	assert_int_equal(try_put(f, sid, client, name, 1, NULL, T0, &j), 0);
	return j.first_id;
}

static inline int settle_at(struct fixture *f, const uint64_t *ids, size_t n, enum settle_kind kind,
                            enum dead_reason reason, bool maybe_sent, int64_t when_us)
{
	struct job_settle *j = calloc(1, sizeof(*j) + n * sizeof(struct settle));
	int r;

	assert_non_null(j);
	job_settle_init(j, no_done);
	j->attempt = (struct settle_attempt){
	        .when_us = when_us, .duration_us = 41000, .status = 503, .error = "bad \"day\"\n"};
	strcpy(j->attempt.answer, "answer");
	j->n = n;
	for (size_t i = 0; i < n; i++)
		j->events[i] =
		        (struct settle){.id = ids[i], .kind = kind, .reason = reason, .maybe_sent = maybe_sent};
	r = run_write(f->st, &j->job);
	free(j);
	return r;
}

static inline void settle(struct fixture *f, uint64_t id, enum settle_kind kind, enum dead_reason reason)
{
	assert_int_equal(settle_at(f, &id, 1, kind, reason, false, T0), 0);
}

static inline uint64_t count_of(struct fixture *f, uint32_t sid, enum event_state state)
{
	return (uint64_t)f->st->counters.committed[stored_counter_of(sid, state)];
}

static inline int64_t sql_int(struct fixture *f, const char *sql)
{
	struct err err;
	int64_t n = -1;

	db_forget_trouble(&f->st->db);
	if (db_exec_int(&f->st->db, sql, &n, &err) < 0)
		fail_msg("%s: %s", sql, err.text);
	return n;
}

/* The counters against a recount of the rows: after whatever a test did. */
static inline void assert_books_balance(struct fixture *f)
{
	char sql[160];

	for (uint32_t sid = 1; sid <= 2; sid++) {
		for (int state = 0; state < STATE_COUNT; state++) {
			snprintf(sql, sizeof(sql), "SELECT count(*) FROM event WHERE sid = %u AND state = %d", sid,
			         state);
			assert_int_equal(count_of(f, sid, (enum event_state)state), sql_int(f, sql));
		}
	}
	for (int reason = 1; reason < DEAD_COUNT; reason++) {
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM note WHERE reason = %d", reason);
		assert_int_equal(f->st->counters.committed[STORED_DEAD + reason], sql_int(f, sql));
	}
	assert_int_equal(f->st->counters.committed[STORED_ATTEMPT_RECORDS], sql_int(f, "SELECT count(*) FROM note"));
	assert_int_equal(f->st->counters.committed[STORED_REJECTED], sql_int(f, "SELECT count(*) FROM rejected"));
	assert_int_equal(f->st->counters.rows, sql_int(f, "SELECT count(*) FROM event"));
	assert_int_equal(sql_int(f, "SELECT count(*) FROM note WHERE id NOT IN (SELECT id FROM event)"), 0);
	assert_int_equal(sql_int(f, "SELECT count(*) FROM event WHERE typeof(envelope) = 'integer'"
	                            " AND envelope NOT IN (SELECT id FROM envelope)"),
	                 0);
}

/* Upkeep until nothing is due for the next while. Returns the pieces it took. */
static inline unsigned run_maintenance(struct fixture *f, int64_t wall_us, int64_t mono_us)
{
	unsigned n = 0;

	while (store_maintenance(f->st, wall_us, mono_us, true) == 0 && n < 10000)
		n++;
	return n;
}

static inline void write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static inline off_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

#endif
