/* test_listener_socket.c - the listening socket: its birth, its permissions, its inheritance and its end */
#include "listener_fixture.h"

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static int open_fails(struct fixture *f, const char *word)
{
	struct listener *l = NULL;
	struct err err = {""};
	int r = listener_open(&l, f->loop, &f->config, &f->ops, &err);

	assert_true(r < 0);
	assert_null(l);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
	return r;
}

static void has_its_mode_from_birth(void **state)
{
	struct fixture *f = *state;
	const mode_t modes[] = {0600, 0660, 0666, 0640};
	mode_t before = umask(0);

	for (size_t i = 0; i < 4; i++) {
		f->config.mode = modes[i];
		umask(i % 2 ? 0077 : 0);
		open_listener(f);
		assert_int_equal(mode_of(f->path), modes[i]);
		assert_int_equal(umask(0), i % 2 ? 0077 : 0); /* given back */
		f->l = listener_free(f->l);
		assert_int_equal(access(f->path, F_OK), -1);
	}
	umask(before);
}

static void group_by_name(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	f->config.group = "no such group here";
	assert_int_equal(open_fails(f, "no such group"), -EINVAL);
	assert_int_equal(access(f->path, F_OK), -1);
	if (geteuid() != 0)
		skip();
	f->config.group = "daemon";
	open_listener(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_not_equal(st.st_gid, getegid());
	assert_int_equal(st.st_mode & 0777, 0660);
}

static int bound_socket(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;

	close(bound_socket(f->path, SOCK_STREAM));
	open_listener(f);
	close(client(f));
}

static void living_socket_is_left_alone(void **state)
{
	struct fixture *f = *state;
	int fd = bound_socket(f->path, SOCK_STREAM);

	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(open_fails(f, "somebody listens"), -EADDRINUSE);
	assert_int_equal(try_connect(f), -EAGAIN); /* that one filled the backlog: busy, and still alive */
	assert_int_equal(open_fails(f, "somebody listens"), -EADDRINUSE);
	close(fd);
}

static void other_things_are_left_alone(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	assert_int_equal(open_fails(f, "not a socket"), -EEXIST);
	assert_int_equal(access(f->path, F_OK), 0);
	unlink(f->path);
	fd = bound_socket(f->path, SOCK_DGRAM);
	open_fails(f, "cannot be tried");
	assert_int_equal(access(f->path, F_OK), 0);
	close(fd);
}

static void bad_paths_are_explained(void **state)
{
	struct fixture *f = *state;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	f->config.path = path;
	assert_int_equal(open_fails(f, "107"), -ENAMETOOLONG);
	f->config.path = "";
	open_fails(f, "path");
	f->config.path = "/nonexistent/s.sock";
	assert_int_equal(open_fails(f, "directory"), -ENOENT);
}

static void unlinks_only_its_own(void **state)
{
	struct fixture *f = *state;
	int fd;

	open_listener(f);
	assert_int_equal(unlink(f->path), 0);
	fd = bound_socket(f->path, SOCK_STREAM);
	f->l = listener_free(f->l);
	assert_int_equal(access(f->path, F_OK), 0);
	close(fd);
}

/* Trap 18: systemd's socket is blocking; a second accept() would hang. */
static void inherited_socket_never_blocks(void **state)
{
	struct fixture *f = *state;
	int fd = bound_socket(f->path, SOCK_STREAM), c;

	assert_int_equal(listen(fd, 10), 0);
	f->config.inherited_fd = fd;
	open_listener(f);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	c = client(f);
	puts_to(f, c, "x\n");
	UNTIL(f, f->n_lines == 1);
	f->l = listener_free(f->l);
	assert_int_equal(access(f->path, F_OK), 0); /* the path is systemd's */
	close(c);
}

/* Whatever write() returned for before the drain is read: accepted or not, closed or not. */
static void drain_reads_everything(void **state)
{
	struct fixture *f = *state;
	char text[64];
	int open_one, gone;

	open_listener(f);
	open_one = client(f);
	UNTIL(f, listener_connections(f->l) == 1);
	puts_to(f, open_one, "a\nb");
	for (int i = 0; i < 200; i++) {
		gone = client(f); /* more than one turn accepts; none accepted yet */
		puts_to(f, gone, "x\ny\n");
		close(gone);
	}
	assert_false(listener_drained(f->l));
	listener_drain(f->l);
	assert_int_equal(try_connect(f), -ECONNREFUSED);
	UNTIL(f, listener_drained(f->l));
	assert_int_equal(f->n_lines, 402);
	assert_int_equal(f->closes, 201);
	assert_int_equal(read_to_end(f, open_one, text, sizeof(text)), 6);
	close(open_one);
}

static void drain_goes_past_the_limits(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, tight;
	int fds[6];

	if (getenv("UNDER"))
		skip(); /* valgrind has a limit of descriptors of its own */
	f->config.max_connections = 2;
	open_listener(f);
	for (int i = 0; i < 6; i++) {
		fds[i] = client(f);
		puts_to(f, fds[i], "x\n");
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){.rlim_cur = (rlim_t)fds[5] + 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	listener_drain(f->l);
	UNTIL(f, listener_drained(f->l));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(f->n_lines, 6);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
}

static void drain_waits_for_replies_and_pause(void **state)
{
	struct fixture *f = *state;
	int fd;

	open_listener(f);
	f->answer = false;
	fd = client(f);
	puts_to(f, fd, "a\n");
	UNTIL(f, f->n_lines == 1);
	listener_pause(f->l, true);
	puts_to(f, fd, "b\n");
	close(fd);
	settle(f);
	listener_drain(f->l);
	settle(f);
	assert_int_equal(f->n_lines, 1);
	listener_pause(f->l, false);
	UNTIL(f, f->n_lines == 2);
	settle(f);
	assert_false(listener_drained(f->l));
	listener_reply(f->l, 1, SLICE_LIT("1\n"));
	settle(f);
	assert_false(listener_drained(f->l));
	listener_reply(f->l, 1, SLICE_LIT("2\n"));
	UNTIL(f, listener_drained(f->l));
}

static void drain_tells_a_cut_line(void **state)
{
	struct fixture *f = *state;
	int fd;

	open_listener(f);
	fd = client(f);
	puts_to(f, fd, "whole\ncut in the mid");
	UNTIL(f, f->n_lines == 1);
	listener_drain(f->l);
	UNTIL(f, listener_drained(f->l));
	assert_int_equal(f->n_lines, 2);
	expect_line(f, 1, LINE_CUT, "cut in the mid");
	assert_int_equal(send(fd, "dle\n", 4, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	close(fd);
}

static void drain_does_not_wait_for_who_never_reads(void **state)
{
	struct fixture *f = *state;
	static char text[200000];
	int fd;

	open_listener(f);
	fd = client(f);
	f->keep_lines = false;
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "x\n", 2);
	f->reply = SLICE_LIT("0123456789\n");
	put(f, fd, text, sizeof(text));
	UNTIL(f, f->n_lines == sizeof(text) / 2);
	listener_drain(f->l);
	settle(f);
	assert_false(listener_drained(f->l));
	clock_ahead_us += 2 * US_PER_S;
	UNTIL(f, listener_drained(f->l));
	assert_int_equal(f->unsent_calls, 1);
	close(fd);
}

static void drain_leaves_an_inherited_backlog(void **state)
{
	struct fixture *f = *state;
	int fd = bound_socket(f->path, SOCK_STREAM), keep, c;

	assert_int_equal(listen(fd, 10), 0);
	keep = dup(fd); /* systemd's own */
	f->config.inherited_fd = fd;
	open_listener(f);
	c = client(f);
	puts_to(f, c, "for the next process\n");
	listener_drain(f->l);
	UNTIL(f, listener_drained(f->l));
	assert_int_equal(f->n_lines, 0);
	f->l = listener_free(f->l);
	f->config.inherited_fd = keep;
	open_listener(f);
	UNTIL(f, f->n_lines == 1);
	close(c);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
	        TEST(has_its_mode_from_birth),
	        TEST(group_by_name),
	        TEST(stale_socket_is_replaced),
	        TEST(living_socket_is_left_alone),
	        TEST(other_things_are_left_alone),
	        TEST(bad_paths_are_explained),
	        TEST(unlinks_only_its_own),
	        TEST(inherited_socket_never_blocks),
	        TEST(drain_reads_everything),
	        TEST(drain_goes_past_the_limits),
	        TEST(drain_waits_for_replies_and_pause),
	        TEST(drain_tells_a_cut_line),
	        TEST(drain_does_not_wait_for_who_never_reads),
	        TEST(drain_leaves_an_inherited_backlog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
