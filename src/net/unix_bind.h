/* unix_bind.h - binding a Unix socket with its final mode, without touching files of others */
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

/* Binds and listens. group: NULL keeps the group that the file is created with. An existing
 * socket that nothing listens on is removed; any other file is left unchanged. Returns 0,
 * -EADDRINUSE, -EEXIST, -ENAMETOOLONG, -EACCES, … */
int unix_bind(struct unix_bound *ret, const char *path, mode_t mode, const gid_t *group, int backlog,
              struct err *err) MUST_CHECK;
/* Removes the path if it still is that file. */
void unix_unbind(const char *path, dev_t dev, ino_t ino);

#endif
