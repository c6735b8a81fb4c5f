/* unix_bind.c - binding a Unix socket with its final mode, without touching files of others
 *
 * Anyone who may write to the directory can replace the path at any time. So nothing is changed
 * by path: the umask sets the file's mode, and its group is changed through a descriptor of the
 * file, after that was checked. */
#include "net/unix_bind.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

static int make_address(const char *path, struct sockaddr_un *ret, struct err *err)
{
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(ret->sun_path))
		return err_set(err, -ENAMETOOLONG, "socket '%s': a path of 1 to %zu bytes is needed", path,
		               sizeof(ret->sun_path) - 1);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, n + 1);
	return 0;
}

static int stream_socket(int *ret, const char *path, struct err *err)
{
	*ret = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return *ret < 0 ? err_set(err, -errno, "socket %s: %s", path, strerror(errno)) : 0;
}

/* Removes the socket of a dead process. A living one accepts a connect (or returns EAGAIN if its
 * backlog is full). */
static int remove_stale(const struct sockaddr_un *address, struct err *err)
{
	_cleanup_(fd_closep) int fd = -1;
	const char *path = address->sun_path;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "socket %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "%s is there and is not a socket: remove it or choose another path",
		               path);
	r = stream_socket(&fd, path, err);
	if (r < 0)
		return r;
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	if (r == 0 || r == EAGAIN)
		return err_set(err, -EADDRINUSE, "socket %s: somebody listens there already", path);
	if (r != ECONNREFUSED)
		return err_set(err, -r, "socket %s: is there and cannot be tried: %s", path, strerror(r));
	unix_unbind(path, st.st_dev, st.st_ino);
	return 0;
}

static int give_group(int file, const struct stat *st, gid_t group)
{
	/* A socket created with the right group needs no chown, which the sandbox of
	 * ga4relay.service forbids. The group is checked, not assumed: in a directory with the
	 * setgid bit it is the directory's. */
	if (st->st_gid == group)
		return 0;
	return fchownat(file, "", (uid_t)-1, group, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Opens the file at path if it can be the one that was just bound: a socket that we own, with a
 * single link and no wider mode than it was created with. */
static int adopt(const char *path, mode_t mode, const gid_t *group, struct stat *ret, struct err *err)
{
	_cleanup_(fd_closep) int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (file < 0 || fstat(file, ret) < 0)
		return err_set(err, -errno, "socket %s: cannot be looked at: %s", path, strerror(errno));
	if (!S_ISSOCK(ret->st_mode) || ret->st_uid != geteuid() || ret->st_nlink != 1 ||
	    (ret->st_mode & 07777 & ~mode) != 0)
		return err_set(err, -EEXIST,
		               "socket %s: something else was put in its place while it was made, and was left alone",
		               path);
	r = group ? give_group(file, ret, *group) : 0;
	if (r == 0)
		return 0;
	unix_unbind(path, ret->st_dev, ret->st_ino);
	return err_set(err, r, "socket %s: cannot be given its group: %s", path, strerror(-r));
}

static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode, struct err *err)
{
	const char *path = address->sun_path;
	mode_t before = umask(0777 & ~mode);
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	umask(before);
	if (r == 0)
		return 0;
	return err_set(err, r, "socket %s: cannot bind: %s%s", path, strerror(-r),
	               r == -ENOENT ? " (make its directory)" : "");
}

/* Nobody can connect before listen(), whatever the group is. */
static int bind_and_listen(int fd, const struct sockaddr_un *address, mode_t mode, const gid_t *group, int backlog,
                           struct stat *ret, struct err *err)
{
	int r = bind_with_mode(fd, address, mode, err);

	if (r == 0)
		r = adopt(address->sun_path, mode, group, ret, err);
	if (r < 0 || listen(fd, backlog) == 0)
		return r;
	r = -errno;
	unix_unbind(address->sun_path, ret->st_dev, ret->st_ino);
	return err_set(err, r, "socket %s: cannot listen: %s", address->sun_path, strerror(-r));
}

int unix_bind(struct unix_bound *ret, const char *path, mode_t mode, const gid_t *group, int backlog, struct err *err)
{
	struct sockaddr_un address;
	struct stat st;
	int fd, r = make_address(path, &address, err);

	mode &= 0777;
	if (r == 0)
		r = remove_stale(&address, err);
	if (r == 0)
		r = stream_socket(&fd, path, err);
	if (r < 0)
		return r;
	r = bind_and_listen(fd, &address, mode, group, backlog, &st, err);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	*ret = (struct unix_bound){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

void unix_unbind(const char *path, dev_t dev, ino_t ino)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == dev && st.st_ino == ino)
		(void)unlink(path);
}
