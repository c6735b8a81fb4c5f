/* test_fd.c - whole files or a sentence about why not */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static char dir[] = "/tmp/ga4relay-test-fd-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/file", mkdtemp(dir));
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void write_file(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(fd);
}

static void reads_up_to_the_maximum(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(5);
	struct err e;

	(void)state;
	write_file("12345");
	assert_int_equal(file_read(path, &b, &e), 0);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "12345", 5);
	buf_clear(&b);
	write_file("123456");
	assert_int_equal(file_read(path, &b, &e), -EFBIG);
	assert_non_null(strstr(e.text, path));
	assert_non_null(strstr(e.text, "5 bytes"));
	assert_int_equal(b.len, 0);
	write_file("");
	assert_int_equal(file_read(path, &b, &e), 0);
	assert_int_equal(b.len, 0);
}

static void says_why_not(void **state)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(100);
	struct err e;

	(void)state;
	unlink(path);
	assert_int_equal(file_read(path, &b, &e), -ENOENT);
	assert_non_null(strstr(e.text, path));
	assert_non_null(strstr(e.text, "No such file"));
	assert_int_equal(file_read(dir, &b, &e), -EISDIR);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read(path, &b, &e), -EINVAL); /* at once, without a writer */
	assert_non_null(strstr(e.text, "not a regular file"));
	unlink(path);
}

static void close_keeps_errno(void **state)
{
	(void)state;
	errno = EPIPE;
	assert_int_equal(fd_close(-1), -1);
	assert_int_equal(fd_close(9999), -1);
	assert_int_equal(errno, EPIPE);
}

static void flags(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fd_set_nonblock(p[1]), 0);
	assert_int_equal(fd_set_cloexec(p[1]), 0);
	assert_true(fcntl(p[1], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(p[1], F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	fd_closep(&p[1]);
	assert_int_equal(p[1], -1);
	fd_closep(&p[0]);
	assert_int_equal(fd_set_nonblock(9999), -EBADF);
	assert_int_equal(fd_write_all(9999, "x", 1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads_up_to_the_maximum),
	        cmocka_unit_test(says_why_not),
	        cmocka_unit_test(close_keeps_errno),
	        cmocka_unit_test(flags),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
