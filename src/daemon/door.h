/* door.h - the HTTP door: /mp/collect, /debug/mp/collect, /metrics, /healthz (ctl.md) */
#ifndef DAEMON_DOOR_H
#define DAEMON_DOOR_H

#include "daemon/control.h"

struct door;

int door_open(struct door **ret, const struct control_context *context, const struct conf *conf, struct err *err) MUST_CHECK;
struct door *door_free(struct door *d);
void door_set_conf(struct door *d, const struct conf *conf);

#endif
