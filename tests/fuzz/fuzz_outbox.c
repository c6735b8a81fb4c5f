/* fuzz_outbox.c - a damaged outbox: opened, read, worked on, set aside; the input is a list of patches to a good one
 *
 * A patch: 3 bytes of offset (little endian; past the database's end it is in the WAL), 1 byte of length, the bytes.
 * Length 255: cut the file off there; 254: one byte follows that fills a page from there on. An input of odd length
 * leaves the WAL's checksums as they are; else they are made right again, so that what was patched is believed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "fuzz.h"
#include "outbox/file/pages.h"
#include "outbox/jobs/jobs.h"
#include "outbox/store/store_private.h"

#define T0 INT64_C(1760000000000000)
enum { PAGE = 4096, IMAGE_MAX = 8 << 20, EVENTS = 40 };

static char dir[64], path[96], wal[112];
static struct buf good_db, good_wal, db, log_;
static struct store_config config;

static void no_done(struct job *job)
{
	(void)job;
}

static struct submission *submission(uint32_t sid, unsigned i)
{
	char envelope[128], body[1400];
	int el = snprintf(envelope, sizeof(envelope), "{\"client_id\":\"%u.1\"}", i % 7),
	    bl = snprintf(body, sizeof(body),
	                  "{\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-%u\",\"x\":\"%0*u\"}}", i,
	                  (int)(i % 13) * 100 + 1, i);
	size_t head = sizeof(struct submission) + sizeof(struct event);
	struct submission *s = malloc(head + (size_t)el + (size_t)bl + 8);
	char *at = (char *)s + head;

	CHECK(s);
	*s = (struct submission){.block = s, .refs = 1, .sid = sid, .accepted_us = T0, .n_events = 1};
	s->envelope = (struct slice){memcpy(at, envelope, (size_t)el), (size_t)el};
	s->client = (struct slice){at + 14, 3};
	at += el;
	memcpy(at, body, (size_t)bl);
	s->events[0] = (struct event){.body = {at, (size_t)bl}, .name = {at + 9, 6}, .time_us = T0 - i};
	at += bl;
	if (i % 3 == 0)
		s->dedup_key = (struct slice){at, (size_t)snprintf(at, 8, "k%u", i)};
	return s;
}

static void run_write(struct store *st, struct job *job)
{
	store_group(st, &job, 1);
	store_after_commit(st);
}

static void put(struct store *st, uint32_t sid, unsigned i)
{
	struct submission *s = submission(sid, i);
	struct job_put j;

	job_put_init(&j, s, T0, no_done);
	run_write(st, &j.job);
	submission_unref(s);
}

static void settle(struct store *st, uint64_t id, enum settle_kind kind)
{
	struct job_settle *j = calloc(1, sizeof(*j) + sizeof(struct settle));

	CHECK(j);
	job_settle_init(j, no_done);
	j->attempt = (struct settle_attempt){.when_us = T0, .duration_us = 41000, .status = 503, .error = "bad day"};
	j->n = 1;
	j->events[0] =
	        (struct settle){.id = id, .kind = kind, .reason = kind == SETTLE_DEAD ? DEAD_REFUSED : DEAD_NONE};
	run_write(st, &j->job);
	free(j);
}

static void reject(struct store *st)
{
	struct job_reject *j = calloc(1, sizeof(*j) + sizeof(struct rejected_line));

	CHECK(j);
	job_reject_init(j, no_done);
	j->n = 1;
	j->lines[0] = (struct rejected_line){.line = SLICE_LIT("nonsense"),
	                                     .code = CODE_JSON_INVALID,
	                                     .field = "",
	                                     .message = "no JSON",
	                                     .wall_us = T0};
	run_write(st, &j->job);
	free(j);
}

static void read_image(const char *name, struct buf *b)
{
	struct err err;

	buf_init(b, IMAGE_MAX);
	if (file_read(name, b, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
}

static void remove_files(void)
{
	DIR *at = opendir(dir);
	struct dirent *e;
	char name[400];

	while (at && (e = readdir(at))) {
		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.')
			(void)unlink(name);
	}
	if (at)
		closedir(at);
}

static void at_exit(void)
{
	remove_files();
	(void)rmdir(dir);
	buf_free(&good_db);
	buf_free(&good_wal);
	buf_free(&db);
	buf_free(&log_);
}

/* Most of it in the database, the last events in the WAL, as a kill leaves it. */
static void make_good(void)
{
	struct store *st;
	uint32_t sid;
	struct err err;

	log_set_level((enum log_level)0);
	snprintf(dir, sizeof(dir), "%s/ga4relay-fuzz.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(dir));
	atexit(at_exit);
	snprintf(path, sizeof(path), "%s/outbox.db", dir);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	config = (struct store_config){.path = path,
	                               .max_events = 100000,
	                               .max_bytes = UINT64_C(1) << 30,
	                               .dedup_window_us = US_PER_DAY,
	                               .keep_delivered_us = US_PER_H,
	                               .keep_dead_us = 7 * US_PER_DAY,
	                               .keep_rejected = 10};
	CHECK(store_open(&st, &config, T0, &err) == 0);
	CHECK(store_stream_id(st, SLICE_LIT("web"), &sid, &err) == 0);
	for (unsigned i = 0; i < EVENTS; i++)
		put(st, sid, i);
	settle(st, 3, SETTLE_DEAD);
	settle(st, 4, SETTLE_FAILED);
	settle(st, 5, SETTLE_DELIVERED);
	reject(st);
	store_close(st);
	CHECK(store_open(&st, &config, T0, &err) == 0);
	for (unsigned i = 0; i < 5; i++)
		put(st, sid, EVENTS + i);
	read_image(path, &good_db);
	read_image(wal, &good_wal);
	store_close(st);
	remove_files();
}

static void write_image(const char *name, const struct buf *b)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fd_write_all(fd, b->data, b->len) == 0);
	close(fd);
}

static void patch(const uint8_t *data, size_t size)
{
	while (size >= 5) {
		size_t at = (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16, n = data[3];
		struct buf *b = &db;

		if (at >= good_db.len) {
			at -= good_db.len;
			b = &log_;
		}
		data += 4;
		size -= 4;
		if (b->len == 0)
			return; /* cut off to nothing */
		at %= b->len;
		if (n == 255) {
			b->len = at;
		} else if (n == 254) {
			memset(b->data + at, data[0], b->len - at < PAGE ? b->len - at : PAGE);
			n = 1;
		} else {
			n = n < size ? n : size;
			memcpy(b->data + at, data, n < b->len - at ? n : b->len - at);
		}
		n = n == 255 ? 1 : n;
		data += n;
		size -= n;
	}
}

enum { WAL_HEADER = 32, FRAME_HEADER = 24 };

static uint32_t wal_word(const char *p, bool big_endian)
{
	const unsigned char *u = (const unsigned char *)p;

	return big_endian ? pages_be32(u) : (uint32_t)u[3] << 24 | (uint32_t)u[2] << 16 | (uint32_t)u[1] << 8 | u[0];
}

static void put_be32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (24 - 8 * i));
}

static void sum_up(uint32_t sum[2], const char *p, size_t n, bool big_endian)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		sum[0] += wal_word(p + i, big_endian) + sum[1];
		sum[1] += wal_word(p + i + 4, big_endian) + sum[0];
	}
}

static void put_sum(char *p, const uint32_t sum[2])
{
	put_be32(p, sum[0]);
	put_be32(p + 4, sum[1]);
}

/* Salts and checksums of all frames go on from the header's, whatever page size that says. */
static void make_wal_right(struct buf *b)
{
	uint32_t sum[2] = {0, 0};
	size_t size, at = WAL_HEADER;
	bool big_endian;

	if (b->len < WAL_HEADER)
		return;
	big_endian = b->data[3] & 1;
	size = pages_be32((const unsigned char *)b->data + 8);
	sum_up(sum, b->data, WAL_HEADER - 8, big_endian);
	put_sum(b->data + WAL_HEADER - 8, sum);
	if (size < PAGES_SIZE_MIN || size > PAGES_SIZE_MAX)
		return;
	for (; b->len - at >= FRAME_HEADER + size; at += FRAME_HEADER + size) {
		memcpy(b->data + at + 8, b->data + 16, 8);
		sum_up(sum, b->data + at, 8, big_endian);
		sum_up(sum, b->data + at + FRAME_HEADER, size, big_endian);
		put_sum(b->data + at + 16, sum);
	}
}

static void lay_out(const uint8_t *data, size_t size)
{
	remove_files();
	buf_clear(&db);
	buf_clear(&log_);
	CHECK(buf_append_slice(&db, buf_slice(&good_db)) == 0 && buf_append_slice(&log_, buf_slice(&good_wal)) == 0);
	patch(data, size);
	if (size % 2 == 0)
		make_wal_right(&log_);
	write_image(path, &db);
	write_image(wal, &log_);
}

/* Every byte of it can be read. */
static void touch(struct slice s)
{
	static volatile size_t sum;

	for (size_t i = 0; i < s.n; i++)
		sum = sum + (size_t)s.p[i];
}

static void list(struct store *st, bool rejected, bool reverse)
{
	struct job_list_rows j;
	uint64_t from = 0;
	unsigned slices = 0;

	do {
		job_list_init(&j, no_done);
		j.filter = (struct event_filter){.states = 31, .rejected = rejected, .reason = -1};
		j.reverse = reverse;
		j.want_body = true;
		j.from = from;
		j.max_rows = 20;
		j.max_examined = 100;
		store_read(st, &j.job);
		for (size_t i = 0; i < j.n; i++)
			touch(j.rows[i].body), touch(j.rows[i].envelope), touch(j.rows[i].tries);
		from = j.next;
		slices++;
		if (j.end || j.job.result < 0)
			slices = 1000;
		job_list_clear(&j);
	} while (slices < 50);
}

static void refill(struct store *st)
{
	struct job_refill j;

	job_refill_init(&j, 1, 0, no_done);
	j.max_rows = 100;
	j.max_bytes = 1 << 20;
	j.max_examined = 200;
	run_write(st, &j.job);
	job_refill_clear(&j);
}

static void work_on(struct store *st)
{
	struct job_list_rows show;
	struct store_stats stats;

	store_get_stats(st, &stats);
	list(st, false, false);
	list(st, false, true);
	list(st, true, false);
	job_show_init(&show, 4, no_done);
	store_read(st, &show.job);
	job_list_clear(&show);
	refill(st);
	put(st, 1, 0);
	settle(st, 6, SETTLE_DEAD);
	settle(st, 4, SETTLE_DELIVERED);
	for (int i = 0; i < 20 && store_maintenance(st, T0 + 30 * US_PER_DAY, i * US_PER_H, true) == 0; i++)
		;
}

static void read_only(void)
{
	struct store_config reading = config;
	struct store_check check;
	struct store *st;
	struct err err;

	reading.read_only = true;
	if (store_open(&st, &reading, T0, &err) < 0)
		return;
	store_check(st, &check);
	list(st, false, false);
	store_close(st);
}

static void read_write(void)
{
	struct store *st;
	struct err err;
	char aside[200];
	int r = store_open(&st, &config, T0, &err);

	if (r == -E_DAMAGED) {
		CHECK(store_set_aside(&config, T0, aside, sizeof(aside), &err) == 0);
		CHECK(store_open(&st, &config, T0, &err) == 0);
		r = 0;
	}
	if (r < 0) {
		CHECK(err.text[0]);
		return;
	}
	work_on(st);
	store_close(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!good_db.data) {
		make_good();
		buf_init(&db, IMAGE_MAX);
		buf_init(&log_, IMAGE_MAX);
	}
	if (size > 4096)
		return 0;
	lay_out(data, size);
	read_only();
	read_write();
	return 0;
}
