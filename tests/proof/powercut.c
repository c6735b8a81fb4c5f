/* powercut.c - cut the power at random moments of intake, settling and checkpoints; no acknowledged event may go
 * missing
 *
 * usage: powercut [-n CUTS] [-s SEED] [-m full|normal] [-f ONE_IN]
 * Runs the real store and writer over cut_vfs.c. At a random write or sync an image of what the disk could hold is
 * taken; the real store opens it and every event that had been acknowledged and not settled must be there.
 * With -f one in so many syncs fails; the store is closed then, and opened again on the same disk.
 * Exit 0: as promised (full: nothing lost; normal: something lost, which shows that the harness can see a loss). */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cut_vfs.h"
#include "outbox/jobs/jobs.h"
#include "outbox/writer.h"

enum { MAX_EVENTS = 200000, RUN_EVENTS = 4000, GROUP_MAX = 60 };

enum fate { FATE_UNKNOWN, FATE_ACKED, FATE_SETTLING };

struct campaign {
	uint64_t random;
	bool full, stopped;
	unsigned fail_one_in; /* syncs; 0: none fails */
	char dir[256];
	struct writer *writer;
	uint32_t sid;
	uint8_t fate[MAX_EVENTS];   /* by id, now */
	uint8_t at_cut[MAX_EVENTS]; /* by id, when the image was taken */
	uint64_t highest, highest_at_cut, oldest;
	uint64_t ops_to_cut;
	bool image_taken;
	unsigned cuts, images_lossy, images_corrupt, ids_reused, restarts;
	uint64_t lost;
};

static uint64_t chance(void *arg)
{
	struct campaign *c = arg;

	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "powercut: %s: %s\n", what, why);
	exit(2);
}

static void path_of(const struct campaign *c, char *path, size_t size, const char *sub, const char *file)
{
	snprintf(path, size, "%s/%s/%s", c->dir, sub, file);
}

static void clear_dir(const struct campaign *c, const char *sub)
{
	static const char *const files[] = {"outbox.db", "outbox.db-wal", "outbox.db-journal", "outbox.db.lock",
	                                    "outbox.db.ballast"};
	char path[512];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_of(c, path, sizeof(path), sub, files[i]);
		unlink(path);
	}
}

static void before_op(void *arg)
{
	struct campaign *c = arg;
	char dir[512];

	if (c->image_taken || --c->ops_to_cut > 0)
		return;
	clear_dir(c, "image");
	path_of(c, dir, sizeof(dir), "image", "");
	if (cut_vfs_image(dir, chance, c) < 0)
		die("image", "cannot be written");
	memcpy(c->at_cut, c->fate, sizeof(c->fate));
	c->highest_at_cut = c->highest;
	c->image_taken = true;
}

static void next_cut(struct campaign *c)
{
	c->image_taken = false;
	c->ops_to_cut = 1 + chance(c) % 400;
}

static struct submission *make_submission(struct campaign *c, uint32_t n)
{
	char body[512], envelope[64];
	size_t body_len, envelope_len;
	struct submission *sub;
	char *text;

	envelope_len =
	        (size_t)snprintf(envelope, sizeof(envelope), "{\"client_id\":\"1.%u\"}", (unsigned)(chance(c) % 300));
	body_len = (size_t)snprintf(body, sizeof(body), "{\"name\":\"purchase\",\"params\":{\"pad\":\"%0*d\"}}",
	                            1 + (int)(chance(c) % 400), 0);
	sub = calloc(1, sizeof(*sub) + n * sizeof(struct event) + body_len + envelope_len);
	if (!sub)
		die("memory", "none left");
	text = (char *)&sub->events[n];
	memcpy(text, body, body_len);
	memcpy(text + body_len, envelope, envelope_len);
	*sub = (struct submission){
	        .block = sub, .refs = 1, .sid = c->sid, .accepted_us = clock_wall_us(), .n_events = n};
	sub->envelope = (struct slice){text + body_len, envelope_len};
	sub->client = (struct slice){text + body_len + 14, envelope_len - 16};
	for (uint32_t i = 0; i < n; i++) {
		sub->events[i].body = (struct slice){text, body_len};
		sub->events[i].name = (struct slice){text + 9, 8};
		sub->events[i].time_us = sub->accepted_us;
	}
	return sub;
}

/* Only a failed sync may end it. */
static void stop(struct campaign *c, const char *doing, int result)
{
	if (!c->fail_one_in)
		die(doing, strerror(-result));
	c->stopped = true;
}

struct put {
	struct job_put job;
	struct campaign *c;
};

static void on_put(struct job *job)
{
	struct put *p = (struct put *)job;

	if (job->result < 0)
		stop(p->c, "put", job->result);
	for (uint32_t i = 0; job->result == 0 && i < p->job.count; i++)
		p->c->fate[p->job.first_id + i] = FATE_ACKED;
	if (job->result == 0)
		p->c->highest = p->job.first_id + p->job.count - 1;
	submission_unref(p->job.sub);
	free(p);
}

struct settle_some {
	struct campaign *c;
	struct job_settle job; /* its events are behind it */
};

static void on_settled(struct job *job)
{
	struct settle_some *s = CONTAINER_OF(job, struct settle_some, job.job);

	if (job->result < 0)
		stop(s->c, "settle", job->result);
	free(s);
}

static void add_put(struct campaign *c, struct job_list *list)
{
	struct put *p = calloc(1, sizeof(*p));
	uint32_t n = chance(c) % 10 == 0 ? 1 + (uint32_t)(chance(c) % 30) : 1;

	if (!p)
		die("memory", "none left");
	p->c = c;
	job_put_init(&p->job, make_submission(c, n), clock_wall_us(), on_put);
	STAILQ_INSERT_TAIL(list, &p->job.job, link);
}

static void add_settle(struct campaign *c, struct job_list *list)
{
	struct settle_some *some = calloc(1, sizeof(*some) + 25 * sizeof(struct settle));
	struct job_settle *s;
	uint64_t at = c->oldest;

	if (!some)
		die("memory", "none left");
	some->c = c;
	s = &some->job;
	job_settle_init(s, on_settled);
	for (; at <= c->highest && s->n < 25; at++) {
		if (c->fate[at] != FATE_ACKED || chance(c) % 4 == 0)
			continue;
		s->events[s->n++] = (struct settle){
		        .id = at, .kind = chance(c) % 20 ? SETTLE_DELIVERED : SETTLE_DEAD, .reason = DEAD_REFUSED};
		c->fate[at] = FATE_SETTLING;
	}
	while (c->oldest <= c->highest && c->fate[c->oldest] != FATE_ACKED)
		c->oldest++;
	if (s->n == 0) {
		free(some);
		return;
	}
	STAILQ_INSERT_TAIL(list, &s->job, link);
}

static void run_group(struct campaign *c)
{
	struct job_list list = STAILQ_HEAD_INITIALIZER(list);
	unsigned n = 1 + (unsigned)(chance(c) % GROUP_MAX);

	for (unsigned i = 0; i < n; i++) {
		if (chance(c) % 3 == 0)
			add_settle(c, &list);
		else
			add_put(c, &list);
	}
	writer_submit(c->writer, &list);
	writer_run_inline(c->writer);
	writer_reap(c->writer, INT64_MAX);
}

static struct store_config config_of(const struct campaign *c, const char *path, const char *vfs)
{
	return (struct store_config){.path = path,
	                             .sync_full = c->full,
	                             .max_events = 10000000,
	                             .max_bytes = 1u << 30,
	                             .dedup_window_us = US_PER_DAY,
	                             .keep_dead_us = US_PER_DAY,
	                             .keep_rejected = 100,
	                             .vfs = vfs};
}

static bool sync_fails(void *arg)
{
	struct campaign *c = arg;

	return chance(c) % c->fail_one_in == 0;
}

static int open_writer(struct campaign *c, const struct store_config *config, struct err *err)
{
	struct store *store;
	int r = store_open(&store, config, clock_wall_us(), err);

	if (r < 0)
		return r;
	r = store_stream_id(store, SLICE_LIT("web"), &c->sid, err);
	if (r < 0)
		store_close(store);
	return r < 0 ? r : writer_start(&c->writer, store, true, err);
}

static void start_run(struct campaign *c)
{
	struct store_config config;
	char path[512];
	struct err err;

	clear_dir(c, "work");
	cut_vfs_reset();
	cut_vfs_fail_syncs(NULL, NULL, NULL);
	memset(c->fate, 0, sizeof(c->fate));
	c->highest = 0;
	c->oldest = 1;
	c->image_taken = true; /* no cut before the outbox exists: nothing was acknowledged yet */
	path_of(c, path, sizeof(path), "work", "outbox.db");
	config = config_of(c, path, CUT_VFS_NAME);
	if (open_writer(c, &config, &err) < 0)
		die(path, err.text);
	cut_vfs_fail_syncs(c->fail_one_in ? sync_fails : NULL, chance, c);
}

/* As a service manager does it: until the disk lets it start. */
static void restart(struct campaign *c)
{
	struct store_config config;
	char path[512];
	struct err err;
	int r = -EIO;

	path_of(c, path, sizeof(path), "work", "outbox.db");
	config = config_of(c, path, CUT_VFS_NAME);
	c->writer = writer_stop(c->writer);
	for (int i = 0; r < 0 && i < 100; i++, c->restarts++)
		r = open_writer(c, &config, &err);
	if (r < 0)
		die(path, err.text);
	c->stopped = false;
}

static bool is_sound(const char *path)
{
	bool sound = false;
	sqlite3_stmt *stmt;
	sqlite3 *db;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK) {
		sound = sqlite3_step(stmt) == SQLITE_ROW &&
		        strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
	return sound;
}

static void on_listed(struct job *job)
{
	(void)job;
}

/* Marks what the image holds. */
static void read_image(struct writer *w, uint8_t *present)
{
	struct job_list_rows rows;
	uint64_t from = 0;
	bool end = false;

	while (!end) {
		struct job_list list = STAILQ_HEAD_INITIALIZER(list);

		memset(&rows, 0, sizeof(rows));
		job_list_init(&rows, on_listed);
		rows.from = from;
		rows.max_rows = rows.max_examined = 1000;
		STAILQ_INSERT_TAIL(&list, &rows.job, link);
		writer_submit(w, &list);
		writer_run_inline(w);
		writer_reap(w, INT64_MAX);
		if (rows.job.result < 0)
			die("image cannot be listed", strerror(-rows.job.result));
		for (size_t i = 0; i < rows.n; i++)
			if (rows.rows[i].id < MAX_EVENTS)
				present[rows.rows[i].id] = 1;
		from = rows.next;
		end = rows.end;
		job_list_clear(&rows);
	}
}

static void judge_events(struct campaign *c, struct writer *w)
{
	static uint8_t present[MAX_EVENTS];
	struct writer_stats stats;
	uint64_t lost = 0;

	memset(present, 0, sizeof(present));
	read_image(w, present);
	for (uint64_t id = 1; id <= c->highest_at_cut; id++)
		lost += c->at_cut[id] == FATE_ACKED && !present[id];
	c->lost += lost;
	c->images_lossy += lost > 0;
	writer_get_stats(w, &stats);
	c->ids_reused += stats.store.next_id <= c->highest_at_cut;
}

static void judge_image(struct campaign *c)
{
	struct store_config config;
	struct store *store;
	struct writer *w;
	char path[512];
	struct err err;

	path_of(c, path, sizeof(path), "image", "outbox.db");
	config = config_of(c, path, NULL);
	c->cuts++;
	if (store_open(&store, &config, clock_wall_us(), &err) < 0) {
		fprintf(stderr, "cut %u: the outbox does not open: %s\n", c->cuts, err.text);
		c->images_corrupt++;
		return;
	}
	if (writer_start(&w, store, true, &err) < 0)
		die(path, err.text);
	judge_events(c, w);
	writer_stop(w);
	if (!is_sound(path))
		c->images_corrupt++;
}

static void run(struct campaign *c, unsigned cuts)
{
	while (c->cuts < cuts) {
		start_run(c);
		next_cut(c);
		while (c->highest < RUN_EVENTS && c->cuts < cuts) {
			run_group(c);
			if (c->stopped)
				restart(c);
			if (!c->image_taken)
				continue;
			judge_image(c);
			next_cut(c);
		}
		c->image_taken = true;
		c->writer = writer_stop(c->writer);
	}
}

static int verdict(const struct campaign *c)
{
	bool lossy = c->lost > 0 || c->ids_reused > 0;

	printf("powercut sync=%s cuts=%u events-lost=%" PRIu64
	       " images-with-loss=%u images-corrupt=%u ids-reused=%u restarts=%u\n",
	       c->full ? "full" : "normal", c->cuts, c->lost, c->images_lossy, c->images_corrupt, c->ids_reused,
	       c->restarts);
	if (c->images_corrupt > 0)
		return 1;
	return lossy == c->full;
}

int main(int argc, char **argv)
{
	static struct campaign c = {.random = 1, .full = true};
	unsigned cuts = 200;
	char dir[512];
	int opt, r;

	while ((opt = getopt(argc, argv, "n:s:m:f:")) != -1) {
		if (opt == 'n')
			cuts = (unsigned)strtoul(optarg, NULL, 10);
		else if (opt == 's')
			c.random = strtoull(optarg, NULL, 10) | 1;
		else if (opt == 'm')
			c.full = strcmp(optarg, "normal") != 0;
		else if (opt == 'f')
			c.fail_one_in = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	printf("powercut seed=%" PRIu64 "\n", c.random);
	log_init(LOG_LEVEL_ERROR, false);
	snprintf(c.dir, sizeof(c.dir), "/tmp/powercut.XXXXXX");
	if (!mkdtemp(c.dir) || cut_vfs_register(before_op, &c) < 0)
		die("set-up", "no temporary directory or VFS");
	for (int i = 0; i < 2; i++) {
		snprintf(dir, sizeof(dir), "%s/%s", c.dir, i ? "image" : "work");
		if (mkdir(dir, 0700) < 0)
			die(dir, "cannot be made");
	}
	run(&c, cuts);
	r = verdict(&c);
	clear_dir(&c, "work");
	clear_dir(&c, "image");
	for (int i = 0; i < 2; i++) {
		snprintf(dir, sizeof(dir), "%s/%s", c.dir, i ? "image" : "work");
		rmdir(dir);
	}
	rmdir(c.dir);
	return r;
}
