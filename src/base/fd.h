/* fd.h - helpers for file descriptors and small files */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macros.h"

/* Closes fd if it is >= 0, preserves errno and returns -1: `fd = fd_close(fd);` */
int fd_close(int fd);
/* For _cleanup_(fd_closep). */
void fd_closep(int *fd);
int fd_set_nonblock(int fd) MUST_CHECK;
int fd_set_cloexec(int fd) MUST_CHECK;
/* Repeats write(2) until all n bytes are written. Returns 0 or a negative errno. */
int fd_write_all(int fd, const void *p, size_t n) MUST_CHECK;
/* Reads a whole regular file into b, at most b->max bytes. Returns 0, -ENOENT, -EACCES, -EFBIG,
 * …; err names the file and the reason. */
int file_read(const char *path, struct buf *b, struct err *err) MUST_CHECK;

#endif
