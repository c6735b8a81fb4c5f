/* outbox_steps.c - what the outbox costs per event, without daemon, network or time: the same on a busy machine
 *
 * Each step is a commit that puts a group of events, together with the outcomes of those that were put some steps
 * before; with "apart" these have a commit of their own. The queue is short, as at an endpoint that answers. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lines.h"
#include "outbox/writer.h"

static const char usage[] = "usage: outbox_steps FILE EVENTS GROUP CLIENTS LAG [EVERY | apart]\n"
                            "  GROUP    events per commit       CLIENTS  different client_ids\n"
                            "  LAG      steps from a put to its outcome\n"
                            "  EVERY    outcomes go with the puts of every so manieth step\n";

struct options {
	const char *path;
	uint64_t events;
	unsigned group, clients, lag, every;
	bool apart;
};

struct steps {
	struct options o;
	struct writer *writer;
	uint32_t sid;
	uint64_t *ids; /* ring of group * (lag + every) */
	uint64_t settled;
	uint64_t put;
	struct job_put *puts;
	struct job_settle *settle;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "outbox_steps: %s: %s\n", what, why);
	exit(1);
}

static void check(struct job *job)
{
	if (job->result < 0)
		die("job", strerror(-job->result));
}

static struct submission *make_line(const struct steps *s, uint64_t n)
{
	struct submission *sub = calloc(1, sizeof(*sub) + sizeof(struct event) + 2 * (size_t)LINE_ROOM);
	char *text;
	int len;

	if (!sub)
		die("line", strerror(ENOMEM));
	text = (char *)(sub->events + 1);
	unsigned client = (unsigned)(n % s->o.clients);
	len = sprintf(text, "{\"client_id\":\"%u.%u\"}", 1000000 + client, 1700000000 + client);
	*sub = (struct submission){
	        .block = sub, .refs = 1, .sid = s->sid, .accepted_us = clock_wall_us(), .n_events = 1};
	sub->envelope = (struct slice){text, (size_t)len};
	sub->client = (struct slice){text + 14, (size_t)len - 16};
	text += len;
	sub->events[0] = (struct event){.body = {text, lines_event(text, n, 320)}, .time_us = sub->accepted_us};
	sub->events[0].name = (struct slice){text + 9, 8};
	return sub;
}

static uint64_t *slot(const struct steps *s, uint64_t n)
{
	return &s->ids[n % ((uint64_t)s->o.group * (s->o.lag + s->o.every))];
}

static void run_jobs(struct steps *s)
{
	writer_run_inline(s->writer);
	writer_reap(s->writer, INT64_MAX);
}

/* The outcomes of the groups that were put `lag` steps ago and before. */
static void add_outcomes(struct steps *s)
{
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
	uint64_t lag = (uint64_t)s->o.group * s->o.lag, n = s->put < lag ? 0 : s->put - lag - s->settled;

	if (n < (uint64_t)s->o.group * s->o.every)
		return;
	job_settle_init(s->settle, check);
	s->settle->n = n;
	for (uint64_t i = 0; i < n; i++)
		s->settle->events[i] =
		        (struct settle){.id = *slot(s, s->settled + i), .kind = SETTLE_DELIVERED, .sid = s->sid};
	s->settled += n;
	STAILQ_INSERT_TAIL(&jobs, &s->settle->job, link);
	writer_submit(s->writer, &jobs);
	if (s->o.apart)
		run_jobs(s);
}

static void step(struct steps *s)
{
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);

	add_outcomes(s);
	for (unsigned i = 0; i < s->o.group; i++) {
		struct job_put *j = &s->puts[i];
		struct submission *sub = make_line(s, s->put + i);

		job_put_init(j, sub, sub->accepted_us, check);
		STAILQ_INSERT_TAIL(&jobs, &j->job, link);
	}
	writer_submit(s->writer, &jobs);
	run_jobs(s);
	for (unsigned i = 0; i < s->o.group; i++) {
		*slot(s, s->put + i) = s->puts[i].first_id;
		submission_unref(s->puts[i].sub);
	}
	s->put += s->o.group;
}

/* proc(5): bytes that were made dirty, whether or not they are on the disk yet. */
static uint64_t bytes_dirtied(void)
{
	FILE *io = fopen("/proc/self/io", "re");
	char line[128];
	uint64_t n = 0;

	while (io && fgets(line, sizeof(line), io))
		(void)sscanf(line, "write_bytes: %" SCNu64, &n);
	if (io)
		fclose(io);
	return n;
}

static void open_outbox(struct steps *s)
{
	const struct store_config config = {.path = s->o.path,
	                                    .sync_full = true,
	                                    .max_events = UINT64_C(1) << 40,
	                                    .max_bytes = UINT64_C(1) << 40,
	                                    .dedup_window_us = US_PER_DAY,
	                                    .keep_dead_us = US_PER_DAY,
	                                    .keep_rejected = 10};
	struct store *store;
	struct err err;

	if (store_open(&store, &config, clock_wall_us(), &err) < 0 ||
	    store_stream_id(store, SLICE_LIT("web"), &s->sid, &err) < 0 ||
	    writer_start(&s->writer, store, true, &err) < 0)
		die(s->o.path, err.text);
	s->ids = calloc((size_t)s->o.group * (s->o.lag + s->o.every), sizeof(*s->ids));
	s->puts = calloc(s->o.group, sizeof(*s->puts));
	s->settle = calloc(1, sizeof(*s->settle) + (size_t)s->o.group * s->o.every * sizeof(struct settle));
	if (!s->ids || !s->puts || !s->settle)
		die("start", strerror(ENOMEM));
}

int main(int argc, char **argv)
{
	static struct steps s;
	struct writer_stats stats;
	uint64_t bytes;
	int64_t start_us;

	if (argc < 6) {
		fputs(usage, stderr);
		return 2;
	}
	s.o = (struct options){.path = argv[1],
	                       .events = strtoull(argv[2], NULL, 10),
	                       .group = (unsigned)strtoul(argv[3], NULL, 10),
	                       .clients = (unsigned)strtoul(argv[4], NULL, 10),
	                       .lag = (unsigned)strtoul(argv[5], NULL, 10),
	                       .apart = argc > 6 && strcmp(argv[6], "apart") == 0};
	s.o.every = argc > 6 && !s.o.apart ? (unsigned)strtoul(argv[6], NULL, 10) : 1;
	if (!s.o.events || !s.o.group || !s.o.clients || !s.o.lag || !s.o.every) {
		fputs(usage, stderr);
		return 2;
	}
	open_outbox(&s);
	bytes = bytes_dirtied();
	start_us = clock_mono_us();
	while (s.put < s.o.events)
		step(&s);
	writer_get_stats(s.writer, &stats);
	printf("{\"events\":%" PRIu64 ",\"commits\":%.3f,\"bytes\":%.0f,\"us\":%.1f}\n", s.put,
	       (double)stats.commits / (double)s.put, (double)(bytes_dirtied() - bytes) / (double)s.put,
	       (double)(clock_mono_us() - start_us) / (double)s.put);
	writer_stop(s.writer);
	return 0;
}
