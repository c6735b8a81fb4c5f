/* listener_bind.c - an own socket: never wider open than configured, never in somebody else's place */
#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/listener_private.h"

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

static int find_group(const char *name, gid_t *ret, struct err *err)
{
	struct group *g;

	errno = 0;
	g = getgrnam(name); /* at start only, from one thread */
	if (!g)
		return err_set(err, errno ? -errno : -EINVAL, "socket group '%s': no such group", name);
	*ret = g->gr_gid;
	return 0;
}

/* Removes what a dead process left. Whoever is alive answers a connect (also with EAGAIN: its backlog is full). */
static int remove_stale(const struct sockaddr_un *address, struct err *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd, r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "socket %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "%s is there and is not a socket: remove it or choose another path",
		               path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket %s: %s", path, strerror(errno));
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	fd_close(fd);
	if (r == 0 || r == EAGAIN)
		return err_set(err, -EADDRINUSE, "socket %s: somebody listens there already", path);
	if (r != ECONNREFUSED)
		return err_set(err, -r, "socket %s: is there and cannot be tried: %s", path, strerror(r));
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "socket %s: cannot remove the stale one: %s", path, strerror(errno));
	return 0;
}

/* The umask gives the file its mode at birth. With a group, the group's part comes only after chown: until then
 * its bits would belong to our own group. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode, const gid_t *group)
{
	const char *path = address->sun_path;
	mode_t at_first = group ? mode & S_IRWXU : mode & 0777;
	mode_t before = umask(0777 & ~at_first);
	struct stat st;
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	umask(before);
	if (r < 0 || !group)
		return r;
	/* A socket that is born with the group needs no chown, which ga4relay.service's sandbox does not allow.
	 * Looked up, not guessed: in a directory with the setgid bit the group is the directory's. */
	if (lstat(path, &st) < 0 || (st.st_gid != *group && lchown(path, (uid_t)-1, *group) < 0) ||
	    chmod(path, mode & 0777) < 0) {
		r = -errno;
		unlink(path);
	}
	return r;
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, const struct listener_config *config,
                           const gid_t *group, struct stat *ret, struct err *err)
{
	const char *path = address->sun_path;
	int r = bind_with_mode(fd, address, config->mode, group);

	if (r < 0)
		return err_set(err, r, "socket %s: cannot bind: %s%s", path, strerror(-r),
		               r == -ENOENT ? " (make its directory)" : "");
	if (lstat(path, ret) == 0 && listen(fd, SOMAXCONN) == 0)
		return 0;
	r = -errno;
	unlink(path);
	return err_set(err, r, "socket %s: cannot listen: %s", path, strerror(-r));
}

int listener_bind(const struct listener_config *config, int *ret_fd, dev_t *ret_dev, ino_t *ret_ino, struct err *err)
{
	struct sockaddr_un address;
	struct stat st;
	gid_t gid = (gid_t)-1;
	bool with_group = config->group[0] != '\0';
	int fd, r = make_address(config->path, &address, err);

	if (r == 0 && with_group)
		r = find_group(config->group, &gid, err);
	if (r == 0)
		r = remove_stale(&address, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket %s: %s", config->path, strerror(errno));
	r = bind_and_listen(fd, &address, config, with_group ? &gid : NULL, &st, err);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	*ret_fd = fd;
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	return 0;
}

/* Another process may have taken the path over: only the file that we made is removed. */
void listener_unlink(const char *path, dev_t dev, ino_t ino)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == dev && st.st_ino == ino)
		unlink(path);
}
