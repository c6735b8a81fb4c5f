/* notify.h - systemd's protocols (sd_notify, watchdog, socket activation) without libsystemd */
#ifndef NET_NOTIFY_H
#define NET_NOTIFY_H

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

/* Opens the socket for notify_send(). It is kept open from the start, so that the watchdog is
 * notified even if descriptors run out. Returns -1 if $NOTIFY_SOCKET is not set. */
int notify_open(void);
/* Sends a message ("READY=1", "STATUS=…") to $NOTIFY_SOCKET; does nothing if fd is -1. */
void notify_send(int fd, const char *text);
/* Returns half of $WATCHDOG_USEC in microseconds if it is meant for this process, otherwise 0. */
int64_t notify_watchdog_interval_us(void);
/* Takes the inherited descriptor (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES) that fits best: one
 * bound to path, else one named ga4relay, else any listening Unix stream socket. Makes it
 * nonblocking and close-on-exec, closes the others and clears the variables. *ret_fd is -1 if
 * there is none. */
int notify_take_listen_fd(const char *path, int *ret_fd, struct err *err) MUST_CHECK;

#endif
