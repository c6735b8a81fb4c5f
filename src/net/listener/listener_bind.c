/* listener_bind.c - the listening socket, with the configured group */
#include <errno.h>
#include <grp.h>
#include <sys/socket.h>

#include "net/listener/listener_private.h"
#include "net/unix_bind.h"

static int find_group(const char *name, gid_t *ret, struct err *err)
{
	struct group *g;

	errno = 0;
	g = getgrnam(name); /* called only at start, when there is one thread */
	if (!g)
		return err_set(err, errno ? -errno : -EINVAL, "socket group '%s': no such group", name);
	*ret = g->gr_gid;
	return 0;
}

int listener_bind(const struct listener_config *config, int *ret_fd, dev_t *ret_dev, ino_t *ret_ino, struct err *err)
{
	bool with_group = config->group[0] != '\0';
	struct unix_bound bound;
	gid_t gid = (gid_t)-1;
	int r = with_group ? find_group(config->group, &gid, err) : 0;

	if (r == 0)
		r = unix_bind(&bound, config->path, config->mode, with_group ? &gid : NULL, SOMAXCONN, err);
	if (r < 0)
		return r;
	*ret_fd = bound.fd;
	*ret_dev = bound.dev;
	*ret_ino = bound.ino;
	return 0;
}
