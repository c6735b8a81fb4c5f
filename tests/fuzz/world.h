/* world.h - a whole relay without its process: outbox in a directory, one loop that is turned by hand, inline writer
 *
 * Without an endpoint's port its streams are paused: nothing is sent. The fuzzers' one is made anew every few
 * thousand inputs, so that a full outbox is not all that is ever seen. */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "control/control.h"
#include "daemon/daemon_private.h"
#include "fuzz.h"
#include "http/door.h"
#include "net/http_client/http_client.h"

enum { WORLD_INPUTS = 2000, WORLD_INPUT_MAX = 64 << 10, WORLD_QUIET_TURNS = 3, WORLD_TURNS_MAX = 400 };

struct world {
	struct daemon d; /* the parts that the real one has */
	char dir[64];
	unsigned inputs;
};

/* The directory, whether to pause, the endpoint's port. */
static const char world_conf[] =
        "streams = ( { name = \"web\"; measurement_id = \"G-TEST000001\"; api_secret = \"s3cret\"; paused = %2$s; "
        "},\n"
        "            { name = \"app\"; firebase_app_id = \"1:123:android:abc\"; api_secret = \"s3cret\"; "
        "paused = %2$s; } );\n"
        "default_stream = \"web\";\n"
        "listen: { socket = \"%1$s/event.sock\"; max_line = \"64K\"; };\n"
        "control: { socket = \"%1$s/control.sock\"; };\n"
        "outbox: { path = \"%1$s/outbox.db\"; sync = \"normal\"; min_free_disk = \"0\"; ballast = \"0\"; "
        "keep_delivered = \"1h\"; };\n"
        "http: { listen = \"unix:%1$s/door.sock\"; };\n"
        "delivery: { endpoint = \"http://127.0.0.1:%3$u/mp/collect\"; linger = \"0\"; retry_min = \"10ms\"; "
        "retry_max = \"20ms\"; };\n";

static void world_tail(void *arg)
{
	struct daemon *d = arg;
	struct now now;

	clock_now(&now);
	intake_submit(d->intake, &now);
	writer_run_inline(d->writer);
	writer_reap(d->writer, INT64_MAX);
	delivery_pump(d->delivery, &now);
	intake_flush(d->intake);
	control_flush_answers(d->control);
}

static int world_reload(void *arg, struct err *err)
{
	(void)arg;
	return err_set(err, -EINVAL, "nothing to reload");
}

static void world_fleet(void *arg, struct fleet_state *ret)
{
	(void)arg;
	memset(ret, 0, sizeof(*ret));
}

static inline int world_open_storage(struct daemon *d, struct err *err)
{
	struct store_config config;
	struct store *store;
	uint32_t sids[2];
	int r;

	store_config_of(d->conf, &config);
	r = store_open(&store, &config, clock_wall_us(), err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < 2; i++)
		r = store_stream_id(store, slice_of(d->conf->streams[i].name), &sids[i], err);
	d->streams = r == 0 ? calloc(1, sizeof(*d->streams)) : NULL;
	if (!d->streams || streams_init(d->streams, d->conf, sids) < 0) {
		store_close(store);
		return r < 0 ? r : err_set(err, -ENOMEM, "no memory for the streams");
	}
	return writer_start(&d->writer, store, true, err);
}

static void world_committed(void *arg, struct submission *sub)
{
	struct daemon *d = arg;
	struct now now;

	clock_now(&now);
	delivery_accept(d->delivery, sub, &now);
}

static inline int world_open_service(struct daemon *d, struct err *err)
{
	const struct delivery_context delivery = {
	        .loop = d->loop, .writer = d->writer, .counters = &d->counters, .tap = &d->tap, .phase = &d->phase};
	const struct intake_context intake = {.loop = d->loop,
	                                      .writer = d->writer,
	                                      .counters = &d->counters,
	                                      .tap = &d->tap,
	                                      .phase = &d->phase,
	                                      .on_committed = world_committed,
	                                      .arg = d};
	struct listener_config config;
	struct now now;
	int r;

	clock_now(&now);
	listener_config_of(d->conf, &config);
	config.inherited_fd = -1;
	r = delivery_new(&d->delivery, &delivery, d->conf, d->streams->rules, &now, err);
	if (r == 0)
		r = intake_new(&d->intake, &intake, &config, d->streams, 100, err);
	d->context = (struct control_context){.loop = d->loop,
	                                      .writer = d->writer,
	                                      .intake = d->intake,
	                                      .delivery = d->delivery,
	                                      .streams = d->streams,
	                                      .counters = &d->counters,
	                                      .tap = &d->tap,
	                                      .phase = &d->phase,
	                                      .set_aside = "",
	                                      .reload = world_reload,
	                                      .fleet = world_fleet,
	                                      .arg = d};
	if (r == 0)
		r = control_open(&d->control, &d->context, d->conf, err);
	return r == 0 ? door_open(&d->door, &d->context, d->control, NULL, d->conf, err) : r;
}

/* What needs no outbox yet: the configuration, curl. */
static inline void world_configure(struct world *w, unsigned port)
{
	char text[2048];
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	log_set_level((enum log_level)0);
	snprintf(text, sizeof(text), world_conf, w->dir, port ? "false" : "true", port ? port : 9);
	http_client_prepare_process();
	CHECK(conf_parse(&w->d.conf, text, "world", &err) == 0);
}

static inline void world_prepare(struct world *w, unsigned port)
{
	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "%s/ga4relay-fuzz.XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(w->dir));
	world_configure(w, port);
}

static inline int world_start(struct world *w, struct err *err)
{
	int r = loop_new(&w->d.loop, err);

	counters_init(&w->d.counters);
	if (r == 0)
		r = world_open_storage(&w->d, err);
	if (r == 0)
		r = world_open_service(&w->d, err);
	if (r == 0)
		loop_set_tail(w->d.loop, world_tail, &w->d);
	return r;
}

static inline void world_open(struct world *w)
{
	struct err err;

	world_prepare(w, 0);
	if (world_start(w, &err) < 0) {
		fprintf(stderr, "world: %s\n", err.text);
		abort();
	}
}

static inline void world_remove_files(const char *dir)
{
	DIR *at = opendir(dir);
	struct dirent *e;
	char path[512];

	while (at && (e = readdir(at))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		(void)unlink(path);
	}
	if (at)
		closedir(at);
	(void)rmdir(dir);
}

/* Its directory stays: world_configure() and world_start() go on with what it left. */
static inline void world_stop(struct world *w)
{
	stop_everything(&w->d);
	memset(&w->d, 0, sizeof(w->d));
}

static inline void world_close(struct world *w)
{
	world_stop(w);
	if (w->dir[0])
		world_remove_files(w->dir);
	memset(w, 0, sizeof(*w));
}

static struct world the_world;

static void world_at_exit(void)
{
	world_close(&the_world);
}

/* The one world, for one more input. */
static inline struct world *world_get(void)
{
	if (!the_world.d.loop) {
		static bool registered;

		if (!registered)
			atexit(world_at_exit);
		registered = true;
		world_open(&the_world);
	} else if (++the_world.inputs >= WORLD_INPUTS) {
		world_close(&the_world);
		world_open(&the_world);
	}
	return &the_world;
}

static inline void world_turn(struct world *w)
{
	CHECK(loop_turn(w->d.loop, false) == 0);
}

static inline int world_connect(const struct world *w, const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", w->dir, name);
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	return fd;
}

/* Reads what is there. False: the other side closed. */
static inline bool world_receive(int fd, struct buf *answer, bool *ret_progress)
{
	ssize_t n;

	while (true) {
		CHECK(buf_reserve(answer, 65536) == 0);
		n = recv(fd, answer->data + answer->len, 65536, 0);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		answer->len += (size_t)n;
		*ret_progress = true;
	}
}

/* Sends all in pieces of `piece` bytes, half-closes, and gathers the answer until the other side closed or nothing
 * more comes. True: it closed. */
static inline bool world_talk(struct world *w, const char *name, const char *data, size_t size, size_t piece,
                              struct buf *answer)
{
	int fd = world_connect(w, name);
	size_t sent = 0;
	bool open = true;

	for (unsigned turn = 0, quiet = 0; open && turn < WORLD_TURNS_MAX && quiet < WORLD_QUIET_TURNS; turn++) {
		bool progress = false;

		while (sent < size) {
			size_t n = size - sent < piece ? size - sent : piece;
			ssize_t r = send(fd, data + sent, n, MSG_NOSIGNAL);

			if (r <= 0)
				break;
			sent += (size_t)r;
			progress = true;
			if (sent == size)
				shutdown(fd, SHUT_WR);
			if (piece < size)
				break;
		}
		if (size == 0 && turn == 0)
			shutdown(fd, SHUT_WR);
		world_turn(w);
		open = world_receive(fd, answer, &progress);
		quiet = progress ? 0 : quiet + 1;
	}
	close(fd);
	world_turn(w);
	return !open;
}

#endif
