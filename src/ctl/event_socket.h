/* event_socket.h - ctl as an application: opens the event socket */
#ifndef CTL_EVENT_SOCKET_H
#define CTL_EVENT_SOCKET_H

#include "ctl/ctl.h"

/* Opens the event socket, without blocking mode. On failure prints the reason and what to do to standard error. */
enum ctl_exit event_socket_open(const struct ctl *ctl, int *ret_fd) MUST_CHECK;

#endif
