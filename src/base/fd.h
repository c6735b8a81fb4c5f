/* fd.h - descriptors and small files */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macros.h"

/* Closes when >= 0, keeps errno, returns -1: `fd = fd_close(fd);` */
int fd_close(int fd);
/* For _cleanup_(fd_closep). */
void fd_closep(int *fd);
int fd_set_nonblock(int fd) MUST_CHECK;
int fd_set_cloexec(int fd) MUST_CHECK;
/* write(2) until all is out; 0 or negative errno. */
int fd_write_all(int fd, const void *p, size_t n) MUST_CHECK;
/* A whole regular file into b, at most b->max bytes. 0, -ENOENT, -EACCES, -EFBIG, …; err says which file and why. */
int file_read(const char *path, struct buf *b, struct err *err) MUST_CHECK;

#endif
