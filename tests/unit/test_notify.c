/* test_notify.c - what systemd hears from us and hands to us */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macros.h"
#include "net/notify.h"

static char dir[] = "/tmp/notify-XXXXXX";

static int bound(int type, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, name, n);
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	else
		unlink(name);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
	return fd;
}

static const char *in_dir(const char *name)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void send_text(const char *text)
{
	int fd = notify_open();

	notify_send(fd, text);
	fd_close(fd);
}

static void hears(const char *name)
{
	char text[64] = "";
	int fd = bound(SOCK_DGRAM, name);

	setenv("NOTIFY_SOCKET", name, 1);
	send_text("READY=1\nSTATUS=x");
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 16);
	assert_string_equal(text, "READY=1\nSTATUS=x");
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

static void sends_to_a_path(void **state UNUSED)
{
	hears(in_dir("n"));
}
static void sends_to_an_abstract_name(void **state UNUSED)
{
	hears("@ga4relay-test-notify");
}

static void is_silent_without_a_socket(void **state UNUSED)
{
	unsetenv("NOTIFY_SOCKET");
	send_text("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	send_text("READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1); /* said on the log, and survived */
	send_text("READY=1");
	setenv("NOTIFY_SOCKET", "/nonexistent/n", 1);
	send_text("READY=1");
	unsetenv("NOTIFY_SOCKET");
}

static int64_t interval(const char *usec, const char *pid)
{
	int64_t r;

	usec ? setenv("WATCHDOG_USEC", usec, 1) : unsetenv("WATCHDOG_USEC");
	pid ? setenv("WATCHDOG_PID", pid, 1) : unsetenv("WATCHDOG_PID");
	r = notify_watchdog_interval_us();
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return r;
}

static void watchdog_is_half_and_ours(void **state UNUSED)
{
	char me[16], other[16];

	snprintf(me, sizeof(me), "%d", getpid());
	snprintf(other, sizeof(other), "%d", getpid() + 1);
	assert_int_equal(interval("30000000", me), 15000000);
	assert_int_equal(interval("30000000", NULL), 15000000);
	assert_int_equal(interval("30000000", other), 0);
	assert_int_equal(interval("30000000", "x"), 0);
	assert_int_equal(interval(NULL, me), 0);
	assert_int_equal(interval("0", me), 0);
	assert_int_equal(interval("-5", me), 0);
	assert_int_equal(interval("1", me), 1);
}

static void declare(const char *pid, const char *fds, const char *names)
{
	char me[16];

	snprintf(me, sizeof(me), "%d", getpid());
	setenv("LISTEN_PID", pid ? pid : me, 1);
	setenv("LISTEN_FDS", fds, 1);
	names ? setenv("LISTEN_FDNAMES", names, 1) : unsetenv("LISTEN_FDNAMES");
}

static void is_cleared(void)
{
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
}

/* Descriptors from 3 on are laid out in a child: the test program needs its own. Returns the child's verdict. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void place(int fd, int at)
{
	if (fd != at) {
		dup2(fd, at);
		close(fd);
	}
}

static int bad_kinds_are_closed(void)
{
	struct err err;
	int fd = -2;

	place(bound(SOCK_DGRAM, in_dir("d")), 3);
	place(bound(SOCK_STREAM, in_dir("s")), 4); /* not listening */
	declare(NULL, "2", NULL);
	if (notify_take_listen_fd("/x", &fd, &err) != -EINVAL || fd != -2)
		return 1;
	return fcntl(3, F_GETFD) == -1 && fcntl(4, F_GETFD) == -1 ? 0 : 2;
}

static int takes(const char *at, const char *names, int want)
{
	char path[PATH_MAX]; /* at is in_dir()'s, which the next call overwrites */
	struct err err;
	int fd = -2;
	const char *files[] = {"a", "b", "c"};

	snprintf(path, sizeof(path), "%s", at);
	for (int i = 0; i < 3; i++) {
		place(bound(SOCK_STREAM, in_dir(files[i])), 3 + i);
		if (listen(3 + i, 1) < 0)
			return 1;
		fcntl(3 + i, F_SETFD, 0); /* as systemd hands them over: */
		fcntl(3 + i, F_SETFL, 0); /* blocking and without close-on-exec */
	}
	declare(NULL, "3", names);
	if (notify_take_listen_fd(path, &fd, &err) < 0)
		return 2;
	if (fd != want)
		return 10 + fd;
	for (int i = 3; i < 6; i++)
		if ((fcntl(i, F_GETFD) != -1) != (i == want))
			return 3;
	if (!(fcntl(fd, F_GETFL) & O_NONBLOCK) || fcntl(fd, F_GETFD) != FD_CLOEXEC)
		return 4;
	return getenv("LISTEN_FDS") ? 5 : 0;
}

static int takes_by_path(void)
{
	return takes(in_dir("b"), "x:y:ga4relay.socket", 4);
}
static int takes_by_name(void)
{
	return takes("/elsewhere", "x:y:ga4relay.socket", 5);
}
static int takes_the_first(void)
{
	return takes("/elsewhere", NULL, 3);
}

static void inherited_sockets(void **state UNUSED)
{
	assert_int_equal(in_child(bad_kinds_are_closed), 0);
	assert_int_equal(in_child(takes_by_path), 0);
	assert_int_equal(in_child(takes_by_name), 0);
	assert_int_equal(in_child(takes_the_first), 0);
}

static void takes_nothing(const char *pid, const char *fds)
{
	struct err err;
	int fd = -2;

	declare(pid, fds, "x");
	assert_int_equal(notify_take_listen_fd("/x", &fd, &err), 0);
	assert_int_equal(fd, -1);
	is_cleared();
}

static void nothing_for_us(void **state UNUSED)
{
	struct err err;
	int fd = -2;

	takes_nothing("1", "1"); /* meant for another process */
	takes_nothing("x", "1");
	takes_nothing(NULL, "0");
	takes_nothing(NULL, "-1");
	assert_int_equal(notify_take_listen_fd("/x", &fd, &err), 0);
	assert_int_equal(fd, -1);
	declare(NULL, "99999999", NULL);
	assert_int_equal(notify_take_listen_fd("/x", &fd, &err), -EINVAL);
}

static int make_dir(void **state UNUSED)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state UNUSED)
{
	const char *names[] = {"n", "d", "s", "a", "b", "c"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sends_to_a_path),
	        cmocka_unit_test(sends_to_an_abstract_name),
	        cmocka_unit_test(is_silent_without_a_socket),
	        cmocka_unit_test(watchdog_is_half_and_ours),
	        cmocka_unit_test(inherited_sockets),
	        cmocka_unit_test(nothing_for_us),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
