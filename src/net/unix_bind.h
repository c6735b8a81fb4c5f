/* unix_bind.h - a Unix socket's file: its mode from birth, nobody else's file touched; for net/ only */
#ifndef NET_UNIX_BIND_H
#define NET_UNIX_BIND_H

#include <sys/stat.h>

#include "base/err.h"
#include "base/macros.h"

struct unix_bound {
	int fd; /* nonblocking, close-on-exec, listening */
	dev_t dev;
	ino_t ino;
};

/* group: NULL leaves the one that it is born with. A socket in its place that nobody listens on is removed; anything
 * else there is left alone. 0; -EADDRINUSE, -EEXIST, -ENAMETOOLONG, -EACCES, … */
int unix_bind(struct unix_bound *ret, const char *path, mode_t mode, const gid_t *group, int backlog,
              struct err *err) MUST_CHECK;
/* Removes the path if it still is that file. */
void unix_unbind(const char *path, dev_t dev, ino_t ino);

#endif
