/* notify.h - what systemd tells us and what we tell it; a few lines each instead of libsystemd */
#ifndef NET_NOTIFY_H
#define NET_NOTIFY_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

/* A descriptor for notify_send(), held from the start so that the watchdog is fed when none are left; -1 when
 * $NOTIFY_SOCKET is not set. */
int notify_open(void);
/* Sends to $NOTIFY_SOCKET ("READY=1", "STATUS=…"); silent when fd is -1. */
void notify_send(int fd, const char *text);
/* Half of $WATCHDOG_USEC when it is for this process, or 0. */
int64_t notify_watchdog_interval_us(void);
/* Inherited descriptors (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES): the one named or of type stream-unix for our
 * path; made nonblocking and close-on-exec. *ret_fd -1 when there is none. Clears the variables. */
int notify_take_listen_fd(const char *path, int *ret_fd, struct err *err) MUST_CHECK;

#endif
